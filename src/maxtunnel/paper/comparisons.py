"""Two networks compared: which ones may be, how much their errors differ, and what that says."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from maxtunnel.evaluation.intervals import CONFIDENCE, Interval, above, bootstrap, student
from maxtunnel.paper.results import Result, TableRow


@dataclass(frozen=True)
class Gain:
    """By how much the second network's RMSE is lower than the first's.

    Attributes:
        mean: of all photographs, or of all draws of the encoder.
        interval: of 95 %.
    """

    mean: float
    interval: Interval

    @property
    def is_lower(self) -> bool | None:
        """Whether the second network's RMSE is surely lower, or surely higher; None where neither is sure."""
        return above(self.interval)


@dataclass(frozen=True)
class Comparison:
    """Networks of two rows of Table II, compared.

    Attributes:
        first, second: one network of each row, of one origin.
        over_photographs: of these two; the interval is a bootstrap over photographs, paired.
        draws: networks of both rows that were trained alike, a pair a seed; empty for fewer than two.
    """

    first: Result
    second: Result
    over_photographs: Gain
    draws: tuple[tuple[Result, Result], ...]

    @property
    def over_draws(self) -> Gain | None:
        """Mean over the pairs of draws, with Student's t for the interval; None without draws."""
        if not self.draws:
            return None
        return mean_gain([a.evaluation.rmse - b.evaluation.rmse for a, b in self.draws])

    @property
    def switches(self) -> str:
        """Of the two networks."""
        return f"{self.first.switches} {self.second.switches}"

    @property
    def alike(self) -> bool:
        """Whether both networks have one seed and were trained alike, strong decoders of one width."""
        return _start(self.first) == _start(self.second)

    @property
    def is_lower(self) -> bool | None:
        """As of a `Gain`: what the draws say; without draws, what the two networks say if trained alike."""
        if self.over_draws is not None:
            return self.over_draws.is_lower
        return self.over_photographs.is_lower if self.alike else None


def compare(first: TableRow, second: TableRow) -> Comparison | None:
    """Networks of two rows, trained alike if there are such; None if no two have one origin."""
    pairs = [
        (a, b)
        for a in (first.ours, *first.runs)
        for b in (second.ours, *second.runs)
        if a is not None and b is not None and a.origin == b.origin
    ]
    if not pairs:
        return None
    a, b = min(pairs, key=lambda pair: _start(pair[0]) != _start(pair[1]))
    return Comparison(a, b, difference(a, b), _draws(first.runs, second.runs))


def difference(first: Result, second: Result) -> Gain:
    """By how much the second network's RMSE is lower, on the same photographs."""
    errors = torch.stack([first.squared_errors, second.squared_errors])
    interval = bootstrap(errors, lambda means: means[0].sqrt() - means[1].sqrt())
    return Gain(first.evaluation.rmse - second.evaluation.rmse, interval)


def strong_gain(line: TableRow) -> Gain | None:
    """By how much the strong decoder's RMSE is lower than ours; None unless both read the same switches."""
    if line.ours is None or line.strong is None or not line.same_switches:
        return None
    return difference(line.ours, line.strong)


def mean_gain(values: Sequence[float]) -> Gain:
    """Mean and its 95 % interval by Student's t; for the few values that seeds give."""
    mean, count = float(np.mean(values)), len(values)
    half = student(CONFIDENCE, count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Gain(mean, (mean - half, mean + half))


def _draws(first: Sequence[Result], second: Sequence[Result]) -> tuple[tuple[Result, Result], ...]:
    """Pairs of one seed, all trained alike: of the effort that has the most of them."""
    by_effort: dict[tuple[int | None, ...], list[tuple[Result, Result]]] = {}
    for a, b in itertools.product(first, second):
        if (a.origin, *_start(a)) == (b.origin, *_start(b)):
            by_effort.setdefault(_effort(a), []).append((a, b))
    most = max(by_effort.values(), key=len, default=[])
    return tuple(most) if len(most) >= 2 else ()


def _start(result: Result) -> tuple[int | None, ...]:
    return result.seed, *_effort(result)


def _effort(result: Result) -> tuple[int | None, ...]:
    """What trains a network as long as another: steps, photographs in them, and a strong decoder's width."""
    return result.steps, result.photographs, result.width
