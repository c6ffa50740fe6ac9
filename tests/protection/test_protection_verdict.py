"""What is concluded, whatever the numbers are."""

from dataclasses import replace

import pytest

from maxtunnel.auditing.origin import NO_ORIGIN
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.scores import Score
from maxtunnel.protection.conclusions import verdict, warnings
from maxtunnel.protection.config import ProtectionConfig
from maxtunnel.protection.duel import FineTuning
from maxtunnel.protection.outcome import Line, Protection


def row(explained):
    about = (explained - 0.02, explained + 0.02)
    return Row("", "", 0.2, (0.1, 0.3), 15.0, (14.0, 16.0), 0.5, (0.4, 0.6), explained, about)


def model(weight, explained, lost):
    done = FineTuning(300, 1.0, ((300, lost, explained),), True)
    return Line(f"weight {weight:g}", weight, 100.0, row(explained), lost, (lost, lost), None, done, "file")


def result(*lines, **fields):
    found = Protection(
        "m", (32, 32), {"trained": 9, "measured": 9}, ("pool",), (5, 9), row(0.0),
        Line("original", None, 100.0, row(0.6), 0.0, (0.0, 0.0)),
        tuple(line for line in lines if line.weight is not None),
        tuple(line for line in lines if line.weight is None),
        (), 300, (), ProtectionConfig(), False, 1.0, "today", NO_ORIGIN, "ab", {},
    )  # fmt: skip
    return replace(found, **fields)


CONTROL = model(0.0, 0.6, 0.0)
FLIPS = Line("flips", None, 50.0, row(0.2), 0.5, (0.5, 0.5))
FREE = Line("fixed positions", None, 0.0, None, 0.01, (0.01, 0.01))


def test_what_gained_nothing_is_said_to_have_gained_nothing():
    text = " ".join(verdict(result(CONTROL, model(1.0, 0.58, 0.3), FLIPS)))
    assert "a reader explains 60% of the pixels' variance (95 % interval 58% to 62%); of the control" in text
    assert "(weight 1), a fresh reader explains 58% (56% to 60%); it lost 30.0% of its outputs'" in text
    assert "the fine-tuning gained nothing" in text


def test_what_another_draw_of_the_reader_does_is_no_gain():
    models = (model(0.0, 0.52, 0.0), model(1.0, 0.5, 0.3))
    assert "gained nothing" in verdict(result(*models))[-1]
    assert "gained nothing" not in verdict(result(models[1], FLIPS))[-1]


def test_the_model_that_tells_least_is_put_against_the_mitigations():
    models = (CONTROL, model(1.0, 0.5, 0.02), model(3.0, 0.3, 0.1))
    assert "No mitigation without training leaves as little" in verdict(result(*models, FLIPS))[-1]
    assert verdict(result(*models, FLIPS, FREE))[-1].endswith("lost, by fixed positions.")
    cheap = replace(FLIPS, lost=0.1)
    assert verdict(result(*models, cheap, FREE))[-1].endswith("by flips and fixed positions.")
    assert len(verdict(result(*models))) == 2


def test_a_change_of_the_metric_is_said():
    line = replace(model(1.0, 0.3, 0.1), score=Score(0.7, (0.6, 0.8), -0.05, (-0.07, -0.03)))
    assert "its metric changed by -0.05 (-0.07 to -0.03)." in verdict(result(line))[1]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (result(CONTROL), "No model that was fine-tuned against a reader was read again"),
        (result(replace(model(1.0, 0.3, 0.1), leak=None)), "No model that was fine-tuned against"),
        (result(CONTROL, original=Line("original", None, 9.0, row(0.01))), "there is nothing to hide"),
    ],
)
def test_nothing_is_said_of_what_is_not_known(found, message):
    assert message in " ".join(verdict(found))


def test_warnings_name_what_was_cut_short():
    cut = replace(CONTROL, tuning=FineTuning(5, 1.0, (), False))
    told = warnings(result(cut, interrupted=True, steps=50, left_out=("left out: this",)))
    assert told[0] == "this was interrupted: the report is partial"
    assert "fine-tunings that were cut short: weight 0" in told
    assert any(text.startswith("readers of 50 steps have hardly") for text in told)
    assert told[-1] == "left out: this"
    assert len(warnings(result(CONTROL))) == 1
