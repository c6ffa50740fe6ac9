"""What is read of each level alone and with others: more switches never say less."""

from dataclasses import replace

import pytest
import torch
from specimens import convolutions, photographs, small_result
from torch import nn
from torch.nn import functional as F

from maxtunnel.auditing import Target
from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import EVERY_LEVEL, KNOWN, known_by
from maxtunnel.auditing.levels import NOISE, Reading, audit_levels, describe_levels, surpassed_by
from maxtunnel.auditing.samples import sample
from maxtunnel.data.mean import mean_image

pytestmark = pytest.mark.usefixtures("one_thread")


def reading(kept, explained, spread=0.0, photographs=64):
    """A reading of some levels that explains so much of a variance of 1, give or take `spread`."""
    wave = spread * torch.linspace(-1, 1, photographs, dtype=torch.float64)
    row = replace(small_result().rows["known"], name=f"{sorted(kept)}", rmse=(1 - explained) ** 0.5)
    return Reading(frozenset(kept), row, 1 - explained + wave)


def surpassing(whole, *others):
    return surpassed_by(whole, [whole, *others], torch.ones(64, dtype=torch.float64))


def test_a_row_is_surpassed_by_one_of_fewer_switches_that_explains_more():
    whole = reading({1, 2}, 0.460)
    assert surpassing(whole, reading({1}, 0.493)) == "[1]"
    # Of several it is the best one.
    assert surpassing(whole, reading({1}, 0.493), reading({2}, 0.51)) == "[2]"
    # One of other switches, or of as many, may well explain more.
    assert surpassing(whole, reading({3}, 0.9), reading({1, 2}, 0.9), reading({1, 2, 3}, 0.9)) == ""
    assert surpassing(whole, reading({1}, 0.45)) == ""


def test_what_is_noise_surpasses_nothing():
    whole = reading({1, 2}, 0.460)
    assert surpassing(whole, reading({1}, 0.460 + 0.9 * NOISE)) == ""
    assert surpassing(whole, reading({1}, 0.460 + 1.1 * NOISE)) == "[1]"
    # The same photographs are hard for both, which is no noise; what differs between the two is.
    hard = reading({1, 2}, 0.460, spread=0.5)
    assert surpassing(hard, reading({1}, 0.493, spread=0.5)) == "[1]"
    assert surpassing(hard, reading({1}, 0.493, spread=-0.5)) == ""


class Beside(nn.Module):
    """A branch that pools its whole plane beside two levels that pool by halves."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x):
        x = F.max_pool2d(self.first(x).relu(), 2)
        attention = F.max_pool2d(x, x.shape[-1]).sigmoid()
        return F.max_pool2d(self.second(x * attention).relu(), 2)


@pytest.mark.parametrize("model", [convolutions(4, 4, 4), Beside()], ids=["chain", "beside"])
@pytest.mark.parametrize("steps", [4, 30])
def test_more_switches_never_read_as_less(model, steps):
    pixels, others = photographs(32, 16), photographs(16, 16, seed=1)
    seen = sample(Target(model, "m"), pixels)
    held = sample(Target(model, "m"), others, rms=seen.rms)
    attacker = Attacker(seen, held, mean_image(pixels), 4, 0, 16)
    known = attacker.train(KNOWN, steps)
    levels, _ = audit_levels(attacker, known, steps, torch.arange(2), describe_levels(held, 1, 1.0))
    assert len(levels) == 3
    for level in levels:
        if not level.surpassed_by:
            assert level.alone.explained_ci95[0] <= level.from_deepest.explained_ci95[1] + NOISE
    # All levels are what the decoder of known switches reads; another decoder reads the others.
    readers = {row.decoder for level in levels for row in (level.alone, level.from_deepest)}
    assert readers == {known_by(attacker.decoder).name, EVERY_LEVEL}
    (whole,) = [level.from_deepest for level in levels if level.from_deepest.decoder != EVERY_LEVEL]
    assert whole.rmse == attacker.measure(known, KNOWN)[0].rmse


def test_a_decoder_that_has_not_learned_to_use_a_level_is_told_of(monkeypatch):
    pixels = photographs(24, 16)
    samples = sample(Target(convolutions(3, 4, 5), "m"), pixels)
    attacker = Attacker(samples, samples, mean_image(pixels), 8, 0, 24)
    known, measure = attacker.train(KNOWN, 40), Attacker.measure

    def worse(self, decoder, given):
        # As if two levels had been read worse than one of them.
        row, errors = measure(self, decoder, given)
        return (row, errors + 0.2) if given.name == "5 and coarser" else (row, errors)

    monkeypatch.setattr(Attacker, "measure", worse)
    levels, _ = audit_levels(attacker, known, 4, torch.arange(2), describe_levels(samples, 1, 1.0))
    assert [bool(level.surpassed_by) for level in levels] == [False, True, False]
    assert levels[1].surpassed_by in ("5 alone", "8 alone")
