"""Encoders that learn through their switches: with either decoder, from any start, resumed bit for bit."""

import json
import math
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_runs import pictures, weights

from maxtunnel.data.batches import Order
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.hub import model_card
from maxtunnel.models.surrogate import one_hot
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training import train as train_module
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import LearningFeed
from maxtunnel.training.loop import Session, TrainingStopped
from maxtunnel.training.phases import Learning
from maxtunnel.training.recipes import LEARNED, recipe_of
from maxtunnel.training.runs import make_config, start_run, train
from maxtunnel.training.train import train_decoder

pytestmark = pytest.mark.usefixtures("one_thread")
begin = Session._begin
QUICK = {"steps": 3, "batch": 4, "size": 16, "precision": "32"}


def new_network(text="8-8", strong_width=12, scale=4.0):
    mean = torch.full((3, 32, 32), 0.5)
    return TunnelNetwork(Architecture.parse(text), mean, scale, strong_width=strong_width)


def config(steps, decoder="strong", encoder="learned", **changes):
    base = LEARNED[decoder] if encoder == "learned" else recipe_of("train", "fast", decoder)
    recipe = replace(base, steps=steps, batch=4, precision="32", **changes)
    return TrainingConfig(recipe=recipe, decoder=decoder, encoder=encoder)


@pytest.mark.parametrize(
    ("text", "decoder", "steps", "rate"),
    [("2", "strong", 80, 1e-2), ("4", "mirrored", 120, 0.02)],
    ids=["strong", "mirrored"],
)
def test_learned_switches_tell_more_than_those_of_a_random_encoder(tmp_path, text, decoder, steps, rate):
    data, errors = pictures()[:, :, 8:24, 8:24], {}
    for encoder in ("random", "learned"):
        network = new_network(text, 8 if decoder == "strong" else None)
        asked = config(steps, decoder, encoder, learning_rate=rate)
        train_decoder(network, data, tmp_path / encoder, asked)
        errors[encoder] = evaluate(network, data, bits_images=0).rmse
    assert errors["learned"] < 0.95 * errors["random"]
    loaded = TunnelNetwork.load(tmp_path / "learned" / "model.safetensors")
    assert torch.equal(weights(loaded), weights(network))
    assert loaded.provenance.encoder == "learned"
    assert not any(p.requires_grad for p in network.encoder.parameters())


@pytest.mark.parametrize(
    ("text", "strong_width", "rate_weight"), [("4-4", 4, 0.0), ("2-2+linear+inside3", None, 1e-3)]
)
def test_an_interrupted_run_ends_bit_for_bit_like_one_that_was_not(tmp_path, text, strong_width, rate_weight):
    data = pictures(slice(0, 1))[:6, :, :8, :8]
    asked = config(60, "mirrored" if strong_width is None else "strong", rate_weight=rate_weight)
    whole = train_decoder(new_network(text, strong_width), data, tmp_path / "whole", asked)

    def interrupt(phase, done, of, note):
        if done == 50:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingStopped, match="stopped at step 51 of 60"):
        train_decoder(new_network(text, strong_width), data, tmp_path / "run", asked, on_progress=interrupt)
    stopped = TunnelNetwork.load(tmp_path / "run" / "model.safetensors")
    resumed = train_decoder(stopped, data, tmp_path / "run", asked, resume=True)
    assert torch.equal(weights(resumed), weights(whole))
    states = [load_file(tmp_path / run / "state.safetensors") for run in ("whole", "run")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any("temperatures" in name for name in states[0])
    assert any("module.rate" in name for name in states[0]) == (rate_weight > 0)


def test_encoder_and_decoder_are_both_averaged(tmp_path):
    data = pictures(slice(0, 1))
    network = train_decoder(new_network("2-2", 4), data, tmp_path / "run", config(12, average=0.5))
    state = load_file(tmp_path / "run" / "state.safetensors")
    for name, p in network.named_parameters():
        assert not torch.equal(state[f"module.network.{name}"], p), name


def test_noise_fades_to_none_and_is_the_same_for_a_step():
    recipe = replace(LEARNED["strong"], steps=60, noise=2.0)
    assert recipe.noise_at(0) == 2.0
    assert recipe.noise_at(25) == pytest.approx(1.0)
    assert recipe.noise_at(50) == recipe.noise_at(59) == 0
    data = pictures(slice(0, 1))
    feeds = [
        LearningFeed(new_network(), data, Order(16, 4, 0, True, True, rank, 2), 0, recipe.noise_at)
        for rank in (0, 0, 1)
    ]
    first, again, other = (feed.at(7)[1] for feed in feeds)
    assert [tuple(each.shape) for each in first] == [(2, 8, 4, 16, 16), (2, 8, 4, 8, 8)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], feeds[0].at(8)[1][0])
    assert all(not bool(each.any()) for each in feeds[0].at(50)[1])


