"""How sure a statistic of means over photographs is."""

from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

Interval = tuple[float, float]


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
    # A block of draws at a time: memory stays at a few megabytes for any number of photographs.
    block = max(1, 2_000_000 // count)
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
