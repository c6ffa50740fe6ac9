"""Training of strong decoders: they learn, resume bit for bit, start from others, average their weights."""

import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_runs import pictures, weights

from maxtunnel.data.images import to_float
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.average import Average
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import SwitchFeed, WithholdingFeed
from maxtunnel.training.loop import TrainingStopped
from maxtunnel.training.recipes import FAST, STRONG, recipe_of
from maxtunnel.training.runs import make_config, start_run, train
from maxtunnel.training.train import train_decoder

pytestmark = pytest.mark.usefixtures("one_thread")


def new_network():
    mean = torch.full((3, 32, 32), 0.5)
    return TunnelNetwork(Architecture((8, 8)), mean, STRONG.scale, strong_width=16)


def config(steps, **changes):
    recipe = replace(STRONG, steps=steps, batch=4, precision="32", **changes)
    return TrainingConfig(recipe=recipe, decoder="strong", width=16)


def test_it_reads_more_than_the_mirrored_decoder(tmp_path):
    data, val = pictures(), pictures(slice(3, 4))
    mirrored = TunnelNetwork(Architecture((8, 8)), torch.full((3, 32, 32), 0.5), FAST.scale)
    recipe = replace(FAST, steps=120, batch=4, precision="32")
    train_decoder(mirrored, data, tmp_path / "mirrored", TrainingConfig(recipe=recipe))
    strong = train_decoder(new_network(), data, tmp_path / "strong", config(120))
    # Drawn by the same seed, the encoders are the same.
    assert mirrored.encoder_hash() == strong.encoder_hash()
    assert evaluate(strong, val, bits_images=0).rmse < 0.9 * evaluate(mirrored, val, bits_images=0).rmse
    loaded = TunnelNetwork.load(tmp_path / "strong" / "model.safetensors")
    assert torch.equal(weights(loaded), weights(strong))


def test_an_interrupted_run_ends_bit_for_bit_like_one_that_was_not(tmp_path):
    data, asked = pictures()[:, :, :16, :16], config(70)
    expected = train_decoder(new_network(), data, tmp_path / "whole", asked)

    def interrupt(phase, done, of, note):
        if phase == "train" and done == 50:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingStopped, match="stopped at step 51 of 70"):
        train_decoder(new_network(), data, tmp_path / "run", asked, on_progress=interrupt)
    stopped = TunnelNetwork.load(tmp_path / "run" / "model.safetensors")
    resumed = train_decoder(stopped, data, tmp_path / "run", asked, resume=True)
    assert torch.equal(weights(resumed), weights(expected))


@pytest.mark.parametrize("width", [None, 16])
def test_levels_that_were_withheld_are_missed_less(tmp_path, width):
    data, mean = pictures(), torch.full((3, 32, 32), 0.5)
    images, recipe = to_float(data), FAST if width is None else replace(STRONG, learning_rate=4e-3)
    errors = {}
    for share in (0.0, 0.5):
        network = TunnelNetwork(Architecture((8, 8)), mean, recipe.scale, strong_width=width)
        asked = replace(recipe, steps=150, batch=4, withheld=share, precision="32")
        train_decoder(network, data, tmp_path / str(share), TrainingConfig(recipe=asked))
        code = network.encode(images)
        rebuilt = [network.decode(code, known) for known in ([2], [1, 2])]
        errors[share] = [float((picture - images).square().mean()) for picture in rebuilt]
    assert errors[0.5][0] < 0.8 * errors[0.0][0]
    # A mirrored decoder has the same weights for planes that are four times as full where a level is missing.
    assert errors[0.5][1] < errors[0.5][0] * (1.2 if width is None else 1.0)
    assert network.provenance.training.recipe["withheld"] == 0.5
    assert dict(network.provenance.facts())["finest levels withheld"] == "from 50% of the batches"


def test_a_run_with_levels_withheld_is_resumed_bit_for_bit(tmp_path):
    data, asked = pictures()[:, :, :16, :16], config(70, withheld=0.6)
    expected = train_decoder(new_network(), data, tmp_path / "whole", asked)

    def interrupt(phase, done, of, note):
        if phase == "train" and done == 50:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingStopped):
        train_decoder(new_network(), data, tmp_path / "run", asked, on_progress=interrupt)
    stopped = TunnelNetwork.load(tmp_path / "run" / "model.safetensors")
    resumed = train_decoder(stopped, data, tmp_path / "run", asked, resume=True)
    assert torch.equal(weights(resumed), weights(expected))


