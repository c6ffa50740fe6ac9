"""Processes that time, each of them its own way."""

import os
from pathlib import Path

import pytest
import torch

from maxtunnel.benchmark.turns import Crew, Failed, Measured, in_own_process, take_turns


def fails(way):
    raise ValueError(f"no {way}")


def sleeps(seconds, way):
    return lambda: torch.ones(1) * seconds


def raises():
    raise ValueError("nothing")


def dies(way):
    os._exit(1)


def notes(folder, operation, way):
    """Notes in which process it was called; `worse` works the first time alone."""
    if way == "worse" and operation == "decode":
        raise ValueError("no more")
    file = Path(folder, f"{operation} {way}")
    return lambda: file.write_text(str(os.getpid()))


def test_turns():
    slow, fast = take_turns([(1, "stock"), (2, "ours")], sleeps, 2)
    assert min(len(slow.seconds), len(fast.seconds)) >= 6
    assert slow.peak is None or slow.peak >= 0
    with pytest.raises(RuntimeError, match="no stock"):
        take_turns([("stock",)], fails, 1)
    with pytest.raises(RuntimeError, match="died"):
        take_turns([("stock",)], dies, 1)


@pytest.mark.parametrize("lasting", [False, True])
def test_processes_stay_where_starting_one_takes_long(tmp_path, lasting):
    with Crew(notes, lasting) as crew:
        crew.start(["stock", "ours"])
        for operation in ("train", "decode"):
            found = crew.take_turns([(tmp_path, operation, way) for way in ("stock", "worse", "ours")], 1)
            worse = Failed if operation == "decode" else Measured
            assert [type(each) for each in found] == [Measured, worse, Measured]
    assert "ValueError: no more" in found[1].error
    pids = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert str(os.getpid()) not in pids.values()
    assert pids["train stock"] != pids["train ours"]
    assert (pids["train stock"] == pids["decode stock"]) == lasting
    assert (pids["train ours"] == pids["decode ours"]) == lasting


def test_a_process_that_died_is_replaced(tmp_path):
    with Crew(notes, lasting=True) as crew:
        crew.take_turns([(tmp_path, "train", "stock")], 1)
        os.kill(int((tmp_path / "train stock").read_text()), 9)
        (failed,) = crew.take_turns([(tmp_path, "decode", "stock")], 1)
        (again,) = crew.take_turns([(tmp_path, "encode", "stock")], 1)
    assert "died" in failed.error
    assert again.seconds


def test_work_in_a_process_of_its_own():
    assert in_own_process(os.getpid) != os.getpid()
    with pytest.raises(RuntimeError, match="timing failed"):
        in_own_process(raises)


def test_processes_start_anew_where_there_is_a_gpu(monkeypatch):
    """What is forked after a GPU was asked for cannot use it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert in_own_process(started_by_a_fork) is False


def started_by_a_fork():
    import multiprocessing

    return multiprocessing.get_start_method(allow_none=True) != "spawn"
