"""How sure the measures of contours are: bootstrap over images of their counts (`evaluation.contours`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from maxtunnel.evaluation.contours import areas, best_between, best_of_each, measure
from maxtunnel.evaluation.intervals import Interval

MEASURES = ("ods", "ois", "ap")
DRAWS = 1000
_BLOCK = 50  # draws at a time: some megabytes

# The counts of each image, with one network or with several, whose measures are averaged.
Kind = Sequence[Int64[Tensor, "n t 4"]]


@dataclass(frozen=True, eq=False)
class Resampled:
    """The measures of several ways to draw contours, and what they are of images drawn anew.

    Attributes:
        values: of the images themselves, by way and measure, in the order of `MEASURES`.
        draws: of images drawn with replacement, the same for all ways.
    """

    values: Float64[Tensor, "k 3"]
    draws: Float64[Tensor, "d k 3"]

    def interval(self, way: int, measure: int = 0) -> Interval:
        """95 % interval of a measure of a way."""
        return _ends(self.draws[:, way, measure])

    def difference(self, first: int, second: int, measure: int = 0) -> tuple[float, Interval]:
        """First less second way, on the same images, with its 95 % interval."""
        found = float(self.values[first, measure] - self.values[second, measure])
        return found, _ends(self.draws[:, first, measure] - self.draws[:, second, measure])

    def share(self, way: int, none: int, whole: int, measure: int = 0) -> tuple[float, Interval]:
        """How far a way is from one that counts as nothing to one that counts as all, with its interval.

        (way - none) / (whole - none), the same images drawn for all three.
        """
        every = torch.cat([self.values[None], self.draws])[..., measure]
        found = (every[:, way] - every[:, none]) / (every[:, whole] - every[:, none])
        return float(found[0]), _ends(found[1:])


def resample(kinds: Sequence[Kind], draws: int = DRAWS, seed: int = 0) -> Resampled:
    """The measures of several ways to draw contours of the same images, and of images drawn anew.

    Args:
        kinds: the counts of each way.
        draws: how many.
        seed: of the draws.
    """
    count = len(kinds[0][0])
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(count, (draws, count), generator=generator)
    # How often each image comes in each draw; first of all every image once.
    times = torch.zeros(draws, count, dtype=torch.int64).scatter_add_(1, numbers, torch.ones_like(numbers))
    times = torch.cat([torch.ones(1, count, dtype=torch.int64), times])
    ways = [torch.stack([_measured(counts, times) for counts in kind]).mean(0) for kind in kinds]
    found = torch.stack(ways, 1)
    return Resampled(found[0], found[1:])


def _measured(counts: Int64[Tensor, "n t 4"], times: Int64[Tensor, "d n"]) -> Float64[Tensor, "d 3"]:
    """Each measure where each image counts so many times."""
    own = measure(times @ best_of_each(counts))[:, 2]
    rows = []
    for some in times.split(_BLOCK):
        totals = measure((some @ counts.flatten(1)).unflatten(1, counts.shape[1:]))
        rows.append(torch.stack([best_between(totals)[:, 3], areas(totals)], 1))
    ods, average_precision = torch.cat(rows).unbind(1)
    return torch.stack([ods, own, average_precision], 1)


def _ends(values: Float64[Tensor, " d"]) -> Interval:
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
