"""The three operations on planes that everything else stands on: `pool`, `put` and `take`.

`put` is the adjoint of `take`, and `take` reads what `pool` chose, so each is the other's gradient.
2x2 windows are done natively on a CPU with a C++ compiler, all windows in one launch on a GPU with Triton;
`native.disabled` turns both off. Anything else is a few of PyTorch's own operations, however many cells a
window has: none of them waits for a device, and all give the same in every run.
"""

import logging
import math
from functools import cache
from subprocess import SubprocessError
from types import ModuleType

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.native import build, pooling
from maxtunnel.native.arguments import memory_format
from maxtunnel.switches.window import Pair, Window

# One value a cell of every window is held at a time for at most so many values.
_PIECE = 1 << 26
# Windows of more cells are read quicker one value at a time than by passing over the plane.
_FEW = 9


def pool(
    x: Float[Tensor, "n c h w"], window: Window
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """Largest value of each window and the code of its first occurrence.

    NaN spreads to the value; the code is then any of the window's cells.
    """
    out = window.output_size(_size(x))
    if window.tiles(x.shape) and pooling.supported(x):
        return pooling.pool(x)
    fused = fused_for(x, x.shape[:2].numel() * math.prod(out))
    if fused is not None:
        return fused.pool(x, window)
    return pool_stock(x, window) if x.numel() else pool_plain(x, window)


def put(
    values: Float[Tensor, "n c oh ow"],
    codes: UInt8[Tensor, "n c oh ow"],
    window: Window,
    size: Pair,
) -> Float[Tensor, "n c h w"]:
    """Add each value to the cell that its code names, in a plane of zeros of `size`."""
    if window.tiles(size) and pooling.supported(values):
        return pooling.put(values, codes)
    fused = fused_for(values, values.shape[:2].numel() * math.prod(size))
    return put_plain(values, codes, window, size) if fused is None else fused.put(values, codes, window, size)


def take(
    plane: Float[Tensor, "n c h w"], codes: UInt8[Tensor, "n c oh ow"], window: Window
) -> Float[Tensor, "n c oh ow"]:
    """The value of `plane` at the cell that each code names; 0 where that lies outside."""
    if window.tiles(plane.shape) and pooling.supported(plane):
        return pooling.take(plane, codes)
    fused = fused_for(plane, codes.numel())
    return take_plain(plane, codes, window) if fused is None else fused.take(plane, codes, window)


def pool_stock(
    x: Float[Tensor, "n c h w"], window: Window
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """`pool` by PyTorch's own, for every window over a plane that is not empty."""
    x = _in_order(x)
    values, indices = F.max_pool2d(
        x, window.kernel, window.stride, window.padding, window.dilation, window.ceil_mode,
        return_indices=True,
    )  # fmt: skip
    if _side_by_side(window, _size(x)):
        # The codes of one row of windows are those of all, and a table is one operation where sums are many.
        table = _row_of_windows(window.kernel, x.shape[-1], x.device).expand(values.shape[-2], -1)
        if memory_format(indices) == torch.channels_last:
            return values, torch.take(table, indices.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return values, torch.take(table, indices)
    first_row, first_column = _starts(window, _size(values), x.device)
    down = (indices // x.shape[-1] - first_row[:, None]) // window.dilation[0]
    right = (indices % x.shape[-1] - first_column) // window.dilation[1]
    return values, (down * window.kernel[1] + right).to(torch.uint8)


def pool_plain(
    x: Float[Tensor, "n c h w"], window: Window
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """`pool` cell by cell, the oracle of all others; with a NaN, the largest cell before it has the code."""
    out = window.output_size(_size(x))
    padded = _frame(x, window, out, float("-inf"))
    values = torch.full_like(_at(padded, window, out, 0, 0), float("-inf"))
    # A window of nothing but -inf names its first cell inside the plane, as PyTorch does.
    codes = first_inside(window, out, x.device).expand(values.shape).clone()
    for code, down, right in window.cell_offsets():
        candidate = _at(padded, window, out, down, right)
        codes = torch.where(candidate > values, code, codes)
        values = torch.maximum(values, candidate)
    return values, codes.contiguous(memory_format=memory_format(x))


def put_plain(
    values: Float[Tensor, "n c oh ow"],
    codes: UInt8[Tensor, "n c oh ow"],
    window: Window,
    size: Pair,
) -> Float[Tensor, "n c h w"]:
    """`put`, for every window."""
    if _side_by_side(window, size):
        tiles = _Tiles(codes, window.kernel)
        plane = tiles.to_plane(_only(tiles.chosen, tiles.of_pooled(values)))
        below, right = size[0] - plane.shape[-2], size[1] - plane.shape[-1]
        return F.pad(plane, (0, right, 0, below)) if below or right else plane
    framed = _framed_size(window, size, _size(codes))
    cells = torch.arange(window.cells, dtype=torch.uint8, device=codes.device)[:, None]
    flat, where = values.flatten(0, 1).flatten(1), codes.flatten(0, 1).flatten(1)
    each = max(1, _PIECE // (window.cells * max(1, where.shape[1])))
    # One plane for each cell of the windows, all added up where windows overlap.
    planes = [
        F.fold(
            _only(some[:, None] == cells, given[:, None]),
            framed, window.kernel, window.dilation, 0, window.stride,
        )
        for given, some in zip(flat.split(each), where.split(each), strict=True)
    ]  # fmt: skip
    plane = (planes[0] if len(planes) == 1 else torch.cat(planes)).view(*codes.shape[:2], *framed)
    top, left = window.padding
    return plane[..., top : top + size[0], left : left + size[1]]


def take_plain(
    plane: Float[Tensor, "n c h w"], codes: UInt8[Tensor, "n c oh ow"], window: Window
) -> Float[Tensor, "n c oh ow"]:
    """`take`, for every window."""
    if _side_by_side(window, _size(plane)) and window.cells <= _FEW:
        tiles = _Tiles(codes, window.kernel)
        # Of a window's cells one is chosen at most, so that their sum is that one.
        chosen = tiles.to_plane(_only(tiles.chosen, tiles.of_plane(plane)))
        return F.avg_pool2d(chosen, window.kernel, divisor_override=1)
    padded = _frame(plane, window, _size(codes), 0.0)
    places = _places(codes, window, padded.shape[-1]).flatten(2)
    found = padded.flatten(2).gather(2, places.clamp(min=0))
    return _only(places >= 0, found).view(codes.shape)


def lasting(codes: UInt8[Tensor, "n c oh ow"], window: Window, size: Pair) -> Bool[Tensor, "n c oh ow"]:
    """Which windows are the last, row by row, to choose their cell."""
    width = _framed_size(window, size, _size(codes))[1]
    places, order = _places(codes, window, width).flatten(2).sort(stable=True)
    last = F.pad(places[..., 1:] != places[..., :-1], (0, 1), value=True)
    return torch.empty_like(last).scatter_(2, order, last).view(codes.shape)


def first_inside(window: Window, out: Pair, device: torch.device) -> UInt8[Tensor, "oh ow"]:
    """The code of each window's first cell inside the plane; padding lies above and to the left."""
    rows, columns = (
        # Cells needed to get past the padding, rounded up.
        ((-start).clamp(min=0) + dilation - 1) // dilation
        for start, dilation in zip(_starts(window, out, device), window.dilation, strict=True)
    )
    return (rows[:, None] * window.kernel[1] + columns).to(torch.uint8)


def _side_by_side(window: Window, size: Pair) -> bool:
    """Whether windows lie side by side from the plane's first cell on, and none reaches beyond the plane."""
    if window.padding != (0, 0) or window.dilation != (1, 1) or window.kernel != window.stride:
        return False
    rest = [side % step for side, step in zip(size, window.kernel, strict=True)]
    return not (window.ceil_mode and any(rest))


class _Tiles:
    """Windows that lie side by side, in views with an axis each for the row and the column of a cell."""

    def __init__(self, codes: UInt8[Tensor, "n c oh ow"], kernel: Pair) -> None:
        codes = _in_order(codes)
        self._shape, self._kernel = codes.shape, kernel
        self._last = codes.is_contiguous(memory_format=torch.channels_last)
        cells = _cells(kernel, codes.device)
        # The first of both decides the order in memory, so that no cell is moved afterwards.
        self.chosen = self.of_pooled(codes) == (cells[..., None] if self._last else cells)

    def of_pooled(self, x: Tensor) -> Tensor:
        """One value a window."""
        n, c, h, w = self._shape
        return x.permute(0, 2, 3, 1).reshape(n, h, 1, w, 1, c) if self._last else x.reshape(n, c, h, 1, w, 1)

    def of_plane(self, x: Tensor) -> Tensor:
        """One value a cell; rows and columns behind the last window are left out."""
        (n, c, h, w), (down, right) = self._shape, self._kernel
        x = x[..., : h * down, : w * right]
        if self._last:
            return x.permute(0, 2, 3, 1).reshape(n, h, down, w, right, c)
        return x.reshape(n, c, h, down, w, right)

    def to_plane(self, cells: Tensor) -> Tensor:
        """Undo `of_plane`, for a plane that ends with the last window."""
        (n, c, h, w), (down, right) = self._shape, self._kernel
        if self._last:
            return cells.reshape(n, h * down, w * right, c).permute(0, 3, 1, 2)
        return cells.reshape(n, c, h * down, w * right)


def _in_order(x: Tensor) -> Tensor:
    """`x` as it is gone through fastest: cells of a window lie apart, so a CPU takes channels together."""
    return x.contiguous(memory_format=torch.channels_last if x.device.type == "cpu" else memory_format(x))


def _only(chosen: Tensor, x: Tensor) -> Tensor:
    """`x` where chosen, else 0: its bits times 1 or 0, quicker than `where` and right for infinity."""
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    return (chosen * x.view(bits)).view(x.dtype)


@cache
def _fused() -> ModuleType | None:
    """The kernels for a GPU, once one has run; None where they cannot, which a warning says."""
    try:
        from maxtunnel.switches import fused

        fused.pool(torch.zeros(1, 1, 2, 2, device="cuda"), Window())
    # Triton needs a compiler of its own besides, which may be missing or fail.
    except (ImportError, AttributeError, RuntimeError, OSError, SubprocessError) as error:
        logging.getLogger("maxtunnel").warning(
            "Triton cannot be used here (%s): pooling and unpooling on the GPU take more memory and time",
            (str(error).splitlines() or [repr(error)])[0],
        )
        return None
    return fused


def fused_for(x: Tensor, most: int = 0) -> ModuleType | None:
    """`switches.fused`, where it takes `x`, and others of its type with `most` values; else None.

    That is on a GPU, with Triton, unless `native.disabled` turned it off.
    """
    fused = _fused() if x.is_cuda and build.enabled() else None
    return fused if fused is not None and fused.supported(x, most) else None


# What is made once lies on its device for good: a CUDA graph that has read it will look for it there.


@cache
def _row_of_windows(kernel: Pair, width: int, device: torch.device) -> UInt8[Tensor, " cells"]:
    """The codes of the cells of a plane's rows that windows side by side share, of a plane of `width`."""
    with torch.inference_mode(False):
        cells = _cells(kernel, device)[:, 0]
        row = cells.repeat(1, -(-width // kernel[1]))[:, :width]
        return row.flatten()


@cache
def _cells(kernel: Pair, device: torch.device) -> UInt8[Tensor, "down 1 right"]:
    """The codes of a window, as the last axes of a plane's tiles."""
    with torch.inference_mode(False):
        cells = torch.arange(kernel[0] * kernel[1], device=device).to(torch.uint8)
        return cells.view(kernel[0], 1, kernel[1])


def _starts(
    window: Window, out: Pair, device: torch.device
) -> tuple[Int64[Tensor, " oh"], Int64[Tensor, " ow"]]:
    """Row and column of each window's first cell in the plane; negative inside the padding."""
    rows, columns = (
        torch.arange(out[axis], device=device) * window.stride[axis] - window.padding[axis] for axis in (0, 1)
    )
    return rows, columns


def _places(codes: UInt8[Tensor, "n c oh ow"], window: Window, width: int) -> Int64[Tensor, "n c oh ow"]:
    """Where each code's cell lies in a framed plane of `width`, row by row; -1 for a code of no window."""
    rows, columns = _starts(window, _size(codes), codes.device)
    first = (rows[:, None] + window.padding[0]) * width + columns + window.padding[1]
    code = codes.long()
    down, right = code // window.kernel[1] * window.dilation[0], code % window.kernel[1] * window.dilation[1]
    return torch.where(code < window.cells, first + down * width + right, -1)


def _size(x: Tensor) -> Pair:
    return x.shape[-2], x.shape[-1]


def _framed_size(window: Window, size: Pair, out: Pair) -> Pair:
    """Size of a plane grown to hold its padding and every window whole."""
    height, width = (
        max(
            size[axis] + window.padding[axis],
            (out[axis] - 1) * window.stride[axis] + window.span[axis],
        )
        for axis in (0, 1)
    )
    return height, width


def _frame(x: Tensor, window: Window, out: Pair, fill: float) -> Tensor:
    size = _size(x)
    height, width = _framed_size(window, size, out)
    top, left = window.padding
    if (height, width) == size:
        return x
    return F.pad(x, (left, width - left - size[1], top, height - top - size[0]), value=fill)


def _at(padded: Tensor, window: Window, out: Pair, down: int, right: int) -> Tensor:
    """The cell (down, right) of every window, as a view."""
    rows = slice(down, down + (out[0] - 1) * window.stride[0] + 1, window.stride[0])
    columns = slice(right, right + (out[1] - 1) * window.stride[1] + 1, window.stride[1])
    return padded[..., rows, columns]
