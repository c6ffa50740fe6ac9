"""Training on a GPU: the loss falls as on a CPU, runs go on where they stopped, memory stays flat."""

import csv
import os
import signal
from dataclasses import replace

import pytest
import torch

from maxtunnel.data.batches import Order
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import KeptSwitches, SwitchFeed
from maxtunnel.training.loop import Session, TrainingStopped
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST, FAST_PRETRAIN, PAPER
from maxtunnel.training.train import train_decoder, train_encoder

pytestmark = pytest.mark.gpu

# Their rates differ from layer to layer.
WIDTHS = (4, 16)
RECIPES = {
    "fast": replace(FAST, batch=8),
    "float32": replace(FAST, batch=8, precision="32"),
    "paper": replace(PAPER, batch=8),
}


@pytest.fixture
def same_algorithms(monkeypatch):
    """cuDNN may add up in another order in every run unless it is told not to."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def new_network(recipe):
    mean = torch.full((3, 64, 64), 0.5)
    return TunnelNetwork(Architecture(WIDTHS), mean, recipe.scale, seed=1)


def train(run, pixels, name="fast", steps=200, **options):
    recipe = replace(RECIPES[name], steps=steps)
    return train_decoder(new_network(recipe), pixels, run, TrainingConfig(recipe=recipe), **options)


def losses(run):
    with (run / "metrics.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def weights(network):
    return torch.cat([p.detach().cpu().flatten() for p in network.parameters()])


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_falls(device, pieces, tmp_path, name):
    network = train(tmp_path / "run", pieces, name)
    found = losses(tmp_path / "run")
    # The paper's rate is slow.
    assert found[-1] < (0.97 if name == "paper" else 0.8) * found[0]
    assert network.device.type == device.type
    assert TunnelNetwork.load(tmp_path / "run" / "model.safetensors").device.type == "cpu"


@pytest.mark.parametrize("name", ["float32", "paper"])
def test_the_first_steps_are_those_of_a_cpu(device, pieces, tmp_path, name):
    """With each layer's own learning rate, before and after the steps are replayed as a graph."""
    ours = train(tmp_path / "gpu", pieces, name, steps=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        theirs = train(tmp_path / "cpu", pieces, name, steps=20)
    assert ours.device.type == device.type
    assert theirs.device.type == "cpu"
    start = new_network(RECIPES[name])
    moved = float((weights(theirs) - weights(start)).norm())
    assert float((weights(ours) - weights(theirs)).norm() / moved) < 0.1
    before, *after = (network.decoder.cpu().state_dict() for network in (start, ours, theirs))
    for key, weight in before.items():
        mine, its = (float((tensors[key] - weight).norm()) for tensors in after)
        assert mine == pytest.approx(its, rel=0.1), key


@pytest.mark.usefixtures("same_algorithms")
@pytest.mark.parametrize("name", ["fast", "paper"])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(device, pieces, tmp_path, name, monkeypatch):
    whole = train(tmp_path / "whole", pieces, name)
    at = SwitchFeed.at

    def interrupted_at(feed, number):
        if number == 77:
            os.kill(os.getpid(), signal.SIGINT)
        return at(feed, number)

    with monkeypatch.context() as patch:
        patch.setattr(SwitchFeed, "at", interrupted_at)
        with pytest.raises(TrainingStopped):
            train(tmp_path / "run", pieces, name)
    resumed = train(tmp_path / "run", pieces, name, resume=True)
    assert torch.equal(weights(resumed), weights(whole))
    assert losses(tmp_path / "run")[-1] == losses(tmp_path / "whole")[-1]


def test_a_run_that_is_bound_in_time_undoes_the_steps_that_it_tried(device, pieces, tmp_path):
    """The state that a trial leaves, and whatever was recorded in it, must not reach the run."""
    recipe = RECIPES["fast"]
    config = TrainingConfig(recipe=recipe, minutes=0.05)
    network = train_decoder(new_network(recipe), pieces, tmp_path / "run", config)
    found = losses(tmp_path / "run")
    assert found[-1] < found[0]
    assert bool(weights(network).isfinite().all())
    short = TrainingConfig(recipe=replace(recipe, steps=60))
    sessions = []
    for tries in (False, True):
        net = new_network(recipe).to(device)
        run = tmp_path / f"session{tries}"
        session = Session(net, Reconstruction(net.decoder, net.scale), run, short)
        feed = SwitchFeed(net, pieces.to(device), session.order(len(pieces)), 60)
        if tries:
            session._seconds_per_step(feed.at)
        for step in range(30):
            session.step(step, feed.at(step))
        sessions.append(session)
    first, second = (session.state.tensors() for session in sessions)
    assert first.keys() == second.keys()
    for key, tensor in first.items():
        torch.testing.assert_close(tensor.cpu(), second[key].cpu(), rtol=0.02, atol=0.02, msg=key)


def test_an_encoder_learns_to_classify(device, pieces, tmp_path):
    labels = torch.arange(len(pieces)) // 16
    recipe = replace(FAST_PRETRAIN, batch=8, steps=200)
    config = TrainingConfig(phase="pretrain", recipe=recipe)
    network = train_encoder(
        new_network(recipe), pieces, labels, tmp_path / "run", config, val=(pieces, labels)
    )
    found = losses(tmp_path / "run")
    assert found[-1] < 0.8 * found[0]
    assert network.provenance.pretraining.top1 > 0.4


def test_kept_switches_are_those_of_the_encoder(device, pieces, few_differ):
    network = new_network(FAST).to(device)
    order = Order(len(pieces), 8, 0, True, True)
    kept = KeptSwitches(network, pieces.to(device), mirrored=True)
    numbers, mirrored = order.at(3)
    pixels = pieces[numbers]
    images = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels).float() / 255
    expected = network.encode(images.to(device))
    levels = [
        level.with_codes(codes)
        for level, codes in zip(expected.levels, kept.at(numbers, mirrored), strict=True)
    ]
    few_differ(replace(expected, levels=tuple(levels)), expected)


@pytest.mark.parametrize("kept", [True, False])
def test_steps_keep_no_memory(device, pieces, tmp_path, kept):
    network = new_network(FAST).to(device)
    config = TrainingConfig(recipe=RECIPES["fast"])
    session = Session(network, Reconstruction(network.decoder, network.scale), tmp_path / "run", config)
    feed = SwitchFeed(network, pieces.to(device), session.order(len(pieces)), 10**6 if kept else 0)
    for step in range(20):
        session.step(step, feed.at(step))
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    for step in range(20, 120):
        session.step(step, feed.at(step))
    after = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    # Nothing of a hundred steps is left; the last one's result may be.
    assert after - before < 2**16
