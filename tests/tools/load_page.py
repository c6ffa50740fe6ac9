"""Many visitors at once: what the page answers, how soon, and how much memory that takes.

    python tests/tools/load_page.py --clients 20 --seconds 120

starts `maxtunnel serve`, lets each client upload a photograph of its own and ask for reconstructions, one
after the other, as the page in a browser does, and prints failures, the median answer and the server's memory
over time.
"""

import argparse
import contextlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

API = "gradio_api"


@contextlib.contextmanager
def served(*options, program=("-m", "maxtunnel")):
    """Start `maxtunnel serve` on a free port; its address, its process, and its lines so far."""
    command = [sys.executable, "-u", *program, "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    with process.stdout:
        try:
            for line in process.stdout:
                lines.append(line)
                found = re.search(r"http://\S+:\d+", line)
                if found:
                    break
            else:
                raise RuntimeError("".join(lines))
            reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
            reader.start()
            yield found[0].replace("0.0.0.0", "127.0.0.1"), process, lines
        finally:
            process.terminate()
            process.wait(240)  # however busy the machine is
        reader.join()


class Visitor:
    """Asks what the page in a browser asks, over HTTP."""

    def __init__(self, address, seconds=120.0):
        self.http = httpx.Client(base_url=address, timeout=seconds)
        self.session = uuid.uuid4().hex[:12]
        self.config = self.http.get("config").json()
        self.names = {item["props"].get("elem_id"): item["id"] for item in self.config["components"]}

    def upload(self, name, data):
        """Send a file; how later messages name it."""
        answer = self.http.post(f"{API}/upload", files={"files": (name, data)})
        answer.raise_for_status()
        return named(answer.json()[0], name)

    def ask(self, control, event, data):
        """Have `control` answer `event`, as if it had just been moved; the first output."""
        target = [self.names[control], event]
        found = [item for item in self.config["dependencies"] if target in map(list, item["targets"])]
        number = next(item["id"] for item in found if len(item["inputs"]) == len(data))
        message = {"data": data, "fn_index": number, "session_hash": self.session, "trigger_id": target[0]}
        joined = self.http.post(f"{API}/queue/join", json=message)
        joined.raise_for_status()
        return self.answer(joined.json()["event_id"])

    def answer(self, event):
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                told = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if told.get("msg") == "process_completed" and told["event_id"] == event:
                    if not told["success"]:
                        raise RuntimeError(told["output"])
                    return told["output"]["data"][0]
        raise RuntimeError("the answer ended early")

    def reconstruct(self, photograph, network="16-16-16", side=512):
        """The first tab's answer as HTML."""
        return self.ask("side", "input", [photograph, network, side])


def named(path, name="photograph.png"):
    """A file as messages name it."""
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def photograph(seed, side=512):
    """A PNG of smooth noise, another for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def memory(process):
    """Megabytes that a process holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


def visit(address, number, until, seconds, failures, network, side):
    """One client, until the clock strikes."""
    try:
        visitor = Visitor(address)
        sent = visitor.upload(f"{number}.png", photograph(number, side))
    except (httpx.HTTPError, RuntimeError, KeyError) as error:
        failures.append(repr(error))
        return
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            html = visitor.reconstruct(sent, network, max(side, 128))
            if "mt-compare" not in html:
                failures.append(html[:300])
        except (httpx.HTTPError, RuntimeError, KeyError) as error:
            failures.append(repr(error))
        seconds.append(time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--network", default="16-16-16")
    parser.add_argument("--side", type=int, default=256)
    asked = parser.parse_args()
    seconds, failures, held = [], [], []
    with served() as (address, process, lines):
        one = Visitor(address)
        sent = one.upload("first.png", photograph(999, asked.side))
        one.reconstruct(sent, asked.network, asked.side)
        alone = []
        for _ in range(5):
            began = time.monotonic()
            one.reconstruct(sent, asked.network, asked.side)
            alone.append(time.monotonic() - began)
        until = time.monotonic() + asked.seconds
        clients = [
            threading.Thread(
                target=visit, args=(address, number, until, seconds, failures, asked.network, asked.side)
            )
            for number in range(asked.clients)
        ]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            held.append(memory(process))
            time.sleep(asked.seconds / 12)
        for client in clients:
            client.join()
    print(f"{os.cpu_count()} cores; {asked.network}, {asked.side}x{asked.side}; {asked.clients} clients")
    print(f"alone: median {statistics.median(alone):.2f} s of {len(alone)} answers")
    middle, slowest = statistics.median(seconds), max(seconds)
    print(f"together: {len(seconds)} answers, {len(failures)} failures")
    print(f"together: median {middle:.2f} s, slowest {slowest:.2f} s")
    every = asked.seconds / 12
    print(f"memory of the server in MB, every {every:.0f} s: {', '.join(f'{mb:.0f}' for mb in held)}")
    for failure in failures[:5]:
        print("failure:", failure)
    print("the server said:", "".join(lines[1:]) or "nothing")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
