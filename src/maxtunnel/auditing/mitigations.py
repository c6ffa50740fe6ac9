"""What can be done against the leak: the mitigations, what each does to switches and to a model."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maxtunnel.auditing.targets import Target
from maxtunnel.switches import kernels
from maxtunnel.switches.changes import (
    Change,
    fixed,
    fixed_codes,
    flipped,
    halved,
    known,
    only,
    rows_only,
    uniform,
)
from maxtunnel.switches.recorder import PoolingRecorder
from maxtunnel.switches.recording import PooledLevel, Swap
from maxtunnel.switches.window import Window

FLIPS = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Mitigation:
    """Something to do against the leak.

    Attributes:
        name: in words.
        change: what becomes of the switches.
        bits: from a level's window and number, bits that one of its switches can still say, at most.
        pooling: pools in the place of max pooling; there are then no switches.
        features: whether an observer of both switches and features is tried out too.
    """

    name: str
    change: Change
    bits: Callable[[Window, int], float]
    pooling: Swap | None = None
    features: bool = False

    @property
    def swap(self) -> Swap:
        """What takes the place of a pooling's result in the model."""
        return self.pooling or _changing(self.change)


UNMITIGATED = Mitigation("nothing done", known, lambda window, number: math.log2(window.cells), features=True)


def mitigations_for(windows: Sequence[Window], coarsest_first: Sequence[int]) -> list[Mitigation]:
    """The mitigations that make sense for some levels, beginning with none.

    Args:
        windows: of the levels.
        coarsest_first: their numbers, from the coarsest level to the finest.
    """
    found = [UNMITIGATED, *(_deepest(coarsest_first, count) for count in range(1, len(coarsest_first)))]
    if any(window.kernel[0] > 1 for window in windows):
        found.append(Mitigation("rows only", rows_only, _bits_of_rows))
    if any(max(window.kernel) > 2 for window in windows):
        found.append(Mitigation("grid half as fine", halved, _bits_of_halved))
    return [
        *found,
        *(_flips(probability) for probability in FLIPS),
        Mitigation("random positions", uniform, _no_bits),
        Mitigation("fixed positions", fixed, _no_bits, features=True),
        Mitigation("average pooling", fixed, _no_bits, average, features=True),
        Mitigation("strided convolution", fixed, _no_bits, strided, features=True),
    ]


class MitigatedModel(nn.Module):
    """A model with a mitigation in place, to be called like the model."""

    def __init__(self, target: Target, swap: Swap) -> None:
        super().__init__()
        self.model, self._target, self._swap = target.model, target, swap

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns."""
        with PoolingRecorder(self.model, self.swap_observed):
            return self.model(*args, **kwargs)

    def swap_observed(self, x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
        """The mitigation at the levels that an observer sees; the other levels as they are."""
        if not self._target.shows(level.number):
            return level.values, level.switches.codes
        return self._swap(x, level)


def average(x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
    """The mean of each window's cells inside the plane."""
    window, codes = level.switches.window, level.switches.codes
    total, count = torch.zeros_like(level.values), torch.zeros_like(level.values)
    for code in range(window.cells):
        cell = torch.full_like(codes, code)
        total += kernels.take(x, cell, window)
        count += kernels.take(torch.ones_like(x), cell, window)
    return total / count, fixed_codes(level.switches)


def strided(x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
    """The first cell of each window, as if the convolution before it had the pooling's stride.

    Source: Springenberg et al., Striving for Simplicity, Strided-CNN.
    """
    codes = fixed_codes(level.switches)
    return kernels.take(x, codes, level.switches.window), codes


def flipped_bits(cells: int, probability: float) -> float:
    """Bits that a switch keeps when it is drawn anew with this probability; all cells were equally likely."""
    other = probability / cells
    same = 1 - probability + other
    return math.log2(cells) + same * math.log2(same) + (cells - 1) * other * math.log2(other)


def _deepest(coarsest_first: Sequence[int], count: int) -> Mitigation:
    kept = frozenset(coarsest_first[:count])

    def bits(window: Window, number: int) -> float:
        return math.log2(window.cells) if number in kept else 0.0

    return Mitigation(f"deepest {count} of {len(coarsest_first)} levels only", only(kept), bits)


def _flips(probability: float) -> Mitigation:
    def bits(window: Window, number: int) -> float:
        return flipped_bits(window.cells, probability)

    return Mitigation(f"flipped with probability {probability:g}", flipped(probability), bits)


def _changing(change: Change) -> Swap:
    """The switches changed and the values left as they are."""
    generator = torch.Generator().manual_seed(0)

    def swap(x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
        return level.values, change(level.switches, level.number, generator)

    return swap


def _no_bits(window: Window, number: int) -> float:
    return 0.0


def _bits_of_rows(window: Window, number: int) -> float:
    return math.log2(window.kernel[0])


def _bits_of_halved(window: Window, number: int) -> float:
    return math.log2(-(-window.kernel[0] // 2) * -(-window.kernel[1] // 2))
