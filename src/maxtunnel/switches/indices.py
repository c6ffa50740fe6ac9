"""Window codes and PyTorch's indices into the plane: the same positions, exactly, both ways.

A *window code* is the position of the maximum inside its window, row-major, so a 2x2 window has codes
0 (top left), 1 (top right), 2 (bottom left) and 3 (bottom right). `torch.nn.functional.max_pool2d` says the
same with a 64-bit index into the plane.
"""

import math

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from maxtunnel.switches import pending
from maxtunnel.switches.window import PAPER_WINDOW, Pair, Window, sides

# Codes that are looked at together beside padding, where each costs 40 bytes for a moment.
_PIECE = 1 << 20


def to_indices(
    codes: UInt8[Tensor, "n c oh ow"], window: Window = PAPER_WINDOW, size: Pair | None = None
) -> Int64[Tensor, "n c oh ow"]:
    """Codes as the plane indices (row x width + column) of `max_pool2d(..., return_indices=True)`."""
    size = plane_size(codes, window, size)
    check_codes(codes, window, size)
    row, column = _cells(codes, window)
    return row * size[1] + column


def from_indices(
    indices: Int64[Tensor, "n c oh ow"], window: Window, size: Pair
) -> UInt8[Tensor, "n c oh ow"]:
    """Plane indices as codes; ValueError where an index lies outside its own window or the plane."""
    plane_size(indices, window, size)
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < math.prod(size):
        raise ValueError(
            f"indices go from {int(indices.min())} to {int(indices.max())}; "
            f"a plane of {sides(size)} has 0 to {math.prod(size) - 1}"
        )
    starts = _starts(indices, window)
    steps = (indices // size[1] - starts[0], indices % size[1] - starts[1])
    inside = torch.ones_like(indices, dtype=torch.bool)
    for step, dilation, kernel in zip(steps, window.dilation, window.kernel, strict=True):
        inside &= (step >= 0) & (step % dilation == 0) & (step < kernel * dilation)
    if not bool(inside.all()):
        raise ValueError(f"an index lies outside its own {window} over a plane of {sides(size)}")
    down, right = steps[0] // window.dilation[0], steps[1] // window.dilation[1]
    return (down * window.kernel[1] + right).to(torch.uint8)


def check_codes(codes: UInt8[Tensor, "n c oh ow"], window: Window, size: Pair) -> None:
    """Raise ValueError where a code lies outside its window, or in the padding around a plane of `size`."""
    if is_traced(codes):
        # The compiler takes only a constant for a message.
        # 256 cells are no byte: codes are compared as longer numbers.
        holds = _inside(codes, window, size) & (codes.long() < window.cells)
        torch._assert_async(holds.all(), "a code lies outside its window or its plane")
        return
    if codes.numel() == 0:
        return
    pending.refuse([largest_of(codes, window)])
    if window.padding == (0, 0) and not window.ceil_mode:
        return
    planes = codes.flatten(0, 1)
    for piece in planes.split(max(1, _PIECE // planes[0].numel())):
        if not bool(_inside(piece, window, size).all()):
            raise ValueError(f"a code of a {window} points outside its plane of {sides(size)}")


def largest_of(codes: UInt8[Tensor, "n c oh ow"], window: Window) -> pending.Check:
    """Whether all codes, one at least, lie in their windows; a cell of these may lie in the padding."""

    def say(largest: float) -> str:
        known = largest < window.cells
        return "" if known else f"a code is {largest:g}; a {window} has codes 0 to {window.cells - 1}"

    return pending.Check(codes.max(), say)


def is_traced(values: Tensor) -> bool:
    """Whether an operation is only recorded here, so that no value can be looked at."""
    return torch.compiler.is_compiling() or isinstance(values, FakeTensor)


def plane_size(codes: Tensor, window: Window, size: Pair | None) -> Pair:
    """The size of the plane that was pooled, by default the smallest that gives so many codes.

    Raises:
        ValueError: a plane of this size gives another number of codes.
    """
    pooled = (codes.shape[-2], codes.shape[-1])
    if size is None:
        size = window.smallest_plane(pooled)
    if window.output_size(size) != pooled:
        raise ValueError(
            f"codes have {sides(pooled)}, but a {window} over a plane of {sides(size)} "
            f"gives {sides(window.output_size(size))}"
        )
    return size


def _inside(codes: Tensor, window: Window, size: Pair) -> Tensor:
    """Which codes name a cell of the plane."""
    row, column = _cells(codes, window)
    return (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])


def _starts(codes: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Row and column of each window's first cell in the plane; negative inside the padding."""
    rows, columns = (
        torch.arange(codes.shape[axis], device=codes.device) * stride - padding
        for axis, stride, padding in zip((-2, -1), window.stride, window.padding, strict=True)
    )
    return rows[:, None], columns


def _cells(codes: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Row and column in the plane that each code names."""
    rows, columns = _starts(codes, window)
    cell = codes.long()
    down, right = cell // window.kernel[1], cell % window.kernel[1]
    return rows + down * window.dilation[0], columns + right * window.dilation[1]
