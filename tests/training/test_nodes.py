"""Trainings that several processes share, started as torchrun starts them on several machines."""

import csv
import os
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import new_network, pictures, short

from maxtunnel.data.images import write_png
from maxtunnel.evaluation import measuring
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.classifier import Classifier
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.progress import silent
from maxtunnel.training import loop
from maxtunnel.training import train as train_module
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import SwitchFeed
from maxtunnel.training.peers import Peers
from maxtunnel.training.phases import Classification, Reconstruction, top1
from maxtunnel.training.runs import resume_run, train
from tools.command_line import refuse

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 100


def launched(rank, port):
    """What torchrun tells each process of two machines with one process each."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "RANK": str(rank), "LOCAL_RANK": "0", "GROUP_RANK": str(rank), "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "1",
    }  # fmt: skip
    torch.set_num_threads(1)


def told(work, rank, port, folder, *arguments):
    """In a process of its own: be one of two, and leave what is said in the end."""
    launched(rank, port)
    try:
        work(rank, folder, *arguments)
        said = "done"
    except (ValueError, OSError) as error:
        said = f"{type(error).__name__}: {error}"
    (folder / f"said-{rank}").write_text(said)


def two(forkserver, work, folder, *arguments):
    """Have two processes do the same; what each said, nothing where it was killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for old in folder.glob("said-*"):
        old.unlink()
    targets = [(work, rank, port, folder, *arguments) for rank in range(2)]
    processes = [forkserver.Process(target=told, args=each) for each in targets]
    for process in processes:
        process.start()
    for process in processes:
        # Without anybody noticing the other's end this would take half an hour.
        process.join(300)
        assert process.exitcode is not None, process.kill()
    found = [folder / f"said-{rank}" for rank in range(2)]
    return [path.read_text() if path.exists() else "" for path in found]


def options(**changes):
    return dict(val=str(Path("val")), steps=STEPS, batch=4, precision="32", size=32, **changes)


def start(rank, folder, killed_at):
    """Train on two machines, of which the second may be lost; its photographs are read there."""
    os.chdir(folder)
    loop.CHECKPOINT_SECONDS = 0.0
    at, rmse = SwitchFeed.at, train_module._rmse

    def die_at(feed, step):
        if step == killed_at and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return at(feed, step)

    def measured(session, feed, images):
        # Of two pieces each process measures one, and both know of both.
        found = rmse(session, feed, images)
        assert found == pytest.approx(evaluate(session.network, "val", size=32).rmse, rel=1e-5)
        return found

    SwitchFeed.at, train_module._rmse = die_at, measured
    train("8-8", "photographs", "run", nodes=2, **options(target_rmse=1e-9))


def go_on(rank, folder, elsewhere):
    """Resume it; the second machine may have another folder of this name, or none."""
    os.chdir(folder if rank == 0 else folder / elsewhere)
    # Of two batches each process measures one.
    measuring._BATCHES = 1
    network, _ = resume_run(Path("run"))
    record, alone = network.provenance.training, evaluate(network, folder / "val", size=32)
    assert (record.rmse, record.rmse_ci95) == (alone.rmse, alone.rmse_ci95)
    assert record.stored_bits_per_pixel == alone.bits_per_pixel.stored


def rows(run):
    return [
        [float(value) for value in row[:3]]
        for row in list(csv.reader((run / "metrics.csv").read_text().splitlines()))[1:]
    ]


