"""Training in memory, and who is told of it."""

from dataclasses import replace

import pytest
import torch

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.loop import TrainingDiverged, fit
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST

pytestmark = pytest.mark.usefixtures("one_thread")


def task_and_batches():
    network = TunnelNetwork(Architecture((4,)), torch.full((3, 8, 8), 0.5), FAST.scale)
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    codes = [level.codes for level in network.encode(images).levels]
    batch = codes, network.normalise(images)
    return Reconstruction(network.decoder, network.scale), lambda step: batch


def test_a_training_in_memory_learns_and_tells_how_it_went():
    told = []
    task, at = task_and_batches()
    done = fit(task, at, replace(FAST, steps=120), None, lambda *news: told.append(news), "the decoder")
    assert done.steps == 120
    assert [step for step, _ in done.curve] == list(range(2, 121, 2))
    assert done.curve[-1][1] < 0.8 * done.curve[0][1]
    assert [news[:3] for news in told] == [("the decoder", steps, 120) for steps in (50, 100, 120)]
    assert all(note.startswith("rmse 0.") for *_, note in told)


def test_a_training_in_memory_that_is_bound_in_time():
    task, at = task_and_batches()
    done = fit(task, at, FAST, seconds=0.2)
    assert done.seconds >= 0.2
    assert done.curve[-1][0] == done.steps


def test_a_training_in_memory_that_diverges_is_named():
    task, at = task_and_batches()
    with pytest.raises(TrainingDiverged, match=r"the loss of the decoder became (nan|inf)"):
        fit(task, at, replace(FAST, steps=100, learning_rate=1e30), name="the decoder")