def test_bits_are_paid_for_as_the_weight_says():
    network = new_network("4-4+linear", 4)
    network.encoder.requires_grad_(True)
    target = network.normalise(pictures(slice(0, 1))[:2, :, :16, :16].float() / 255)
    noise = [torch.zeros(2, 4, 4, 8, 8), torch.zeros(2, 4, 4, 4, 4)]
    tasks = [
        Learning(network, replace(LEARNED["strong"], rate_weight=weight)) for weight in (0.0, 0.01, 0.02)
    ]
    losses, errors = zip(*(task(target, noise) for task in tasks), strict=True)
    assert errors[0] == errors[1] == errors[2]
    # Mean squared error plus bits a value, in units of the loss.
    code = network.encode(pictures(slice(0, 1))[:2, :, :16, :16].float() / 255)
    with torch.no_grad():
        bits = tasks[1].rate([one_hot(level.codes) for level in code.levels])
    unit = target.numel() * network.scale**2 / (2 * len(target))
    torch.testing.assert_close(losses[0].detach(), errors[0] * unit)
    torch.testing.assert_close(losses[1].detach(), (errors[0] + 0.01 * bits / target.numel()) * unit)
    assert float((losses[2] - losses[1]).detach()) > 0
    paid = torch.autograd.grad(losses[2] - losses[1], list(network.encoder.parameters()))
    assert all(bool(gradient.isfinite().all()) for gradient in paid)
    assert any(bool(gradient.any()) for gradient in paid)


def test_it_starts_from_a_draw_a_pretrained_encoder_or_a_whole_network(tmp_path, photographs_folder):
    pretrain = make_config("pretrain", "fast", photographs_folder, None, **QUICK)
    pretrained, _ = start_run("4-4", pretrain, tmp_path / "encoder")
    # With another kind of decoder: that is new.
    first = train(
        "4-4", photographs_folder, tmp_path / "first", encoder="learned", decoder="strong", width=8,
        start=str(tmp_path / "encoder"), **QUICK,
    )  # fmt: skip
    assert first.strong_width == 8
    assert first.provenance.pretraining == pretrained.provenance.pretraining
    assert first.provenance.earlier is None
    assert first.encoder_hash() != pretrained.encoder_hash()
    change = _distance(first.encoder, pretrained.encoder)
    assert change < 0.5 * _distance(first.encoder, new_network("4-4", 8).encoder)
    # With the same one: both go on.
    second = train(
        "4-4", photographs_folder, tmp_path / "second", encoder="learned", decoder="strong",
        start=str(tmp_path / "first"), **QUICK,
    )  # fmt: skip
    assert second.provenance.earlier == first.provenance.training
    assert second.strong_width == 8
    assert _distance(second, first) < 0.5 * _distance(second, new_network("4-4", 8))
    # From then on the encoder counts as learned, whatever decoder is put on it.
    third = train("4-4", photographs_folder, tmp_path / "third", encoder=str(tmp_path / "second"), **QUICK)
    assert third.encoder_hash() == second.encoder_hash()
    assert third.provenance.encoder == "learned"
    assert third.provenance.learning == second.provenance.training
    assert TunnelNetwork.load(tmp_path / "third" / "model.safetensors").provenance == third.provenance
    card = model_card(third.architecture, 1, 1.0, third.provenance)
    assert "| encoder | learned |" in card
    assert "| learned on |" in card


