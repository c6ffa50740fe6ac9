"""A real cluster of two nodes on this machine: every command's work, a worker killed in the middle of each.

The results are those of one process, to the last digit.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.auditing.loading import load_target
from maxtunnel.auditing.origin import hash_of_weights
from maxtunnel.auditing.samples import Again, sample
from maxtunnel.codec.dataset import encode_dataset
from maxtunnel.codec.files import encode_files
from maxtunnel.data import open_store, preparation, prepare, read_photographs
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.comparison import evaluate_models
from maxtunnel.models.checkpoint import hash_tensors
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.jobs import Training, do_all
from maxtunnel.paper.table import ROWS
from maxtunnel.scale.cluster import start_engine
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import silent

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # Ray's own: sockets that it leaves to the collector, and processes that its own threads fork.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning:ray"),
]


@pytest.fixture(scope="module")
def spread(cluster):
    """The engine on that cluster."""
    with start_engine("ray", cluster.address) as engine:
        yield engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A hundred small photographs in two folders, whose names are the same; one of them is broken."""
    place = tmp_path_factory.mktemp("photographs")
    random, images = np.random.default_rng(0), list(demo_photographs().values())
    for number in range(100):
        top, left = random.integers(0, 256 - 64, 2)
        pixels = images[number % 4][:, top : top + 48, left : left + 64].permute(1, 2, 0).numpy()
        (place / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / "ab"[number % 2] / f"{number // 2:03d}.jpg")
    (place / "b" / "031.jpg").write_bytes(b"no photograph")
    return place


@contextmanager
def one_killed(cluster):
    """A worker that is doing a part is killed meanwhile."""
    killed, over = [], threading.Event()

    def kill():
        while not killed and not over.is_set():
            for worker in busy(cluster):
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
                break
            time.sleep(0.002)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert killed


def busy(cluster):
    """The processes of the cluster's workers that are doing a part."""
    for node in cluster.list_all_nodes():
        for raylet in node.all_processes["raylet"]:
            children = Path(f"/proc/{raylet.process.pid}/task/{raylet.process.pid}/children").read_text()
            for child in children.split():
                if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"ray::maxtunnel"):
                    yield int(child)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_encode_gives_the_same_files_and_no_name_twice(cluster, spread, folder, tmp_path):
    with one_killed(cluster):
        written, skipped = encode_files(folder, "8-8-8", tmp_path / "ray", spread=spread)
    alone, skipped_alone = encode_files(folder, "8-8-8", tmp_path / "alone")
    assert contents(tmp_path / "ray") == contents(tmp_path / "alone")
    assert [(path.name, bits) for path, bits in written] == [(path.name, bits) for path, bits in alone]
    assert len({path for path, _ in written}) == 99
    assert skipped == skipped_alone
    assert [path for path, _ in skipped] == [folder / "b" / "031.jpg"]


def test_a_data_set_is_the_same_and_is_gone_on_with(cluster, spread, folder, tmp_path):
    with one_killed(cluster):
        made = encode_dataset(folder, "8-8-8", tmp_path / "ray", part_size=12, spread=spread)
    assert made == encode_dataset(folder, "8-8-8", tmp_path / "alone", part_size=12)
    assert contents(tmp_path / "ray") == contents(tmp_path / "alone")
    seen = []

    def stop(phase, done, total, note):
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_dataset(folder, "8-8-8", tmp_path / "cut", part_size=12, spread=spread, on_progress=stop)
    whole = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut" / "_parts").iterdir()}
    assert len(whole) >= 3
    there = [tmp_path / "cut" / f"part-{path.stem}.parquet" for path in whole]
    before = [path.stat().st_mtime_ns for path in there]
    assert encode_dataset(folder, "8-8-8", tmp_path / "cut", part_size=12, spread=spread) == made
    assert [path.stat().st_mtime_ns for path in there] == before


def test_a_store_is_the_same(cluster, spread, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 20)
    with one_killed(cluster):
        manifest = prepare(folder, tmp_path / "ray", size=32, spread=spread)
    alone = prepare(folder, tmp_path / "alone", size=32)
    assert manifest.content_sha256 == alone.content_sha256
    assert contents(tmp_path / "ray") == contents(tmp_path / "alone")
    assert [name for name, _ in manifest.skipped] == ["b/031.jpg"]
    assert not list(tmp_path.glob(".*"))


