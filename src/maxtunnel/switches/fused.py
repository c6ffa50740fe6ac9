"""`pool`, `put` and `take` as one launch each on a GPU, in Triton; imported only where Triton can be.

Planes are read as (outer, height, width, inner): images x channels, h, w, 1 in the usual memory format,
images, h, w, channels in channels-last. A program works on a row of neighbouring values of what it writes,
adds in the order of the codes and needs no atomic operation, so the result is the same in every run.
"""

import math
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
_BLOCK = 1024
# For these a kernel is not compiled anew where they are 1, or no multiple of 16. For the others it is, which
# saves divisions and makes vectors longer: with width and columns here, _put would divide twice as often.
_SIZES = ["height", "rows"]
_OF_VALUES = ["channels", "values_n", "values_h"]


def supported(x: Tensor, size: Pair = (0, 0)) -> bool:
    """Whether these functions take `x`, and as many planes of `size`."""
    values = max(x.numel(), math.prod(x.shape[:2]) * math.prod(size))
    return x.dtype in _DTYPES and values < _MOST_VALUES


def pool(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """See `switches.kernels.pool`."""
    order = memory_format(x)
    x = x.contiguous(memory_format=order)
    out = window.output_size((x.shape[-2], x.shape[-1]))
    values = torch.empty((*x.shape[:2], *out), dtype=x.dtype, device=x.device, memory_format=order)
    codes = torch.empty_like(values, dtype=torch.uint8)
    _launch(_pool, values, (x, values, codes), _sizes(x, out, order), window, INSIDE=_inside(window))
    return values, codes


def put(values: Tensor, codes: Tensor, window: Window, size: Pair) -> Tensor:
    """See `switches.kernels.put`; `values` may be expanded, the codes decide the memory format."""
    order = memory_format(codes)
    codes = codes.contiguous(memory_format=order)
    plane = torch.empty(
        (*codes.shape[:2], *size), dtype=values.dtype, device=values.device, memory_format=order
    )
    numbers = (*_sizes(plane, (codes.shape[-2], codes.shape[-1]), order), codes.shape[1], *values.stride())
    flags = {"TILES": window.tiles(size), "LAST": order == torch.channels_last}
    _launch(_put, plane, (values, codes, plane), numbers, window, **flags)
    return plane


def take(plane: Tensor, codes: Tensor, window: Window) -> Tensor:
    """See `switches.kernels.take`."""
    order = memory_format(codes)
    codes = codes.contiguous(memory_format=order)
    plane = plane.contiguous(memory_format=order)
    values = torch.empty_like(codes, dtype=plane.dtype)
    _launch(_take, values, (plane, codes, values), _sizes(plane, _size(codes), order), window)
    return values


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


@no_type_check
@triton.jit(do_not_specialize=_SIZES)
def _pool(
    x, values, codes, count, height, width, rows, columns, inner,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    COMPUTE: tl.constexpr, BLOCK: tl.constexpr, INSIDE: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    depth, rest = at % inner, at // inner
    column, rest = rest % columns, rest // columns
    row, outer = rest % rows, rest // rows
    best = tl.full([BLOCK], float("-inf"), COMPUTE)
    code = tl.zeros([BLOCK], tl.int32)
    # A window of nothing but -inf names its first cell inside the plane.
    none = live
    for cell in range(KH * KW):
        y = row * SH - PH + (cell // KW) * DH
        z = column * SW - PW + (cell % KW) * DW
        inside = live
        if not INSIDE:
            inside = live & (y >= 0) & (y < height) & (z >= 0) & (z < width)
        found = tl.load(
            x + ((outer * height + y) * width + z) * inner + depth, mask=inside, other=float("-inf")
        ).to(COMPUTE)
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
    values, codes, plane, count, height, width, rows, columns, inner,
    channels, values_n, values_c, values_h, values_w,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    COMPUTE: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < count
    depth, rest = at % inner, at // inner
    z, rest = rest % width, rest // width
    y, outer = rest % height, rest // height
    if LAST:
        first = values + outer * values_n + depth * values_c
    else:
        first = values + (outer // channels) * values_n + (outer % channels) * values_c
    if TILES:
        row, column = y // 2, z // 2
        where = tl.load(codes + ((outer * rows + row) * columns + column) * inner + depth, mask=live, other=0)
        chosen = live & (where.to(tl.int32) == (y % 2) * 2 + z % 2)
        total = tl.load(first + row * values_h + column * values_w, mask=chosen, other=0.0)
    else:
        total = tl.zeros([BLOCK], COMPUTE)
        for cell in range(KH * KW):
            down, right = y + PH - (cell // KW) * DH, z + PW - (cell % KW) * DW
            row, column = down // SH, right // SW
            # A window that starts at this distance has this cell here.
            begins = (down >= 0) & (right >= 0) & (down % SH == 0) & (right % SW == 0)
            begins = live & begins & (row < rows) & (column < columns)
            where = tl.load(
                codes + ((outer * rows + row) * columns + column) * inner + depth, mask=begins, other=255
            )
            chosen = begins & (where.to(tl.int32) == cell)
            total += tl.load(first + row * values_h + column * values_w, mask=chosen, other=0.0).to(COMPUTE)
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
    depth, rest = at % inner, at // inner
    column, rest = rest % columns, rest // columns
    row, outer = rest % rows, rest // rows
    code = tl.load(codes + at, mask=live, other=0).to(tl.int32)
    y = row * SH - PH + (code // KW) * DH
    z = column * SW - PW + (code % KW) * DW
    inside = live & (code < KH * KW) & (y >= 0) & (y < height) & (z >= 0) & (z < width)
    found = tl.load(plane + ((outer * height + y) * width + z) * inner + depth, mask=inside, other=0.0)
    tl.store(values + at, found, mask=live)
