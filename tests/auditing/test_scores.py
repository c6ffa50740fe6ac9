"""A person's metric, with an interval where it tells of each photograph."""

import pytest
import torch
from specimens import convolutions

from maxtunnel.auditing import Target
from maxtunnel.auditing.scores import Score, score

MODEL = convolutions(2)


def of(metric):
    return score(Target(MODEL, "m"), metric, MODEL, "nothing done")


def test_one_number_has_no_interval():
    found = of(lambda model: 0.25)
    assert (found.value, found.ci95) == (0.25, None)
    assert found.against(Score(0.5)).change == -0.25
    assert found.against(Score(0.5)).change_ci95 is None


def test_a_value_for_each_photograph_has_an_interval_and_a_paired_change():
    before = torch.linspace(0, 1, 50)
    original, found = of(lambda model: before), of(lambda model: (before + 0.1).tolist())
    assert found.value == pytest.approx(0.6)
    low, high = found.ci95
    assert low < 0.55 < 0.65 < high
    changed = found.against(original)
    assert changed.change == pytest.approx(0.1)
    # The photographs differ far more than the change does from one to another.
    assert changed.change_ci95 == pytest.approx((0.1, 0.1), abs=1e-6)


def test_the_model_runs_in_eval_mode_without_gradients():
    MODEL.train()
    assert of(lambda model: not model.training and not torch.is_grad_enabled()).value == 1
    assert MODEL.training


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda model: {}["accuracy"], "`metric` fails with nothing done .KeyError"),
        (lambda model: exit(), "`metric` fails with nothing done .SystemExit"),
        (lambda model: "high", "`metric` fails with nothing done"),
        (lambda model: [], "`metric` gives no value with nothing done"),
        (lambda model: float("nan"), "`metric` gives a number that is not finite"),
    ],
)
def test_what_is_no_score_is_refused(metric, message):
    with pytest.raises(ValueError, match=message):
        of(metric)
