"""The known switches read by a decoder of each kind, and what is read by which kind after that."""

import threading
import time
from dataclasses import replace
from functools import cache

import pytest
import torch
from specimens import convolutions, photographs

from maxtunnel.auditing import AuditConfig, Conclusions, Target, audit, write_report
from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.budget import Budget, Plan, Speed
from maxtunnel.auditing.contest import Contest, Reading, read_known
from maxtunnel.auditing.ledger import Training, known_by
from maxtunnel.auditing.outcome import Draws
from maxtunnel.auditing.rows import row_of
from maxtunnel.auditing.samples import sample
from maxtunnel.data.mean import mean_image
from maxtunnel.training.loop import TrainingDiverged

pytestmark = pytest.mark.usefixtures("one_thread")

SPEED = Speed({"mirrored": 0.05, "strong": 0.2}, 0.001, 0.001)


def reading(kind, rmse, curve, seconds):
    values = torch.full((3, 8), rmse**2, dtype=torch.float64)
    row = row_of(known_by(kind).name, known_by(kind).name, values, torch.ones(3, 8, dtype=torch.float64))
    training = Training(row.name, kind, curve[-1][0], seconds, 0.01, curve, False)
    return Reading(attacker().try_steps(1, 1.0)[0], row, values[0], training)


@cache
def contest():
    """The mirrored one is better after little time and after few steps, the strong one in the end."""
    mirrored = tuple((step, 0.2 if step < 1000 else 0.15) for step in range(100, 2001, 100))
    strong = tuple((step, 0.25 if step < 100 else 0.18 if step < 300 else 0.1) for step in range(50, 501, 50))
    found = {
        "mirrored": reading("mirrored", 0.15, mirrored, 40.0),
        "strong": reading("strong", 0.1, strong, 100.0),
    }
    return Contest(found, ())


def test_the_best_kind_is_the_one_that_read_more_of_the_held_photographs():
    assert contest().best == "strong"
    assert [row.rmse for row in contest().others] == [pytest.approx(0.15)]


@pytest.mark.parametrize(("seconds", "kind"), [(10.0, "mirrored"), (40.0, "mirrored"), (80.0, "strong")])
def test_which_kind_reads_more_depends_on_the_time(seconds, kind):
    assert contest().best_after(None, seconds) == kind


@pytest.mark.parametrize(("steps", "kind"), [(50, "mirrored"), (100, "strong")])
def test_where_steps_are_given_they_decide_and_not_the_time(steps, kind):
    assert contest().best_after(steps, 0.0) == kind


def attacker():
    pixels = photographs(16, 16)
    samples = sample(Target(convolutions(3), "m"), pixels)
    return Attacker(samples, samples, mean_image(pixels), 4, 0, 8)


def read(plan, interrupted=False, **settings):
    event = threading.Event()
    if interrupted:
        event.set()
    budget = Budget(AuditConfig(steps=2, **settings), time.monotonic(), 1, event)
    return read_known(attacker(), budget, Plan(dict.fromkeys(plan), 8, 8, ()), SPEED)


def test_both_kinds_read_the_known_switches():
    found = read(("mirrored", "strong"))
    assert list(found.readings) == ["mirrored", "strong"]
    assert [each.training.reader for each in found.readings.values()] == ["mirrored", "strong"]
    assert [each.training.name for each in found.readings.values()] == [
        "known switches, mirrored decoder", "known switches, strong decoder"
    ]  # fmt: skip
    assert found.left_out == ()


def test_a_kind_that_does_not_read_is_named():
    (text,) = read(("mirrored",)).left_out
    assert text.startswith("left out: a strong decoder, which in the time for it would read less")
    assert "it needs 500 steps" in text
    # Whoever asked for one kind misses none.
    assert read(("mirrored",), decoder="mirrored").left_out == ()
    stopped = read(("mirrored", "strong"), interrupted=True)
    assert list(stopped.readings) == ["mirrored"]
    assert stopped.left_out == ("left out: a strong decoder, as the audit was interrupted",)


def test_a_kind_whose_loss_becomes_infinite_does_not_lose_the_other(monkeypatch):
    train = Attacker.train

    def diverging(self, given, *args, **kwargs):
        if given.name in bad:
            raise TrainingDiverged("the loss became inf")
        return train(self, given, *args, **kwargs)

    monkeypatch.setattr(Attacker, "train", diverging)
    bad = {known_by("strong").name}
    found = read(("mirrored", "strong"))
    assert found.best == "mirrored"
    assert found.left_out == ("failed: a strong decoder (the loss became inf)",)
    bad.add(known_by("mirrored").name)
    with pytest.raises(TrainingDiverged):
        read(("mirrored", "strong"))