def test_a_machine_that_is_lost_is_told_of_and_the_run_goes_on_as_one_process_would(
    tmp_path, forkserver, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name, which in (("photographs", slice(0, 2)), ("val", slice(1, 4))):
        for number, picture in enumerate(pictures(which)):
            write_png(tmp_path / name / f"{number:02d}.png", picture)
    one = train("8-8", "photographs", "one", **options(target_rmse=1e-9))

    said = two(forkserver, start, tmp_path, 60)
    assert said[0].startswith("PeerLost: process 0 of 2 lost another one")
    assert said[0].endswith("start all of them again, with: maxtunnel train --resume run")
    assert said[1] == ""

    (tmp_path / "lone").mkdir()
    said = two(forkserver, go_on, tmp_path, "lone")
    assert said[0].startswith("PeerLost: process 0 of 2")
    assert "run is no run" in said[1]
    assert "storage that all of them share" in said[1]

    assert two(forkserver, go_on, tmp_path, ".") == ["done", "done"]
    np.testing.assert_allclose(rows(tmp_path / "run"), rows(tmp_path / "one"), 1e-4)
    both = TunnelNetwork.load(tmp_path / "run" / "model.safetensors")
    assert both.provenance.training.rmse == pytest.approx(one.provenance.training.rmse, rel=1e-4)
    assert both.provenance.training.val_images == one.provenance.training.val_images == 48


def test_several_machines_without_a_launcher_are_told_what_to_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refuse("train", "8-8", "--data", "my photographs", "--out", "run", "--nodes", 3, "--devices", 4)
    line = (
        f"torchrun --nnodes=3 --node-rank=0 --nproc-per-node=4 --master-addr={socket.gethostname()} "
        "--master-port=29500 -m maxtunnel train 8-8 --data 'my photographs' --out run --nodes 3 --devices 4"
    )
    # Nothing was read before: there are no photographs of this name.
    assert "no launcher has started this process" in told
    assert told.endswith(f"with --node-rank=1 to 2 in the place of 0 on the other machines: {line}")


def test_processes_that_torchrun_started_must_be_as_many_as_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", "4")
    for options in ([], ["--nodes", 2]):
        told = refuse("train", "8-8", "--data", "photographs", "--out", "run", *options)
        assert "the launcher started 4 processes" in told


class Alone(Peers):
    """One of several processes, which knows of its own share only."""

    def total(self, values):
        self.share = values
        return values


def test_accuracy_is_measured_by_all_processes_each_its_pieces():
    data, labels = pictures(slice(0, 4)), torch.arange(64) % 3
    network = new_network()
    task = Classification(network, Classifier(network.architecture, 3, (32, 32), torch.Generator()))
    shares = [top1(task, network, data, labels, Alone(rank, 2)) for rank in range(2)]
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(top1(task, network, data, labels))


def test_each_process_measures_pieces_of_what_one_would(tmp_path):
    network, config = new_network(), TrainingConfig(recipe=short(5))
    session = loop.Session(network, Reconstruction(network.decoder, network.scale), tmp_path, config)
    val = pictures(slice(1, 4))[:40]

    def squares(rank, ranks):
        session.peers = Alone(rank, ranks)
        train_module._target(session, val, 1e-9, silent)()
        return session.peers.share

    alone = squares(0, 1)
    assert len(alone) == 2
    assert min(alone) > 0
    # To the last bit, also where one of them has nothing to measure.
    for ranks in (2, 3):
        assert torch.equal(sum(squares(rank, ranks) for rank in range(ranks)), alone)


class Others(Peers):
    """Processes that each give a number."""

    def __init__(self, *numbers):
        super().__init__(0, len(numbers))
        self._numbers = torch.tensor(numbers, dtype=torch.float64)

    def total(self, values):
        return self._numbers


def test_machines_that_hold_different_states_are_told_apart(tmp_path):
    network, config = new_network(), TrainingConfig(recipe=short(5))
    task = Reconstruction(network.decoder, network.scale)
    session = loop.Session(network, task, tmp_path / "run", config)
    session.peers = Others(100, 100)
    session._check_same_state()
    session.peers = Others(100, 0)
    with pytest.raises(ValueError, match=r"run differs between machines: .* at the steps \[100, 0\]"):
        session._check_same_state()
    # Nor do machines go on that read different photographs.
    with pytest.raises(ValueError, match=r"`photographs` differ .* processes read \[100, 0\]"):
        train_module._check_same(session, pictures(), None)
