"""How the time is shared out."""

from dataclasses import replace

import pytest

from maxtunnel.protection.config import ProtectionConfig, parse_weights
from maxtunnel.protection.plan import Pace, share_out

PACE = Pace(reader=0.1, duel=0.3, control=0.05, row=1.0, capture=0.01, metric=2.0)


def taken(config, plan):
    """Seconds that a plan takes, counted one by one."""
    total = 0.0
    for weight in (None, *config.weights):
        total += plan.steps * PACE.reader + PACE.row + PACE.metric
        if weight is not None:
            total += plan.steps * ((PACE.duel if weight else PACE.control) + PACE.capture)
    return total + plan.readings * (plan.steps * PACE.reader + PACE.row)


def test_the_time_is_used_and_not_overdrawn():
    config = ProtectionConfig(minutes=10.0)
    plan = share_out(config, PACE, 600.0, 5)
    assert plan.readings == 5
    assert 0.8 * 600 < taken(config, plan) <= 0.85 * 600
    assert taken(config, replace(plan, steps=plan.steps + 1)) > 0.85 * 600


def test_mitigations_are_left_out_before_steps_fall_below_the_least():
    config = ProtectionConfig(minutes=3.0, least_steps=100)
    plan = share_out(config, PACE, 180.0, 9)
    assert plan.readings < 9
    assert plan.steps >= 100
    assert taken(config, replace(plan, steps=100, readings=plan.readings + 1)) > 0.849 * 180


def test_a_time_that_is_too_short_is_refused_with_what_would_do():
    config = ProtectionConfig(minutes=1.0)
    with pytest.raises(ValueError, match=r"`minutes` is 1: 100 steps .* take (\d+) minutes here") as error:
        share_out(config, PACE, 55.0, 5)
    enough = int(str(error.value).split(" take ")[1].split()[0])
    assert share_out(replace(config, minutes=float(enough)), PACE, 60.0 * enough - 5, 5).steps >= 100


def test_steps_are_taken_as_they_are_given():
    assert share_out(ProtectionConfig(steps=7), PACE, float("inf"), 4).steps == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": ()}, "`weights` is empty"),
        ({"weights": (1.0, -1.0)}, "`weights` is 1, -1: expected finite numbers of at least 0"),
        ({"weights": (1.0, 1.0)}, "`weights` is 1, 1: give each only once"),
        ({"minutes": 0.0}, "`minutes` is 0.0"),
        ({"learning_rate": float("nan")}, "`learning_rate` is nan"),
        ({"reader_steps": 0}, "`reader_steps` is 0: expected at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ProtectionConfig(**settings)


def test_weights_are_read_as_they_are_typed():
    assert parse_weights("0, 0.1,1e-2") == (0.0, 0.1, 0.01)
    with pytest.raises(ValueError, match="`weights` is 'a,b': expected numbers with commas between"):
        parse_weights("a,b")
