"""`pool`, `put` and `take` as one launch each on a GPU, in Triton; imported only where Triton can be.

Planes are read as (outer, height, width, inner): images x channels, h, w, 1 in the usual memory format,
images, h, w, channels in channels-last. A program works on a row of neighbouring values of what it writes,
adds in the order of the codes and needs no atomic operation, so the result is the same in every run.

`pool` and `put` can do besides what a 3x3 layer does after its products: add its bias and cut off what lies
below 0, value by value as it is read. Two launches, and two passes over the layer's plane, are saved.
"""

from typing import Any, no_type_check

import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch import Tensor

from maxtunnel.native.arguments import memory_format
from maxtunnel.switches.window import Pair, Window

# Places are counted in 32 bits.
_MOST_VALUES = 2**31 - 2**16
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
# Half precision would round the sum with a bias, as two operations do, before the largest is found.
_EXACT = (torch.float32, torch.float64)
_BLOCK = 1024
# For these a kernel is not compiled anew where they are 1, or no multiple of 16. For the others it is, which
# saves divisions and makes vectors longer: with width and columns here, _put would divide twice as often.
_SIZES = ["height", "rows", "channels"]
_OF_VALUES = ["values_n", "values_h"]


def supported(x: Tensor, most: int = 0) -> bool:
    """Whether these functions take `x`, and tensors of its type with `most` values."""
    return x.dtype in _DTYPES and max(x.numel(), most) < _MOST_VALUES


