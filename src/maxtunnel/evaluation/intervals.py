"""How sure a statistic is: of means over photographs by bootstrap, of a few values by Student's t."""

import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist

import torch
from jaxtyping import Float64
from torch import Tensor

Interval = tuple[float, float]
CONFIDENCE, POWER = 0.95, 0.8
_PARTS = 400  # of an integral


def bootstrap(
    values: Float64[Tensor, "*k n"],
    statistic: Callable[[Tensor], Tensor] = lambda means: means,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """95 % interval of a statistic of means over photographs, by drawing photographs with replacement.

    Args:
        values: one value a photograph; several rows are drawn alike, so their differences are paired.
        statistic: the means of all draws, (*k, draws), to its values, (draws,); by default the mean itself.
        draws: how many.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    count = values.shape[-1]
    # A block of draws at a time: memory stays at a few megabytes for any number of photographs and rows.
    block = max(1, 2_000_000 // values.numel())
    means = [
        values[..., torch.randint(count, (min(block, draws - i), count), generator=generator)].mean(-1)
        for i in range(0, draws, block)
    ]
    low, high = torch.quantile(statistic(torch.cat(means, -1)), torch.tensor([0.025, 0.975]).double())
    return float(low), float(high)


def above(interval: Interval, value: float = 0.0) -> bool | None:
    """Whether the whole interval lies above a value, or the whole of it below; None where it does neither."""
    low, high = interval
    return True if low > value else False if high < value else None


def span(interval: Interval, form: str = ".4f") -> str:
    """An interval in words: `0.1423 to 0.1501`."""
    return " to ".join(format(end, form) for end in interval)


def ratio_of_means(above: Float64[Tensor, " n"], below: Float64[Tensor, " n"]) -> tuple[float, Interval]:
    """mean(above) / mean(below) with its 95 % interval, the same photographs drawn for both."""
    interval = bootstrap(torch.stack([above, below]), lambda means: means[0] / means[1])
    return float(above.mean() / below.mean()), interval


@cache
def student(share: float, freedom: int) -> float:
    """The t that a variable of Student's distribution with `freedom` stays below in size, that often.

    Args:
        share: from 0 to below 1.
        freedom: degrees of it, at least 1.
    """
    high = 1.0
    while _within(high, freedom) < share:
        high *= 2
    return _root(lambda t: _within(t, freedom) - share, 0.0, high)


def _within(t: float, freedom: int) -> float:
    """How often a variable of Student's distribution is smaller than t in size (A&S 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = total = 0.0
    if freedom > 1:
        term = total = math.cos(angle) if odd else 1.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        total += term
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total


@cache
def detectable_shift(freedom: int) -> float:
    """How many of its own deviations a mean must lie from 0 to be told from 0 in four of five studies.

    That is with Student's two-sided test at 5 %.

    Args:
        freedom: degrees of it, at least 1.
    """
    return _root(lambda shift: _power(shift, freedom) - POWER, 0.0, 3 * student(CONFIDENCE, freedom))


def _power(shift: float, freedom: int) -> float:
    """How often a mean that lies `shift` of its own deviations from 0 is told from 0.

    An integral over the deviation s that is found in the place of the true one, 1, whose density is
    s^(freedom - 1) exp(-freedom s^2 / 2), up to a factor.
    """
    bound, normal = student(CONFIDENCE, freedom), NormalDist()
    found = [(n + 0.5) / _PARTS * (1 + 6 / math.sqrt(freedom)) for n in range(_PARTS)]
    weights = [math.exp((freedom - 1) * math.log(s) - freedom * (s * s - 1) / 2) for s in found]
    told = [normal.cdf(shift - bound * s) + normal.cdf(-shift - bound * s) for s in found]
    return sum(weight * share for weight, share in zip(weights, told, strict=True)) / sum(weights)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0, between two places, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