def _distance(one, other):
    return float((weights(one) - weights(other)).norm())


def test_the_noise_follows_the_steps_that_a_run_comes_to(tmp_path, monkeypatch):
    """A run that is bound in time learns on the way how many they are."""
    amounts = []
    at = LearningFeed.at

    def noted(feed, step):
        found = at(feed, step)
        amounts.append((step, bool(found[1][0].any())))
        return found

    def fewer(session):
        session.config = replace(session.config, recipe=replace(session.config.recipe, steps=12))

    monkeypatch.setattr(LearningFeed, "at", noted)
    monkeypatch.setattr(Session, "_begin", lambda session, at: (fewer(session), begin(session, at))[1])
    train_decoder(new_network("2", 4), pictures(slice(0, 1)), tmp_path / "run", config(3000))
    assert amounts == [(step, step < 10) for step in range(12)]


def test_a_target_is_measured_with_the_switches_of_the_moment(tmp_path, monkeypatch):
    """Not with those of the encoder that it began with."""
    data, found = pictures(slice(0, 1)), []
    images = data.float() / 255
    rmse = train_module._rmse

    def noted(session, feed, count):
        network = session.network
        found.append((rmse(session, feed, count), float((network(images) - images).square().mean().sqrt())))
        return 1.0

    monkeypatch.setattr(train_module, "_rmse", noted)
    asked = replace(config(60, learning_rate=3e-3), target_rmse=0.01)
    network = train_decoder(new_network("2", 4), data, tmp_path / "run", asked, val=data)
    assert len(found) == 1
    assert all(a == pytest.approx(b, rel=1e-5) for a, b in found)
    assert network.encoder_hash() != new_network("2", 4).encoder_hash()


def test_contradicting_settings_are_refused(photographs_folder, tmp_path):
    with pytest.raises(ValueError, match="`rate_weight` is what switches cost an encoder that learns"):
        make_config("train", "fast", photographs_folder, None, rate_weight=0.1)
    for wrong in (-0.1, math.nan):
        with pytest.raises(ValueError, match=r"`rate_weight` is .*: expected a number from 0"):
            make_config("train", "fast", photographs_folder, None, encoder="learned", rate_weight=wrong)
    none = make_config("train", "fast", photographs_folder, None, encoder="learned", rate_weight=0.0)
    assert none.recipe.rate_weight == 0
    with pytest.raises(ValueError, match="an encoder that is not trained with it"):
        recipe_of("train", "paper", "mirrored", learned=True)
    new_network("4-4").save(tmp_path / "model.safetensors")
    asked = make_config(
        "train", "fast", photographs_folder, None, encoder="learned", start=str(tmp_path), **QUICK
    )
    with pytest.raises(ValueError, match=r"cannot become a 4-4\+linear"):
        start_run("4-4+linear", asked, tmp_path / "run")


def test_a_weight_of_the_rate_without_the_relu_is_warned_of(caplog):
    recipe = replace(LEARNED["strong"], rate_weight=0.001)
    Learning(new_network("4-4", 4), recipe)
    Learning(new_network("4-4+linear", 4), LEARNED["strong"])
    assert caplog.text == ""
    Learning(new_network("4-4+linear", 4), recipe)
    assert "saves little with 4-4+linear" in caplog.text


def test_the_config_says_all_that_it_takes_to_go_on(photographs_folder, tmp_path):
    asked = make_config(
        "train", "fast", photographs_folder, None, encoder="learned", rate_weight=0.25, **QUICK
    )
    start_run("4-4+linear", asked, tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["encoder"] == "learned"
    assert saved["recipe"]["rate_weight"] == 0.25
    assert saved["recipe"]["noise"] > 0
    assert TrainingConfig.load(tmp_path) == replace(asked, recipe=asked.recipe.resolved())