def test_how_many_levels_are_withheld_is_drawn_by_seed_and_step():
    class Feed(SwitchFeed):
        def __init__(self):
            pass

        def at(self, step):
            return [], torch.zeros(0)

    feed = WithholdingFeed(Feed(), 3, 0.6, 7)
    drawn = [feed.at(step)[3] for step in range(600)]
    assert drawn[::-1] == [feed.at(step)[3] for step in reversed(range(600))]
    assert drawn != [WithholdingFeed(Feed(), 3, 0.6, 8).at(step)[3] for step in range(600)]
    # The finest ones, by the numbers that decoders know.
    shares = {missing: drawn.count(missing) / 600 for missing in set(drawn)}
    assert shares == {
        (): pytest.approx(0.4, abs=0.06),
        (1,): pytest.approx(0.3, abs=0.06),
        (1, 2): shares[1, 2],
    }


def test_what_is_left_is_the_average_of_the_weights(tmp_path):
    data = pictures()[:, :, :16, :16]
    plain = train_decoder(new_network(), data, tmp_path / "plain", config(20, average=0.0))
    averaged = train_decoder(new_network(), data, tmp_path / "averaged", config(20, average=0.5))
    assert not torch.equal(weights(plain), weights(averaged))
    assert plain.encoder_hash() == averaged.encoder_hash()
    # The weights that were trained are the same, and are kept beside their average for a run that goes on.
    state = load_file(tmp_path / "averaged" / "state.safetensors")
    for number, (name, p) in enumerate(plain.decoder.named_parameters()):
        assert torch.equal(state[f"module.decoder.{name}"], p)
        assert torch.equal(state[f"average.{number}"], averaged.decoder.get_parameter(name))


def test_the_average_is_exponential_over_its_share_of_the_steps():
    parameter = torch.nn.Parameter(torch.zeros(1))
    average = Average([parameter], 0.5)
    expected = 0.0
    for step in range(1, 101):
        parameter.data.fill_(float(step))
        average.update(step, 100)
        over = min(50, (step + 9) / 2)
        expected += (step - expected) / over
    assert float(average.weights[0]) == pytest.approx(expected, rel=1e-5)
    with average.in_use():
        assert float(parameter.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(parameter.detach()) == 100


def test_a_decoder_is_trained_further(tmp_path, photographs_folder):
    quick = {"steps": 3, "batch": 4, "size": 16, "precision": "32", "decoder": "strong", "width": 8}
    first = make_config("train", "fast", photographs_folder, None, **quick)
    network, _ = start_run("4-4", first, tmp_path / "first")
    assert network.strong_width == 8
    further = make_config(
        "train", "fast", photographs_folder, None, start=str(tmp_path / "first"), learning_rate=1e-4, **quick
    )
    assert further.recipe.learning_rate == 1e-4
    again, _ = start_run("4-4", further, tmp_path / "second")
    assert again.provenance.earlier == network.provenance.training
    assert again.provenance.training.recipe["learning_rate"] == 1e-4
    assert again.encoder_hash() == network.encoder_hash()
    with pytest.raises(ValueError, match="cannot become a 4-8"):
        start_run("4-8", further, tmp_path / "third")
    loaded = TunnelNetwork.load(tmp_path / "second" / "model.safetensors")
    assert loaded.provenance == again.provenance
    assert dict(loaded.provenance.facts())["started from"].endswith("3 steps of 4, seed 0")


def test_it_takes_the_encoder_of_another_network(tmp_path, photographs_folder):
    quick = {"steps": 3, "batch": 4, "size": 16, "precision": "32"}
    mirrored = train("4-4", photographs_folder, tmp_path / "mirrored", **quick)
    strong = train(
        "4-4", photographs_folder, tmp_path / "strong", decoder="strong", width=8,
        encoder=str(tmp_path / "mirrored"), **quick,
    )  # fmt: skip
    assert strong.identity() == mirrored.identity()


def test_contradicting_settings_are_refused(photographs_folder):
    with pytest.raises(ValueError, match="`start` and `encoder`"):
        make_config("train", "fast", photographs_folder, None, start="a", encoder="b")
    for others in ({"withheld": 1.5}, {"withheld": 0.5, "encoder": "learned"}):
        with pytest.raises(ValueError, match=r"`withheld` is .* up to 1, and an encoder that stays as it is"):
            make_config("train", "fast", photographs_folder, None, **others)
    with pytest.raises(ValueError, match="of the paper's decoder"):
        recipe_of("train", "paper", "strong")