def test_an_evaluation_is_the_same_to_the_last_digit(cluster, spread, folder, tmp_path):
    models = ["8-8-8", "16-16-16"]
    with one_killed(cluster):
        found, differences, skipped = evaluate_models(
            models, folder, size=32, bits_images=20, rows=tmp_path / "rows", spread=spread
        )
    alone, differences_alone, skipped_alone = evaluate_models(models, folder, size=32, bits_images=20)
    assert abs(found[0].rmse - alone[0].rmse) <= 1e-12
    assert (found, differences, skipped) == (alone, differences_alone, skipped_alone)
    assert found[0].images == 99
    again, _, _ = evaluate_models(
        models, folder, size=32, bits_images=20, rows=tmp_path / "rows", spread=refuse
    )
    assert again == found


def refuse(work, parts, whole_node=False):
    """An engine that has nothing to do."""
    assert len(parts) == 0
    return iter(())


def test_a_capture_is_the_same(cluster, spread, folder, tmp_path):
    (tmp_path / "model.py").write_text(
        "import torch\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))\n"
        "def unseeded():\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))\n"
    )
    pixels = read_photographs(folder, 64).pixels
    name = f"{tmp_path / 'model.py'}:build"
    target = load_target(name, "imagenet")
    again = Again(name, "imagenet", None, hash_of_weights(target.model))
    with one_killed(cluster):
        found = sample(target, pixels, spread=spread, again=again)
    alone = sample(target, pixels)
    assert all(torch.equal(a, b) for a, b in zip(found.packed, alone.packed, strict=True))
    assert torch.equal(found.features, alone.features)
    assert torch.equal(found.rms, alone.rms)
    other = replace(again, text=f"{tmp_path / 'model.py'}:unseeded")
    with pytest.raises(ValueError, match="has other weights in each process"):
        sample(target, pixels, spread=spread, again=other)


def test_runs_of_a_reproduction_are_the_same(cluster, spread, folder, tmp_path):
    prepare(folder, tmp_path / "train", size=16)
    networks = {}
    for name in ("ray", "alone"):
        training = Training(tmp_path / "train", tmp_path / "train", tmp_path / name, "fast", 4, 16, 99)
        jobs = [*training.jobs(ROWS[0], 0), *training.jobs(ROWS[0], 1)]
        if name == "ray":
            with one_killed(cluster):
                do_all(jobs, training, silent, spread=spread)
        else:
            do_all(jobs, training, silent)
        networks[name] = [TunnelNetwork.load(job.folder / "model.safetensors") for job in jobs]
    # Files say how long a run took, too.
    hashes = {name: [hash_tensors(one.state_dict()) for one in found] for name, found in networks.items()}
    assert hashes["ray"] == hashes["alone"]
    assert len(set(hashes["ray"])) == 2


def test_a_command_starts_a_cluster_of_its_own(tmp_path):
    for number, pixels in enumerate(demo_photographs().values()):
        Image.fromarray(pixels[:, :48, :64].permute(1, 2, 0).numpy()).save(tmp_path / f"{number}.png")
    command = shlex.split(f"{sys.executable} -m maxtunnel encode . -m 8-8-8 -o ray --engine ray")
    # Of a cluster that tests have joined it knows nothing.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    # One processor, and so one worker, is enough to see that there is a cluster.
    outside["RAY_OVERRIDE_RESOURCES"] = '{"CPU": 1}'
    done = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True, timeout=300)
    # A slow machine is told of progress there.
    assert (done.returncode, "ray" in done.stderr.lower()) == (0, False), done.stderr
    assert len(done.stdout.splitlines()) == 4
    encode_files(tmp_path, "8-8-8", tmp_path / "alone")
    assert contents(tmp_path / "ray") == contents(tmp_path / "alone")


def test_what_a_part_says_is_heard(spread, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photograph")
    with pytest.raises(FormatError, match=r"^[^\n]*bad.jpg is no image that can be read[^\n]*$"):
        prepare(tmp_path, tmp_path / "store", size=16, strict=True, spread=spread)
    with pytest.raises(FormatError, match="cannot be read"):
        open_store(prepare(tmp_path / "none", tmp_path / "store", size=16, spread=spread))
