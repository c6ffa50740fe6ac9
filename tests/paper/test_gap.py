"""What is left of the gap between random and trained encoders, from made-up errors."""

import numpy as np
import pytest
from paper_results import evidence, result, trained

from maxtunnel.paper.gap_claims import remaining_gap


def draws(gaps, width=None, base=0.2):
    """A pair a seed of 8-8-8, whose gaps are these."""
    return [
        result(name, f"seed{seed}", [base + 0.01 * seed + more] * 5, trained(1000, seed), width)
        for seed, gap in enumerate(gaps)
        for name, more in (("8-8-8", 0.0), ("8-8-8-pretrained", gap))
    ]


@pytest.mark.parametrize(
    ("strong", "verdict"),
    [((0.010, 0.011, 0.009), "Less"), ((0.05, 0.051, 0.049), "More"), ((0.06, 0.03, -0.02), "Undecided")],
)
def test_gaps_over_draws(strong, verdict):
    claim = remaining_gap(evidence(draws((0.03, 0.031, 0.029)) + draws(strong, 8, 0.1)))
    assert claim.readings[0].verdict == verdict
    assert claim.outcome is None
    name, ours, theirs, *_, over = claim.evidence[0]
    assert (name, ours, theirs) == ("8-8-8", "+0.0300", f"{np.mean(strong):+.4f}")
    assert over == "3 seeds"


def one_draw(gap, width=None, switches="a", steps=1000):
    errors = np.linspace(0.1, 0.2, 20)
    return [
        result("8-8-8", "shipped", errors, trained(steps), width, switches),
        result("8-8-8-pretrained", "shipped", errors + gap, trained(1000), width, f"{switches} pretrained"),
    ]


def test_one_draw_is_decided_by_photographs_for_equal_switches_and_training_alone():
    def said(*strong):
        return remaining_gap(evidence(one_draw(0.03) + one_draw(0.01, 8, *strong))).readings[0]

    assert said().verdict == "Less"
    first, second = (
        pair[1].evaluation.rmse - pair[0].evaluation.rmse for pair in map(one_draw, (0.03, 0.01))
    )
    assert f"the gap goes: 8-8-8: {first:+.4f} to {second:+.4f}." in said().answer
    assert said("b").verdict == "Undecided"
    assert said("a", 500).verdict == "Undecided"


def test_without_both_decoders_it_is_not_measured():
    assert "Not measured" in remaining_gap(evidence(draws((0.03, 0.04)))).readings[0].verdict


def test_where_architectures_differ_the_gap_is_said_to_differ():
    def both(name, strong_gap):
        return [
            result(row, f"seed{seed}", [0.2 + more + 0.01 * seed] * 5, trained(1000, seed), width)
            for width, gap in ((None, 0.03), (8, strong_gap))
            for seed in range(2)
            for row, more in ((name, 0.0), (f"{name}-pretrained", gap))
        ]

    reading = remaining_gap(evidence(both("8-8-8", 0.01) + both("6-12-24", 0.05))).readings[0]
    assert reading.verdict == "Not the same everywhere"
    assert "8-8-8: smaller; 6-12-24: larger." in reading.answer
    reading = remaining_gap(evidence(both("8-8-8", 0.01) + both("6-12-24", 0.03))).readings[0]
    assert reading.verdict == "Less, where it can be decided"
