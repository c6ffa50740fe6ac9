"""Decoders, their ledger, and what the levels are given."""

import time
from typing import get_args

import pytest
import torch
from specimens import Pools, convolutions, generator, photographs

from maxtunnel.auditing import Target
from maxtunnel.auditing import attacker as attack
from maxtunnel.auditing.attacker import Attacker, CutShort
from maxtunnel.auditing.ledger import (
    BOTH,
    KNOWN,
    RANDOM,
    WHERE,
    DecoderInput,
    Training,
    TrainingLedger,
    still_falling,
)
from maxtunnel.auditing.levels import level_inputs
from maxtunnel.auditing.readers import READERS
from maxtunnel.auditing.samples import sample
from maxtunnel.auditing.shelf import Shelf
from maxtunnel.data.mean import mean_image
from maxtunnel.support.choices import DecoderKind
from maxtunnel.switches.changes import changed, fixed, known
from maxtunnel.training import engine
from maxtunnel.training.loop import TrainingDiverged

pytestmark = pytest.mark.usefixtures("one_thread")


def attacker(*widths, levels=None, **settings):
    pixels, others = photographs(40), photographs(20, seed=1)
    target = Target(convolutions(*widths), "m", levels=levels)
    seen = sample(target, pixels)
    held = sample(target, others, rms=seen.rms)
    return Attacker(seen, held, mean_image(pixels), **{"width": 8, "seed": 0, "limit": 16} | settings)


def training(name, seconds=1.0):
    return Training(name, "strong", 10, seconds, 0.02, ((10, 0.3),), False)


def test_a_training_is_found_by_its_name():
    ledger = TrainingLedger()
    for entry in (training("random switches", 7.0), training(KNOWN.name, 5.0), training("more", 9.0)):
        ledger.add(entry)
    assert ledger.of(KNOWN).seconds_per_step == 0.5
    assert [entry.name for entry in ledger] == ["random switches", KNOWN.name, "more"]


def test_attackers_of_one_audit_share_a_ledger_and_others_do_not():
    first, stranger = attacker(3), attacker(3)
    second = first.with_samples(first.held, first.seen)
    second.train(WHERE, 2)
    first.train(KNOWN, 3)
    assert [(entry.name, entry.steps) for entry in first.ledger] == [(WHERE.name, 2), (KNOWN.name, 3)]
    assert second.ledger.of(KNOWN).steps == 3
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


@pytest.mark.parametrize("widths", [(3,), (3, 4, 5)])
def test_a_change_draws_the_same_however_many_are_rebuilt(widths):
    held = attacker(*widths)
    decoder = held.train(KNOWN, 2)
    for given in (DecoderInput("either", (known, fixed)), RANDOM):
        few, all_ = (held.rebuild(decoder, given, torch.arange(count)) for count in (5, 20))
        assert torch.equal(few, all_[:5])


class Interrupted:
    """Says stop after so many questions; `asked` counts them."""

    def __init__(self, after):
        self.after, self.asked = after, 0

    def __call__(self):
        self.asked += 1
        return self.asked == self.after


def rates(monkeypatch):
    """The learning rate of every step from now on, and the first photograph of each batch."""
    found, step = [], engine.Update.__call__

    def noted(self, rate, batch):
        found.append((round(rate, 9), float(batch[1][0].sum())))
        return step(self, rate, batch)

    monkeypatch.setattr(engine.Update, "__call__", noted)
    return found


def test_a_training_that_goes_on_takes_the_rates_and_photographs_that_come_next(monkeypatch, tmp_path):
    whole = rates(monkeypatch)
    attacker(3).train(KNOWN, 40)
    parts = rates(monkeypatch)
    first = attacker(3, shelf=Shelf(tmp_path), stop=Interrupted(after=15))
    first.train(KNOWN, 40, partial=True)
    assert len(parts) == 15
    second = attacker(3, shelf=Shelf(tmp_path, resume=True))
    second.train(KNOWN, 40)
    assert parts == whole[:40]
    assert second.ledger.of(KNOWN).steps == 40


def test_a_training_bound_in_time_goes_on_at_the_rate_that_it_had(monkeypatch, tmp_path):
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    parts = rates(monkeypatch)
    first = attacker(3, shelf=Shelf(tmp_path), stop=Interrupted(after=30))
    first.train(KNOWN, 1000, 100.0, partial=True)
    before = len(parts)
    attacker(3, shelf=Shelf(tmp_path, resume=True)).train(KNOWN, 1000, 100.0)
    # Half of the first 60 seconds of 160 in all were done, past the warming up: it only falls from there.
    after = [rate for rate, _ in parts[before:]]
    assert after == sorted(after, reverse=True)
    highest = first.reader.recipe.learning_rate
    assert 0.5 * highest < after[0] < highest
    assert after[-1] < 0.01 * highest


def test_stopping_is_decided_by_the_answer_that_ended_the_training(tmp_path):
    # It is asked once after each step; the answer that came next would be another.
    stop = Interrupted(after=5)
    with pytest.raises(CutShort, match="ended after 5 steps"):
        attacker(3, stop=stop).train(KNOWN, 20)
    assert stop.asked == 5
    # One that says stop after the last step ends nothing before its time.
    held = attacker(3, stop=Interrupted(after=20), shelf=Shelf(tmp_path, resume=True))
    held.train(KNOWN, 20)
    assert Shelf(tmp_path, resume=True).take(KNOWN.name).complete


def diverging(monkeypatch, times):
    """So many trainings diverge, each after 40 seconds; the seconds that each was given."""
    given, train = [], attack.fit

    def fit(task, at, recipe, seconds=None, *args):
        given.append((recipe.learning_rate / READERS["strong"].recipe.learning_rate, seconds))
        if len(given) <= times:
            now[0] += 40
            raise TrainingDiverged("the loss became inf")
        return train(task, at, recipe, None, *args)

    now = [0.0]
    monkeypatch.setattr(attack, "fit", fit)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return given


def test_after_a_loss_became_infinite_there_is_another_attempt_while_there_is_time(monkeypatch):
    given = diverging(monkeypatch, times=2)
    attacker(3).train(KNOWN, 10, 100.0)
    assert given == [(1, 100.0), (1 / 4, 60.0), (1 / 16, 20.0)]
    given = diverging(monkeypatch, times=3)
    with pytest.raises(TrainingDiverged):
        attacker(3).train(KNOWN, 10, 100.0)
    assert [seconds for _, seconds in given] == [100.0, 60.0, 20.0]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_any_number_of_steps_can_be_timed(most):
    _, step = attacker(3).try_steps(most, 100.0)
    assert step > 0


def test_all_decoders_of_an_attacker_are_of_its_kind():
    assert set(READERS) <= set(get_args(DecoderKind))
    for kind, reader in READERS.items():
        held = attacker(3, 4, decoder=kind)
        assert (held.reader, reader.kind) == (reader, kind)
        decoder = held.train(BOTH, 1)
        assert held.measure(decoder, BOTH)[0].rmse > 0
        assert held.measure(held.train(KNOWN, 1), KNOWN)[0].rmse > 0


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