@pytest.fixture(scope="module")
def both():
    """A small audit by both kinds, to which another draw's row is known."""
    config = AuditConfig(steps=8, least_steps=2, images=8, width=4)
    return audit(convolutions(3, 4), photographs(24, 16), holdout=photographs(12, 16, seed=1), config=config)


def verdict(result):
    """As it would be, had the best reader read half of what there is."""
    rows = {
        key: replace(row, explained=share, explained_ci95=(share - 0.01, share + 0.01))
        for key, share in (("known", 0.5), ("random", 0.0), ("fixed", 0.0))
        for row in (result.rows[key],)
    }
    result = replace(result, rows=result.rows | rows, config=replace(result.config, least_steps=1))
    return Conclusions(result).verdict


def test_an_audit_leads_with_the_better_of_two_readers(both):
    rows, kinds = both.rows, {done.name: done.reader for done in both.decoders}
    assert rows["known"].rmse <= rows["second"].rmse
    assert {kinds[rows["known"].decoder], kinds[rows["second"].decoder]} == {"mirrored", "strong"}
    assert rows["known"].name == "known switches"
    # What is put against it is read by its kind; what is put against each other by one kind.
    best = kinds[rows["known"].decoder]
    beside = {rows["random"].decoder, rows["other"].decoder, *(level.alone.decoder for level in both.levels)}
    assert {kinds[name] for name in beside} == {best}
    assert len({kinds[rows[key].decoder] for key in ("fixed", "where", "what", "both", "untrained")}) == 1


def test_the_page_shows_both_readers_against_time_and_says_which_still_fall(both, tmp_path):
    page = write_report(both, tmp_path).read_text()
    section = page[page.index("Two readers of the same switches") : page.index("Against controls")]
    assert section.count("<polyline") == 2
    assert 'aria-label="RMSE while training against seconds of training"' in section
    for kind in ("mirrored", "strong"):
        assert known_by(kind).name in section
    calm = replace(both, decoders=tuple(replace(done, still_falling=False) for done in both.decoders))
    assert "Neither error was still falling" in write_report(calm, tmp_path).read_text()
    falling = replace(both, decoders=tuple(replace(done, still_falling=True) for done in both.decoders))
    text = " ".join(write_report(falling, tmp_path).read_text().split())
    assert "was still falling: in more time it would have read more" in text
    # Rows say by which kind they were read.
    assert page.count("<small>strong decoder</small>") + page.count("<small>mirrored decoder</small>") >= 8


def by_one_kind(result):
    """The same audit, had there been no second reader."""
    decoders = tuple(replace(done, reader="strong") for done in result.decoders)
    rows = {key: row for key, row in result.rows.items() if key != "second"}
    return replace(result, rows=rows, decoders=decoders)


def test_an_audit_by_one_kind_has_no_second_reader(both, tmp_path):
    assert "read the same switches at RMSE" in verdict(both)
    assert "read the same switches at RMSE" not in verdict(by_one_kind(both))
    page = write_report(by_one_kind(both), tmp_path).read_text()
    assert "Two readers of the same switches" not in page
    assert "<small>strong decoder</small>" not in page


def test_the_headlines_interval_holds_another_draw_of_the_decoder(both):
    assert both.draws.steps == 2
    assert both.draws.rmse[0] == both.rows["where"].rmse != both.draws.rmse[1]
    result = replace(both, draws=Draws("mirrored", 30, (0.2, 0.22)))
    conclusions = Conclusions(result)
    low, high = conclusions.best.rmse_ci95
    assert conclusions.interval == (pytest.approx(low / 1.1), pytest.approx(high * 1.1))
    assert "over the photographs and two draws of a decoder" in verdict(result)
    assert "0.2000 and 0.2200" in conclusions.interval_note
    # Where there is one draw, it is said that the interval leaves the draw out.
    alone = Conclusions(replace(result, draws=None))
    assert alone.interval == alone.best.rmse_ci95
    assert "is not in them" in alone.interval_note
    assert "95 % interval over the photographs 0." in verdict(replace(result, draws=None))
