"""What can be done to switches before a decoder sees them: forget, randomise, coarsen.

A change takes a level, its number in call order and a generator for what it draws, and gives other codes.
"""

from collections.abc import Callable, Collection

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.kernels import first_inside

Change = Callable[[SwitchLevel, int, torch.Generator], Tensor]


def changed(code: SwitchCode, change: Change, generator: torch.Generator) -> SwitchCode:
    """The code with every level changed, in call order."""
    levels = (
        level.with_codes(change(level, number, generator)) for number, level in enumerate(code.levels, 1)
    )
    return SwitchCode(tuple(levels), code.image_size)


def known(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """As they are."""
    return level.codes


def fixed(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Every code 0 (beside padding: the window's first cell inside the plane)."""
    return fixed_codes(level)


def uniform(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Every code drawn anew, all cells inside the plane equally likely."""
    return random_codes(level, generator)


def shuffled(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Each channel's codes dealt out anew to its windows: how often each comes stays as it was.

    Meant for windows without padding, where every code is possible everywhere.
    """
    order = torch.rand(level.codes.shape, generator=generator).flatten(2).argsort(2).to(level.codes.device)
    return level.codes.flatten(2).gather(2, order).view(level.codes.shape)


def only(numbers: Collection[int]) -> Change:
    """The levels of these numbers as they are, the others fixed."""
    return lambda level, number, generator: level.codes if number in numbers else fixed_codes(level)


def flipped(probability: float) -> Change:
    """Each switch, with this probability, drawn anew."""

    def change(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(level.codes.shape, generator=generator).to(level.codes.device) < probability
        return torch.where(drawn, random_codes(level, generator), level.codes)

    return change


def rows_only(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """The row of each maximum without its column: half of the bits of a 2x2 window."""
    return _rounded(level, 1, level.window.kernel[1])


def halved(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """Rows and columns rounded down to even ones, a grid half as fine: of a 2x2 window nothing is left."""
    return _rounded(level, 2, 2)


def fixed_codes(level: SwitchLevel) -> UInt8[Tensor, "n c oh ow"]:
    """Each window's first cell inside the plane: code 0, but beside padding."""
    pooled = level.codes.shape[-2], level.codes.shape[-1]
    return first_inside(level.window, pooled, level.codes.device).expand(level.codes.shape)


def random_codes(level: SwitchLevel, generator: torch.Generator) -> UInt8[Tensor, "n c oh ow"]:
    """A cell of each window, all that lie inside the plane equally likely; drawn on the CPU."""
    window, codes = level.window, level.codes
    if window.padding == (0, 0) and not window.ceil_mode:
        drawn = torch.randint(window.cells, codes.shape, dtype=torch.uint8, generator=generator)
    else:
        down, right = (_draw(level, axis, generator) for axis in (0, 1))
        drawn = (down * window.kernel[1] + right).to(torch.uint8)
    return drawn.to(codes.device)


def _draw(level: SwitchLevel, axis: int, generator: torch.Generator) -> Int64[Tensor, "n c oh ow"]:
    """A row (axis 0) or column (axis 1) of each window that lies inside the plane."""
    first, count = _inside(level, axis)
    shape = (-1, 1) if axis == 0 else (1, -1)
    share = torch.rand(level.codes.shape, generator=generator)
    return first.view(shape) + (share * count.view(shape)).long().clamp(max=count.view(shape) - 1)


def _inside(level: SwitchLevel, axis: int) -> tuple[Tensor, Tensor]:
    """For the windows along an axis, the first of their rows (columns) in the plane, and how many are."""
    window, length = level.window, level.size[axis]
    starts = torch.arange(level.codes.shape[2 + axis]) * window.stride[axis] - window.padding[axis]
    cells = starts[:, None] + torch.arange(window.kernel[axis]) * window.dilation[axis]
    inside = (cells >= 0) & (cells < length)
    return inside.int().argmax(1), inside.sum(1)


def _rounded(level: SwitchLevel, rows: int, columns: int) -> Tensor:
    """Row and column rounded down to multiples; beside padding, to the first cell that lies inside."""
    down, right = level.codes // level.window.kernel[1], level.codes % level.window.kernel[1]
    least = fixed_codes(level)
    down = torch.maximum(down // rows * rows, least // level.window.kernel[1])
    right = torch.maximum(right // columns * columns, least % level.window.kernel[1])
    return (down * level.window.kernel[1] + right).to(torch.uint8)