def pool(x: Tensor, window: Window, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """See `switches.kernels.pool`.

    Args:
        x: the planes.
        window: the geometry.
        bias: (c), added to the planes of each channel before a ReLU; None for neither. Of float32 or float64.
    """
    _check_bias(x, bias)
    order = memory_format(x)
    x = x.contiguous(memory_format=order)
    out = window.output_size(_size(x))
    values = torch.empty((*x.shape[:2], *out), dtype=x.dtype, device=x.device, memory_format=order)
    codes = torch.empty_like(values, dtype=torch.uint8)
    tensors = (x, x if bias is None else bias, values, codes)
    flags = {"INSIDE": _inside(window), "LAST": order == torch.channels_last, "ACTIVE": bias is not None}
    _launch(_pool, values, tensors, (*_sizes(x, out, order), x.shape[1]), window, **flags)
    return values, codes


def put(values: Tensor, codes: Tensor, window: Window, size: Pair, bias: Tensor | None = None) -> Tensor:
    """See `switches.kernels.put`; `values` may be expanded, the codes decide the memory format.

    `bias` is as for `pool`, of the values.
    """
    _check_bias(values, bias)
    order = memory_format(codes)
    codes = codes.contiguous(memory_format=order)
    plane = torch.empty(
        (*codes.shape[:2], *size), dtype=values.dtype, device=values.device, memory_format=order
    )
    numbers = (*_sizes(plane, _size(codes), order), codes.shape[1], *values.stride())
    tensors = (values, values if bias is None else bias, codes, plane)
    last = order == torch.channels_last
    flags = {"TILES": window.tiles(size), "LAST": last, "ACTIVE": bias is not None}
    _launch(_put, plane, tensors, numbers, window, **flags)
    return plane


def take(plane: Tensor, codes: Tensor, window: Window) -> Tensor:
    """See `switches.kernels.take`."""
    order = memory_format(codes)
    codes = codes.contiguous(memory_format=order)
    plane = plane.contiguous(memory_format=order)
    values = torch.empty_like(codes, dtype=plane.dtype)
    _launch(_take, values, (plane, codes, values), _sizes(plane, _size(codes), order), window)
    return values


def _check_bias(x: Tensor, bias: Tensor | None) -> None:
    if bias is not None and (x.dtype not in _EXACT or bias.dtype != x.dtype or bias.shape != x.shape[1:2]):
        raise ValueError(
            f"values are {x.dtype} of {x.shape[1]} channels, their bias {bias.dtype} {tuple(bias.shape)}: "
            "expected both in float32 or in float64, and a value a channel"
        )


def _size(x: Tensor) -> Pair:
    return x.shape[-2], x.shape[-1]


def _inside(window: Window) -> bool:
    """Whether every window lies inside its plane, wherever it is."""
    return window.padding == (0, 0) and not window.ceil_mode


def _sizes(plane: Tensor, out: Pair, order: torch.memory_format) -> tuple[int, ...]:
    """Height and width of the plane and of the pooled one, and the length of the inner axis."""
    return *_size(plane), *out, plane.shape[1] if order == torch.channels_last else 1


def _launch(
    kernel: Any,
    written: Tensor,
    tensors: tuple[Tensor, ...],
    numbers: tuple[int, ...],
    window: Window,
    **flags: bool,
) -> None:
    count = written.numel()
    if not count:
        return
    compute = tl.float64 if written.dtype == torch.float64 else tl.float32
    # A kernel starts on the current GPU, which need not be that of its tensors.
    with torch.cuda.device_of(written):
        kernel[(-(-count // _BLOCK),)](
            *tensors, count, *numbers, *window.kernel, *window.stride, *window.padding, *window.dilation,
            COMPUTE=compute, BLOCK=_BLOCK, **flags,
        )  # fmt: skip


# What the kernels share: where a value lies, and what a layer does to it.


@no_type_check
@triton.jit
def _split(at, inner, columns, rows):
    """Depth, column, row and outer number of the places `at` of an array (outer, rows, columns, inner)."""
    rest = at // inner
    return at % inner, rest % columns, rest // columns % rows, rest // columns // rows


@no_type_check
@triton.jit
def _join(outer, row, column, depth, rows, columns, inner):
    """The places of such numbers."""
    return ((outer * rows + row) * columns + column) * inner + depth


@no_type_check
@triton.jit
def _cell(
    row, column, code, height, width,
    KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
):  # fmt: skip
    """Row and column in the plane of a window's cell, and whether it lies there."""
    y = row * SH - PH + (code // KW) * DH
    z = column * SW - PW + (code % KW) * DW
    return y, z, (y >= 0) & (y < height) & (z >= 0) & (z < width)


@no_type_check
@triton.jit
def _channel(outer, depth, channels, LAST: tl.constexpr):
    """The channel of a value, in either memory format."""
    return depth if LAST else outer % channels


@no_type_check
@triton.jit
def _active(found, bias, channel, live):
    """What a layer with this bias makes of its sums; NaN stays NaN."""
    found = found + tl.load(bias + channel, mask=live, other=0.0)
    return tl.where(found < 0, 0.0, found)


@no_type_check
@triton.jit(do_not_specialize=_SIZES)
def _pool(
    x, bias, values, codes, count, height, width, rows, columns, inner, channels,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    COMPUTE: tl.constexpr, BLOCK: tl.constexpr,
    INSIDE: tl.constexpr, LAST: tl.constexpr, ACTIVE: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    depth, column, row, outer = _split(at, inner, columns, rows)
    best = tl.full([BLOCK], float("-inf"), COMPUTE)
    code = tl.zeros([BLOCK], tl.int32)
    # A window of nothing but -inf names its first cell inside the plane.
    none = live
    for cell in range(KH * KW):
        y, z, within = _cell(row, column, cell, height, width, KW, SH, SW, PH, PW, DH, DW)
        inside = live
        if not INSIDE:
            inside = live & within
        place = _join(outer, y, z, depth, height, width, inner)
        found = tl.load(x + place, mask=inside, other=float("-inf")).to(COMPUTE)
        if ACTIVE:
            active = _active(found, bias, _channel(outer, depth, channels, LAST), live)
            found = tl.where(inside, active, found)
        better = inside & ((found > best) | none)
        code = tl.where(better, cell, code)
        # NaN spreads: nothing is larger than it.
        best = tl.where(better | (found != found), found, best)
        none = none & (inside == 0)
    tl.store(values + at, best.to(values.dtype.element_ty), mask=live)
    tl.store(codes + at, code.to(tl.uint8), mask=live)


@no_type_check
@triton.jit(do_not_specialize=_SIZES + _OF_VALUES)
def _put(
    values, bias, codes, plane, count, height, width, rows, columns, inner, channels,
    values_n, values_c, values_h, values_w,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    COMPUTE: tl.constexpr, BLOCK: tl.constexpr,
    TILES: tl.constexpr, LAST: tl.constexpr, ACTIVE: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    depth, z, y, outer = _split(at, inner, width, height)
    channel = _channel(outer, depth, channels, LAST)
    image = outer if LAST else outer // channels
    first = values + image * values_n + channel * values_c
    total = tl.zeros([BLOCK], COMPUTE)
    # Of windows that tile the plane, one has this cell, and it is known which.
    for turn in range(1 if TILES else KH * KW):
        if TILES:
            row, column, cell, begins = y // 2, z // 2, (y % 2) * 2 + z % 2, live
        else:
            down, right, cell = y + PH - (turn // KW) * DH, z + PW - (turn % KW) * DW, turn
            row, column = down // SH, right // SW
            # A window that starts at this distance has this cell here.
            begins = (down >= 0) & (right >= 0) & (down % SH == 0) & (right % SW == 0)
            begins = live & begins & (row < rows) & (column < columns)
        place = _join(outer, row, column, depth, rows, columns, inner)
        chosen = begins & (tl.load(codes + place, mask=begins, other=255).to(tl.int32) == cell)
        found = tl.load(first + row * values_h + column * values_w, mask=chosen, other=0.0).to(COMPUTE)
        if ACTIVE:
            found = tl.where(chosen, _active(found, bias, channel, live), found)
        total += found
    tl.store(plane + at, total.to(plane.dtype.element_ty), mask=live)


@no_type_check
@triton.jit(do_not_specialize=_SIZES)
def _take(
    plane, codes, values, count, height, width, rows, columns, inner,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    COMPUTE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    depth, column, row, outer = _split(at, inner, columns, rows)
    code = tl.load(codes + at, mask=live, other=0).to(tl.int32)
    y, z, within = _cell(row, column, code, height, width, KW, SH, SW, PH, PW, DH, DW)
    inside = live & within & (code < KH * KW)
    found = tl.load(plane + _join(outer, y, z, depth, height, width, inner), mask=inside, other=0.0)
    tl.store(values + at, found, mask=live)
