"""A step as one graph, on a stand-in for a GPU's; tests/gpu has the real one."""

from contextlib import contextmanager, nullcontext
from unittest.mock import MagicMock

import pytest
import torch

from maxtunnel.training.graph import Graph


class Recorded(torch.cuda.CUDAGraph):
    """Does again, when it is replayed, what it was told to."""

    def __new__(cls):
        return object.__new__(cls)

    def __init__(self):
        pass

    def replay(self):
        self.again()


@pytest.fixture
def steps(monkeypatch):
    """What each step was given: its codes, its target and whether it was recorded or replayed."""
    stream, recording, done = MagicMock(), [], []
    result = torch.zeros(())

    @contextmanager
    def record(graph):
        recording.append(graph)
        yield

    for name, fake in {
        "Stream": lambda: stream, "current_stream": lambda: stream, "stream": lambda _: nullcontext(),
        "CUDAGraph": Recorded, "graph": record,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, fake)

    def step(batch):
        codes, target, what = batch
        assert what is None

        def compute():
            done.append((codes[0].tolist(), target.tolist(), bool(recording)))
            return result.fill_(float(target.sum()))

        if recording:
            recording[-1].again = compute
            return result
        return compute().clone()

    return Graph(step), done


def batch(number, count=2):
    return [torch.full((count,), number, dtype=torch.uint8)], torch.full((count,), float(number)), None


def test_a_step_is_recorded_after_three_and_then_replayed_for_each_batch(steps):
    graph, done = steps
    results = [graph(batch(number)) for number in range(6)]
    assert done == [([n, n], [float(n), float(n)], n >= 3) for n in range(6)]
    # A result stays what it was when the next batch comes.
    assert [float(result) for result in results] == [0, 2, 4, 6, 8, 10]


def test_a_batch_of_another_shape_is_refused_once_the_step_is_recorded(steps):
    graph, done = steps
    for number in range(4):
        graph(batch(number))
    with pytest.raises(ValueError, match=r"a batch holds \(1,\) where the first ones held \(2,\)"):
        graph(batch(4, count=1))
    assert len(done) == 4
