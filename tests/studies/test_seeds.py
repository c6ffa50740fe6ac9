"""Means over a few seeds, against SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from maxtunnel.studies.seeds import Estimate, correlate, estimate, paired


def test_the_interval_is_students():
    values = [0.031, 0.027, 0.035, 0.029]
    found = estimate(values)
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert found.interval == pytest.approx(expected)
    assert (found.mean, found.count) == (pytest.approx(0.0305), 4)


def test_one_value_has_no_interval():
    found = estimate([0.25])
    assert (found.mean, found.interval, found.detectable, found.deviation) == (0.25, None, None, None)
    with pytest.raises(ValueError, match="mean of nothing"):
        estimate([])


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_what_is_detectable_is_found_in_four_of_five_studies(count):
    shift = Estimate(0.0, 0.3, count).detectable * math.sqrt(count) / 0.3
    bound = stats.t.ppf(0.975, count - 1)
    power = 1 - stats.nct.cdf(bound, count - 1, shift) + stats.nct.cdf(-bound, count - 1, shift)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_what_two_runs_share_is_no_part_of_the_spread():
    shared = [0.1, 0.5, 0.9]
    found = paired([value + 0.01 for value in shared], shared)
    assert found.mean == pytest.approx(0.01)
    assert found.deviation == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="zip"):
        paired([1.0], [1.0, 2.0])


def test_a_spread_below_what_values_are_counted_in_does_not_show():
    found = estimate([0.03, 0.03, 0.03], step=0.001)
    assert found.deviation == 0.001
    assert found.interval == pytest.approx(stats.t.interval(0.95, 2, 0.03, 0.001 / math.sqrt(3)))
    assert paired([0.2, 0.3], [0.1, 0.2], step=0.1).interval[0] < 0
    assert estimate([0.1, 0.5], step=0.001) == estimate([0.1, 0.5])
    assert estimate([0.1], step=0.001).interval is None


def test_a_correlation_is_scipys():
    x, y = np.random.default_rng(0).normal(size=(2, 12))
    value, interval = correlate(x.tolist(), (x + y).tolist())
    expected = stats.pearsonr(x, x + y)
    assert value == pytest.approx(expected.statistic)
    assert interval == pytest.approx(tuple(expected.confidence_interval()))


def test_where_there_is_no_correlation_there_is_none():
    assert correlate([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]) is None
    assert correlate([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]) is None
    value, interval = correlate([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0])
    assert value == pytest.approx(1)
    assert interval == (value, value)
