"""Decoders, their ledger, and what the levels are given."""

import pytest
import torch
from specimens import Pools, convolutions, generator, photographs

from maxtunnel.auditing import Target
from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import KNOWN, WHERE, DecoderInput, Training, TrainingLedger, still_falling
from maxtunnel.auditing.levels import level_inputs
from maxtunnel.auditing.samples import sample
from maxtunnel.data.mean import mean_image
from maxtunnel.switches.changes import changed, fixed, known

pytestmark = pytest.mark.usefixtures("one_thread")


def attacker(*widths, levels=None, **settings):
    pixels, others = photographs(40), photographs(20, seed=1)
    target = Target(convolutions(*widths), "m", levels=levels)
    seen = sample(target, pixels)
    held = sample(target, others, rms=seen.rms)
    return Attacker(seen, held, mean_image(pixels), **{"width": 8, "seed": 0, "limit": 16} | settings)


def training(name, seconds=1.0):
    return Training(name, 10, seconds, 0.02, ((10, 0.3),), False)


def test_the_known_decoder_is_found_by_its_name():
    ledger = TrainingLedger()
    for entry in (training("random switches", 7.0), training(KNOWN.name, 5.0), training("more", 9.0)):
        ledger.add(entry)
    assert ledger.known.seconds_per_step == 0.5
    assert [entry.name for entry in ledger] == ["random switches", KNOWN.name, "more"]


def test_attackers_of_one_audit_share_a_ledger_and_others_do_not():
    first, stranger = attacker(3), attacker(3)
    second = first.with_samples(first.held, first.seen)
    second.train(WHERE, 2)
    first.train(KNOWN, 3)
    assert [(entry.name, entry.steps) for entry in first.ledger] == [(WHERE.name, 2), (KNOWN.name, 3)]
    assert second.ledger.known.steps == 3
    assert list(stranger.ledger) == []


def test_rows_are_measured_on_no_more_photographs_than_are_held():
    assert attacker(3).measured == 16
    assert attacker(3, limit=1000).measured == 20


def test_a_decoder_that_goes_on_starts_where_the_other_ended():
    held = attacker(3)
    start = held.train(KNOWN, 5)
    before = held.measure(start, KNOWN)[0].rmse
    again, more = held.train(KNOWN, 5), held.train(WHERE, 1, start=start)
    assert held.measure(again, KNOWN)[0].rmse == before
    assert held.measure(more, KNOWN)[0].rmse != before
    # What went on is a copy.
    assert held.measure(start, KNOWN)[0].rmse == before


def test_a_change_draws_the_same_however_many_are_rebuilt():
    held = attacker(3)
    decoder = held.train(KNOWN, 2)
    given = DecoderInput("either", (known, fixed))
    few, all_ = (held.rebuild(decoder, given, torch.arange(count)) for count in (5, 20))
    assert torch.equal(few, all_[:5])


@pytest.mark.parametrize("observed", [None, (2, 3), (1, 3)])
def test_each_levels_inputs_keep_that_level_and_the_coarser_ones(observed):
    samples = sample(Target(Pools(), "m", levels=observed), photographs(9))
    numbers = observed or (1, 2, 3)
    code = samples.code(torch.arange(9))
    alone, from_deepest = level_inputs(samples)
    assert list(alone) == list(from_deepest) == sorted(numbers, reverse=True)
    for number in numbers:
        name = samples.by_number[number].name
        assert alone[number].name == f"{name} alone"
        for given, kept in (
            (alone[number], {number}),
            (from_deepest[number], {n for n in numbers if n >= number}),
        ):
            found = changed(code, given.changes[0], generator(), samples.numbers)
            unchanged = {
                n for n, old, new in zip(numbers, code.levels, found.levels, strict=True)
                if torch.equal(old.codes, new.codes)
            }  # fmt: skip
            assert unchanged == kept


def test_a_curve_that_still_falls():
    falling = tuple((step, 1 / step) for step in range(1, 61))
    assert still_falling(falling)
    assert not still_falling(tuple((step, 0.3) for step in range(1, 61)))
