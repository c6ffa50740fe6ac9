"""Bootstrap intervals cover what they say."""

import pytest
import torch
from scipy import stats

from maxtunnel.evaluation.intervals import above, bootstrap, ratio_of_means, span, student


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_the_bootstrap_covers_as_often_as_it_says():
    draw, hits = generator(1), 0
    for _ in range(200):
        low, high = bootstrap(torch.randn(100, generator=draw, dtype=torch.float64), draws=400)
        hits += low < 0 < high
    assert 180 <= hits <= 199


def test_the_interval_of_a_ratio_covers_as_often_as_it_says():
    hits = 0
    for seed in range(100):
        below = 1 + torch.rand(60, generator=generator(seed), dtype=torch.float64)
        above = below * (0.5 + torch.rand(60, generator=generator(seed + 1000), dtype=torch.float64))
        ratio, (low, high) = ratio_of_means(above, below)
        assert ratio == pytest.approx(float(above.mean() / below.mean()))
        hits += low < 1 < high
    assert 85 <= hits <= 100


def test_rows_are_drawn_alike():
    below = torch.rand(50, generator=generator(0), dtype=torch.float64) + 0.1
    ratio, interval = ratio_of_means(3 * below, below)
    assert (ratio, *interval) == pytest.approx((3, 3, 3))
    # Row by row it is the interval of each alone, from the same draws.
    pair = torch.stack([below, below.flip(0)])
    assert bootstrap(pair, lambda means: means[1]) == bootstrap(below.flip(0))
    assert bootstrap(pair, lambda means: means[0]) == bootstrap(below) != bootstrap(below, seed=1)


def test_an_interval_lies_above_a_value_below_it_or_around_it():
    assert [above(interval) for interval in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1))] == [True, False, None]
    # One that begins or ends at the value does not decide.
    assert [above(interval, 0.5) for interval in ((0.5, 0.6), (0.4, 0.5), (0.5, 0.5))] == [None] * 3
    assert span((0.12344, 0.2)) == "0.1234 to 0.2000"
    assert span((-1.0, 2.0), "+.1f") == "-1.0 to +2.0"


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 101])
def test_student_is_scipys(freedom):
    for share in (0.5, 0.8, 0.95, 0.99):
        assert student(share, freedom) == pytest.approx(stats.t.ppf(0.5 + share / 2, freedom), rel=1e-9)
