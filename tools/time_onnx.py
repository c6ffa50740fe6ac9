"""Times exported networks in onnxruntime against the package itself, one photograph at a time, in one thread.

    python tools/time_onnx.py 8-8-8 16-16-16 16-16-16-strong

prints, as Markdown, the least milliseconds of many rounds, in which the ways take turns.
"""

import sys
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch

from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.export import export_network
from maxtunnel.zoo.names import load

ROUNDS, SECONDS = 5, 2.0


def session(network, folder, part):
    path = Path(folder) / f"{part}.onnx"
    export_network(network, path, part)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ways(network, size, encoder, decoder):
    """Four functions of nothing: encode here, encode there, decode here, decode there."""
    images = to_float(resize(demo_photographs()["chelsea"], (size, size)))[None]
    code = network.encode(images)
    given = {f"level{number}": level.codes.numpy() for number, level in enumerate(code.levels, 1)}
    return (
        lambda: network.encode(images),
        lambda: encoder.run(None, {"image": images.numpy()}),
        lambda: network.decode(code),
        lambda: decoder.run(None, given),
    )


def least(functions):
    """The least seconds of each, in turns."""
    found = [float("inf")] * len(functions)
    began, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - began < SECONDS:
        for place, function in enumerate(functions):
            start = time.perf_counter()
            function()
            found[place] = min(found[place], time.perf_counter() - start)
        rounds += 1
    return found


def main(names):
    torch.set_num_threads(1)
    print("| network | pixels | encode, ours | onnxruntime | decode, ours | onnxruntime |")
    print("|---|---|---|---|---|---|")
    for name in names:
        network = load(name)
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            sessions = [session(network, folder, part) for part in ("encoder", "decoder")]
            for size in (128, 256):
                times = least(ways(network, size, *sessions))
                cells = " | ".join(f"{1000 * seconds:.1f} ms" for seconds in times)
                print(f"| {name} | {size}x{size} | {cells} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
