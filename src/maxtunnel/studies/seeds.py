"""What few runs tell: means over seeds, paired differences, and what these could have shown.

With few seeds an interval is Student's: mean +- t(n - 1) x deviation / sqrt(n). It holds for values that are
normally distributed; a bootstrap of three values would be too narrow by half.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, correlation, fmean, stdev

from maxtunnel.evaluation.intervals import CONFIDENCE, Interval, above, detectable_shift, student


@dataclass(frozen=True)
class Estimate:
    """The mean of one value a seed, or of one difference a seed.

    Attributes:
        mean: over the seeds.
        deviation: of a single value, by n - 1, and at least the step in which values are counted; None of one
            value.
        count: how many values there are.
    """

    mean: float
    deviation: float | None
    count: int

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the mean, by Student's t; None of one value."""
        if self.deviation is None:
            return None
        half = student(CONFIDENCE, self.count - 1) * self.deviation / math.sqrt(self.count)
        return self.mean - half, self.mean + half

    @property
    def detectable(self) -> float | None:
        """How far from 0 the true mean had to be for four of five such studies to tell it from 0.

        That is with Student's two-sided test at 5 %, and the deviation that was found; None of one value.
        """
        if self.deviation is None:
            return None
        return detectable_shift(self.count - 1) * self.deviation / math.sqrt(self.count)


def estimate(values: Sequence[float], step: float = 0.0) -> Estimate:
    """The mean of some values, and how sure it is.

    Args:
        values: one a seed.
        step: what they are counted in, 1 / n of a share of n images. A spread below it does not show: a few
            values may be the same by chance, and would seem to be without any.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("`values` is empty: there is no mean of nothing")
    deviation = max(stdev(values), step) if len(values) > 1 else None
    return Estimate(fmean(values), deviation, len(values))


def paired(first: Sequence[float], second: Sequence[float], step: float = 0.0) -> Estimate:
    """First minus second, value by value: what two runs share, such as a seed, is no part of the spread.

    Args:
        first, second: the values.
        step: see `estimate`.
    """
    return estimate([a - b for a, b in zip(first, second, strict=True)], step)


@dataclass(frozen=True)
class Value:
    """A number with what is known of it.

    Attributes:
        mean: over seeds.
        images: 95 % interval over images, for these trainings; the same images are drawn for all of them.
        seeds: over trainings.
    """

    mean: float
    images: Interval
    seeds: Estimate

    @property
    def more(self) -> bool | None:
        """Whether it lies above 0; None where images, or trainings where there are several, do not tell."""
        told = above(self.images)
        if self.seeds.interval is None:
            return told
        return told if told == above(self.seeds.interval) else None

    @property
    def span(self) -> Interval:
        """All that images leave open, and trainings where there are several: lowest end to highest."""
        ends = [self.images] if self.seeds.interval is None else [self.images, self.seeds.interval]
        return min(low for low, _ in ends), max(high for _, high in ends)


def correlate(x: Sequence[float], y: Sequence[float]) -> tuple[float, Interval] | None:
    """Pearson's correlation with its 95 % interval (Fisher's z), which takes the pairs for independent.

    None of fewer than 4 pairs, and where all values of one are the same: there is none then.
    """
    if len(x) < 4 or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    found = correlation(x, y)
    if abs(found) >= 1:
        return found, (found, found)
    middle, half = math.atanh(found), NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) / math.sqrt(len(x) - 3)
    return found, (math.tanh(middle - half), math.tanh(middle + half))
