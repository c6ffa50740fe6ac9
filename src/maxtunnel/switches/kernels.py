"""The three operations on planes that everything else stands on: `pool`, `put` and `take`.

`put` is the adjoint of `take`, and `take` reads what `pool` chose, so each is the other's gradient.
The plain versions hold for every window, dtype and device and are the oracle of the native ones, which take
over for 2x2 windows in float32 and bfloat16 on a CPU where a C++ compiler is at hand.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.native import pooling
from maxtunnel.native.arguments import memory_format
from maxtunnel.switches.window import Pair, Window


def pool(
    x: Float[Tensor, "n c h w"], window: Window
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """Largest value of each window and the code of its first occurrence; NaN spreads to the value."""
    window.output_size((x.shape[-2], x.shape[-1]))
    return pooling.pool(x) if window.tiles(x.shape) and pooling.supported(x) else pool_plain(x, window)


def put(
    values: Float[Tensor, "n c oh ow"],
    codes: UInt8[Tensor, "n c oh ow"],
    window: Window,
    size: Pair,
) -> Float[Tensor, "n c h w"]:
    """Add each value to the cell that its code names, in a plane of zeros of `size`."""
    if window.tiles(size) and pooling.supported(values):
        return pooling.put(values, codes)
    return put_plain(values, codes, window, size)


def take(
    plane: Float[Tensor, "n c h w"], codes: UInt8[Tensor, "n c oh ow"], window: Window
) -> Float[Tensor, "n c oh ow"]:
    """The value of `plane` at the cell that each code names; 0 where that lies outside."""
    if window.tiles(plane.shape) and pooling.supported(plane):
        return pooling.take(plane, codes)
    return take_plain(plane, codes, window)


def pool_plain(
    x: Float[Tensor, "n c h w"], window: Window
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """`pool`, for every window."""
    size = (x.shape[-2], x.shape[-1])
    out = window.output_size(size)
    padded = _frame(x, window, size, out, float("-inf"))
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
    out = (codes.shape[-2], codes.shape[-1])
    framed = _framed_size(window, size, out)
    padded = values.new_zeros(*codes.shape[:2], *framed).contiguous(memory_format=memory_format(codes))
    for code, down, right in window.cell_offsets():
        cell = _at(padded, window, out, down, right)
        cell += torch.where(codes == code, values, 0)
    return _unframe(padded, window, size)


def put_last(
    values: Float[Tensor, "n c oh ow"],
    codes: UInt8[Tensor, "n c oh ow"],
    window: Window,
    size: Pair,
) -> Float[Tensor, "n c h w"]:
    """As `put`, but a cell that several windows chose keeps the value of the last one, row by row."""
    out = (codes.shape[-2], codes.shape[-1])
    padded = values.new_zeros(*codes.shape[:2], *_framed_size(window, size, out))
    # A later window reaches the same cell with a smaller code, so it is written after the others.
    for code, down, right in reversed(list(window.cell_offsets())):
        cell = _at(padded, window, out, down, right)
        cell.copy_(torch.where(codes == code, values, cell))
    return _unframe(padded, window, size)


def take_plain(
    plane: Float[Tensor, "n c h w"], codes: UInt8[Tensor, "n c oh ow"], window: Window
) -> Float[Tensor, "n c oh ow"]:
    """`take`, for every window."""
    out = (codes.shape[-2], codes.shape[-1])
    padded = _frame(plane, window, (plane.shape[-2], plane.shape[-1]), out, 0.0)
    values = torch.zeros_like(_at(padded, window, out, 0, 0))
    for code, down, right in window.cell_offsets():
        values = torch.where(codes == code, _at(padded, window, out, down, right), values)
    return values


def first_inside(window: Window, out: Pair, device: torch.device) -> UInt8[Tensor, "oh ow"]:
    """The code of each window's first cell inside the plane; padding lies above and to the left."""
    rows, columns = (
        # Cells needed to get past the padding, rounded up.
        ((window.padding[axis] - torch.arange(out[axis], device=device) * window.stride[axis]).clamp(min=0)
         + window.dilation[axis] - 1) // window.dilation[axis]
        for axis in (0, 1)
    )  # fmt: skip
    return (rows[:, None] * window.kernel[1] + columns).to(torch.uint8)


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


def _frame(x: Tensor, window: Window, size: Pair, out: Pair, fill: float) -> Tensor:
    height, width = _framed_size(window, size, out)
    top, left = window.padding
    if (height, width) == size:
        return x
    return F.pad(x, (left, width - left - size[1], top, height - top - size[0]), value=fill)


def _unframe(padded: Tensor, window: Window, size: Pair) -> Tensor:
    top, left = window.padding
    return padded[..., top : top + size[0], left : left + size[1]]


def _at(padded: Tensor, window: Window, out: Pair, down: int, right: int) -> Tensor:
    """The cell (down, right) of every window, as a view."""
    rows = slice(down, down + (out[0] - 1) * window.stride[0] + 1, window.stride[0])
    columns = slice(right, right + (out[1] - 1) * window.stride[1] + 1, window.stride[1])
    return padded[..., rows, columns]
