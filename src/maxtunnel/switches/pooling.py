"""`pool` and `unpool`: planes to values and switches, and values back to where the switches say."""

import math
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.switches import kernels, operators, pending
from maxtunnel.switches.indices import check_codes, is_traced, plane_size
from maxtunnel.switches.window import PAPER_WINDOW, Pair, Window

Overlap = Literal["sum", "mean", "last"]
_NAN = (
    "NaN among the pooled values, where no largest one exists: look for NaN or infinity in the images and in "
    "the weights"
)


def pool(
    x: Float[Tensor, "n c h w"], window: Window = PAPER_WINDOW, *, check: bool = True
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """Max-pool `x` to pooled values and window codes; the first maximum in row-major order wins a tie.

    Args:
        x: any floating dtype, any memory format.
        window: the geometry of the pooling layer.
        check: refuse NaN, which has no place in an order. It is looked for in the pooled values, which
            hold one wherever a window did. Pass False only if you look later (`refuse_nan`), or inside
            `torch.vmap`, where no value can be looked at.

    Returns:
        The values, differentiable in `x`, and the codes.

    Raises:
        ValueError: `x` holds a NaN, or no window fits into it.
    """
    values, codes = operators.pool(x, window)
    if check:
        refuse_nan(values)
    return values, codes


def unpool(
    values: Float[Tensor, "n c oh ow"],
    codes: UInt8[Tensor, "n c oh ow"],
    window: Window = PAPER_WINDOW,
    size: Pair | None = None,
    overlap: Overlap = "sum",
    *,
    check: bool = True,
) -> Float[Tensor, "n c h w"]:
    """Put each value back where its window's maximum was, in a plane of zeros.

    Args:
        values: what to put; one that `expand` made is fine.
        codes: where to put it.
        window: the geometry with which the codes were made.
        size: (height, width) of the plane; by default the smallest that these windows fill.
        overlap: what a cell gets that several windows chose: the `sum` of their values (the adjoint of
            pooling), their `mean`, or the `last` one row by row (PyTorch's `max_unpool2d` on a CPU).
        check: refuse codes that no pooling of a plane of this size gives. Without the check such a code
            puts its value nowhere.

    Returns:
        The plane, differentiable in `values`; the same on every device and in every run.

    Raises:
        ValueError: the shapes disagree, or a code lies outside its window or outside the plane.
    """
    if values.shape != codes.shape:
        raise ValueError(f"values are {tuple(values.shape)} but codes are {tuple(codes.shape)}")
    size = plane_size(codes, window, size)
    if check:
        check_codes(codes, window, size)
    if overlap == "sum" or not window.overlaps:
        return operators.put(values, codes, window, size)
    if overlap == "mean":
        chosen = operators.put(torch.ones_like(values), codes, window, size)
        return operators.put(values, codes, window, size) / chosen.clamp(min=1)
    if overlap == "last":
        # Only the winners' values may reach the plane or carry a gradient; 0 x infinity would be NaN.
        winners = torch.where(kernels.lasting(codes, window, size), values, 0)
        return operators.put(winners, codes, window, size)
    raise ValueError(f"overlap is {overlap!r}: expected 'sum', 'mean' or 'last'")


def refuse_nan(*values: Float[Tensor, "..."]) -> None:
    """Raise ValueError where a pooled value is NaN; all are looked at together."""
    if any(is_traced(each) for each in values):
        for each in values:
            torch._assert_async(~torch.isnan(each).any(), _NAN)
    else:
        pending.refuse([nan_in(each) for each in values if each.numel()])


def nan_in(values: Float[Tensor, "..."]) -> pending.Check:
    """Whether there is a NaN among pooled values, one at least: it counts as the largest of them."""
    return pending.Check(values.detach().max(), lambda largest: _NAN if math.isnan(largest) else "")
