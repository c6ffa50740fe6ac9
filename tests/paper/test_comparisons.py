"""SciPy is the oracle of Student's t."""

import numpy as np
import pytest
import scipy.stats
from paper_results import result

from maxtunnel.paper.comparisons import difference, mean_gain


def test_intervals_are_student_ts_and_paired():
    values = [0.1, 0.14, 0.12, 0.19]
    gain = mean_gain(values)
    expected = scipy.stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert gain.mean == pytest.approx(np.mean(values))
    assert gain.interval == pytest.approx(expected, rel=1e-3)
    # Photographs differ a lot and the networks little, but always alike: paired, that is certain.
    errors = np.random.default_rng(0).uniform(0.05, 0.3, 200)
    gain = difference(result("8-8-8", "seed0", errors + 0.002), result("16-16-16", "seed0", errors))
    low, high = gain.interval
    assert 0.0015 < low < gain.mean < high < 0.0025
