"""Encoders that learn on a GPU: the step is replayed as a graph, each time with the noise of its own step."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.surrogate import Temperatures, gumbel, one_hot, switch
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.pooling import pool
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import LearningFeed
from maxtunnel.training.loop import TrainingStopped
from maxtunnel.training.recipes import LEARNED
from maxtunnel.training.train import train_decoder

pytestmark = pytest.mark.gpu


def new_network(text="4-8", strong_width=16):
    mean = torch.full((3, 64, 64), 0.5)
    return TunnelNetwork(Architecture.parse(text), mean, LEARNED["strong"].scale, 1, strong_width)


def config(steps, decoder="strong", **changes):
    recipe = replace(LEARNED[decoder], steps=steps, batch=8, **changes)
    return TrainingConfig(recipe=recipe, decoder=decoder, encoder="learned")


@pytest.mark.parametrize(
    ("text", "decoder"), [("4-8", "strong"), ("4-8+linear+inside12", "strong"), ("4-8", "mirrored")]
)
@pytest.mark.parametrize("rate_weight", [0.0, 1e-3])
def test_encoder_and_decoder_learn_together(device, pieces, tmp_path, text, decoder, rate_weight):
    network = new_network(text, 16 if decoder == "strong" else None)
    before = network.encoder_hash()
    asked = config(100, decoder, rate_weight=rate_weight)
    train_decoder(network, pieces, tmp_path, asked, val=pieces)
    assert network.device.type == device.type
    assert network.encoder_hash() != before
    untrained = new_network(text, network.strong_width)
    train_decoder(untrained, pieces, tmp_path / "one", config(1, decoder), val=pieces)
    assert network.provenance.training.rmse < 0.8 * untrained.provenance.training.rmse


def test_without_noise_the_switches_are_those_of_pooling(device):
    x = torch.randn(2, 3, 32, 32, device=device).round(decimals=1)
    temperature = Temperatures((3,), 1.0).to(device)(1)
    _, shares = switch(x, temperature, torch.zeros(2, 3, 4, 16, 16, device=device))
    assert torch.equal(shares, one_hot(pool(x)[1]))
    noise = gumbel((2, 3, 4, 16, 16), torch.Generator(device).manual_seed(0))
    assert not torch.equal(switch(x, temperature, noise)[1], shares)


def test_a_stopped_run_goes_on_with_the_noise_of_its_steps(device, pieces, tmp_path, monkeypatch):
    """Within what sums in another order come to."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    asked = config(100, precision="32")
    whole = train_decoder(new_network(), pieces, tmp_path / "whole", asked)
    at = LearningFeed.at

    def interrupted_at(feed, step):
        if step == 60:
            os.kill(os.getpid(), signal.SIGINT)
        return at(feed, step)

    monkeypatch.setattr(LearningFeed, "at", interrupted_at)
    with pytest.raises(TrainingStopped):
        train_decoder(new_network(), pieces, tmp_path / "run", asked)
    monkeypatch.setattr(LearningFeed, "at", at)
    resumed = train_decoder(new_network(), pieces, tmp_path / "run", asked, resume=True)
    pairs = zip(whole.parameters(), resumed.parameters(), strict=True)
    assert all(torch.allclose(a, b, rtol=0.02, atol=0.02) for a, b in pairs)
