"""What can be done to switches before a decoder sees them: fix them, draw them anew, coarsen them.

A change takes a level, its number and a generator to draw from, and gives the codes to use in the place of
the level's own. Levels are numbered from 1 in call order.
"""

from collections.abc import Callable, Collection, Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.kernels import first_inside

Change = Callable[[SwitchLevel, int, torch.Generator], Tensor]


def changed(
    code: SwitchCode, change: Change, generator: torch.Generator, numbers: Sequence[int] | None = None
) -> SwitchCode:
    """The code with every level changed.

    Args:
        code: of all levels of a model, or of some.
        change: is applied to each level.
        generator: the change draws from it, level after level.
        numbers: of the levels, where the code holds only some of a model's; by default 1, 2, ...
    """
    numbers = range(1, len(code.levels) + 1) if numbers is None else numbers
    levels = (
        level.with_codes(change(level, number, generator))
        for number, level in zip(numbers, code.levels, strict=True)
    )
    return SwitchCode(tuple(levels), code.image_size)


def known(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Every code as it is."""
    return level.codes


def fixed(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Every code 0 (beside padding: the window's first cell inside the plane)."""
    return fixed_codes(level)


def uniform(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Every code drawn anew, all cells inside the plane equally likely."""
    return random_codes(level, generator)


def shuffled(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Each channel's codes dealt out anew to its windows, so that only their frequencies stay.

    Meant for windows without padding, where every code is possible everywhere.
    """
    order = torch.rand(level.codes.shape, generator=generator).flatten(2).argsort(2).to(level.codes.device)
    return level.codes.flatten(2).gather(2, order).view(level.codes.shape)


def only(numbers: Collection[int]) -> Change:
    """The levels with these numbers as they are, the others fixed."""
    return lambda level, number, generator: level.codes if number in numbers else fixed_codes(level)


def flipped(probability: float) -> Change:
    """Each code drawn anew with this probability."""

    def change(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(level.codes.shape, generator=generator).to(level.codes.device) < probability
        return torch.where(drawn, random_codes(level, generator), level.codes)

    return change


def rows_only(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """The row of each maximum without its column: half of the bits of a 2x2 window."""
    return _rounded(level, 1, level.window.kernel[1])


def halved(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Row and column rounded down to even numbers, a grid half as fine: of a 2x2 window nothing is left."""
    return _rounded(level, 2, 2)


def fixed_codes(level: SwitchLevel) -> UInt8[Tensor, "n c oh ow"]:
    """The code of each window's first cell inside the plane: 0, except beside padding."""
    pooled = level.codes.shape[-2], level.codes.shape[-1]
    return first_inside(level.window, pooled, level.codes.device).expand(level.codes.shape)


def random_codes(level: SwitchLevel, generator: torch.Generator) -> UInt8[Tensor, "n c oh ow"]:
    """A code for each window, all cells inside the plane equally likely; drawn on the CPU."""
    window, codes = level.window, level.codes
    if window.padding == (0, 0) and not window.ceil_mode:
        drawn = torch.randint(window.cells, codes.shape, dtype=torch.uint8, generator=generator)
    else:
        down, right = (_draw(level, axis, generator) for axis in (0, 1))
        drawn = (down * window.kernel[1] + right).to(torch.uint8)
    return drawn.to(codes.device)


def _draw(level: SwitchLevel, axis: int, generator: torch.Generator) -> Int64[Tensor, "n c oh ow"]:
    """For each window a row (axis 0) or column (axis 1), drawn from those inside the plane."""
    first, count = _inside(level, axis)
    shape = (-1, 1) if axis == 0 else (1, -1)
    share = torch.rand(level.codes.shape, generator=generator)
    return first.view(shape) + (share * count.view(shape)).long().clamp(max=count.view(shape) - 1)


def _inside(level: SwitchLevel, axis: int) -> tuple[Tensor, Tensor]:
    """For each window along an axis, its first row (column) inside the plane, and how many are inside."""
    window, length = level.window, level.size[axis]
    starts = torch.arange(level.codes.shape[2 + axis]) * window.stride[axis] - window.padding[axis]
    cells = starts[:, None] + torch.arange(window.kernel[axis]) * window.dilation[axis]
    inside = (cells >= 0) & (cells < length)
    return inside.int().argmax(1), inside.sum(1)


def _rounded(level: SwitchLevel, rows: int, columns: int) -> Tensor:
    """Row and column rounded down to multiples, but not below the first cell inside the plane."""
    down, right = level.codes // level.window.kernel[1], level.codes % level.window.kernel[1]
    least = fixed_codes(level)
    down = torch.maximum(down // rows * rows, least // level.window.kernel[1])
    right = torch.maximum(right // columns * columns, least % level.window.kernel[1])
    return (down * level.window.kernel[1] + right).to(torch.uint8)
