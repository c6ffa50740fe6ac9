"""Switches: where the maximum of each pooling window lies, as one small number a window.

A *window code* is the position of the maximum inside its window, row-major, so a 2x2 window has codes
0 (top left), 1 (top right), 2 (bottom left) and 3 (bottom right). `torch.nn.functional.max_pool2d` says the
same with a 64-bit index into the plane; `to_indices` and `from_indices` translate, exactly, both ways.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maxtunnel.switches import kernels
from maxtunnel.switches.window import Pair, Window

Overlap = Literal["sum", "mean", "last"]
PAPER_WINDOW = Window()


def pool(
    x: Float[Tensor, "n c h w"], window: Window = PAPER_WINDOW, *, check: bool = True
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """Max-pool `x` to pooled values and window codes; the first maximum in row-major order wins a tie.

    Args:
        x: any floating dtype, any memory format.
        window: the geometry of the pooling layer.
        check: refuse NaN, which has no place in an order. It is looked for in the pooled values, which
            hold one wherever a window did. Pass False only if you look later (`refuse_nan`).

    Returns:
        The values, differentiable in `x`, and the codes.

    Raises:
        ValueError: `x` holds a NaN, or no window fits into it.
    """
    values, codes = _Pool.apply(x, window)
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
        values: what to put; an `expand`ed tensor is fine.
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
    size = _plane_size(codes, window, size)
    if check:
        check_codes(codes, window, size)
    if overlap == "sum" or not window.overlaps:
        return _Put.apply(values, codes, window, size)
    if overlap == "mean":
        chosen = kernels.put(torch.ones_like(values), codes, window, size)
        return _Put.apply(values, codes, window, size) / chosen.clamp(min=1)
    if overlap == "last":
        # Only the winners' values may reach the plane or carry a gradient; 0 x infinity would be NaN.
        return _Put.apply(torch.where(_stays(codes, window, size), values, 0), codes, window, size)
    raise ValueError(f"overlap is {overlap!r}: expected 'sum', 'mean' or 'last'")


def to_indices(
    codes: UInt8[Tensor, "n c oh ow"], window: Window = PAPER_WINDOW, size: Pair | None = None
) -> Int64[Tensor, "n c oh ow"]:
    """Codes as the plane indices (row x width + column) of `max_pool2d(..., return_indices=True)`."""
    size = _plane_size(codes, window, size)
    check_codes(codes, window, size)
    row, column = _cells(codes, window)
    return row * size[1] + column


def from_indices(
    indices: Int64[Tensor, "n c oh ow"], window: Window, size: Pair
) -> UInt8[Tensor, "n c oh ow"]:
    """Plane indices as codes; ValueError where an index lies outside its own window or the plane."""
    _plane_size(indices, window, size)
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < math.prod(size):
        raise ValueError(
            f"indices go from {int(indices.min())} to {int(indices.max())}; "
            f"a plane of {size[0]}x{size[1]} has 0 to {math.prod(size) - 1}"
        )
    starts = _starts(indices, window)
    steps = (indices // size[1] - starts[0], indices % size[1] - starts[1])
    inside = torch.ones_like(indices, dtype=torch.bool)
    for step, dilation, kernel in zip(steps, window.dilation, window.kernel, strict=True):
        inside &= (step >= 0) & (step % dilation == 0) & (step < kernel * dilation)
    if not bool(inside.all()):
        raise ValueError(f"an index lies outside its own {window} over a plane of {size[0]}x{size[1]}")
    down, right = steps[0] // window.dilation[0], steps[1] // window.dilation[1]
    return (down * window.kernel[1] + right).to(torch.uint8)


def refuse_nan(values: Float[Tensor, "..."]) -> None:
    """Raise ValueError where a pooled value is NaN."""
    if bool(torch.isnan(values).any()):
        raise ValueError(
            "NaN among the pooled values, where no largest one exists: "
            "look for NaN or infinity in the images and in the weights"
        )


def check_codes(codes: UInt8[Tensor, "n c oh ow"], window: Window, size: Pair) -> None:
    """Raise ValueError where a code lies outside its window, or in the padding around a plane of `size`."""
    if codes.numel() == 0:
        return
    if int(codes.max()) >= window.cells:
        raise ValueError(f"a code is {int(codes.max())}; a {window} has codes 0 to {window.cells - 1}")
    if window.padding == (0, 0) and not window.ceil_mode:
        return
    row, column = _cells(codes, window)
    if not bool(((row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])).all()):
        raise ValueError(f"a code of a {window} points outside its plane of {size[0]}x{size[1]}")


@dataclass(frozen=True, eq=False)
class SwitchLevel:
    """The switches of one pooling layer for a batch of images.

    Attributes:
        codes: uint8, (n, c, oh, ow).
        window: the layer's geometry.
        size: (height, width) of the plane that was pooled.
        name: of the layer, where it is known.
    """

    codes: UInt8[Tensor, "n c oh ow"]
    window: Window
    size: Pair
    name: str = ""

    def __post_init__(self) -> None:
        if self.codes.dtype != torch.uint8 or self.codes.ndim != 4:
            raise ValueError(
                f"codes are {self.codes.dtype} of shape {tuple(self.codes.shape)}: "
                "expected uint8 of shape (n, c, h, w)"
            )
        _plane_size(self.codes, self.window, self.size)

    def with_codes(self, codes: UInt8[Tensor, "n c oh ow"]) -> "SwitchLevel":
        """The same layer with other codes."""
        return replace(self, codes=codes)

    @property
    def nominal_bits(self) -> float:
        """Bits of one image's codes if each costs log2(cells): 2 for a 2x2 window."""
        return math.prod(self.codes.shape[1:]) * math.log2(self.window.cells)

    @property
    def entropy_bits(self) -> float:
        """Bits of one image's codes, on average, if each costs the entropy of its channel's histogram."""
        n, channels = self.codes.shape[:2]
        where = self.codes.transpose(0, 1).reshape(channels, -1).long()
        counts = torch.stack([torch.bincount(codes, minlength=self.window.cells) for codes in where]).double()
        shares = counts / counts.sum(1, keepdim=True)
        return float(-torch.xlogy(counts, shares).sum() / math.log(2) / n)

    def indices(self) -> Int64[Tensor, "n c oh ow"]:
        """The plane indices that PyTorch uses."""
        return to_indices(self.codes, self.window, self.size)


@dataclass(frozen=True, eq=False)
class SwitchCode:
    """All switches of a batch of images: the paper's code, and all that its decoder is given.

    Attributes:
        levels: one entry a pooling layer; level 1, the outermost and finest, comes first.
        image_size: (height, width) of the images, which padding may have enlarged before the first layer.
    """

    levels: tuple[SwitchLevel, ...]
    image_size: Pair

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("a switch code needs at least one level; the network has no max pooling")
        batches = {len(level.codes) for level in self.levels}
        if len(batches) > 1:
            raise ValueError(f"levels hold different numbers of images: {sorted(batches)}")

    def __len__(self) -> int:
        return len(self.levels[0].codes)

    def __getitem__(self, images: slice | int) -> "SwitchCode":
        """The code of some images of the batch; a number gives a batch of one."""
        if isinstance(images, int):
            if not -len(self) <= images < len(self):
                raise IndexError(f"image {images} of a code of {len(self)}")
            images = slice(images, images + 1 or None)
        return self._map(lambda codes: codes[images])

    def to(self, *args: Any, **kwargs: Any) -> "SwitchCode":
        """The code on another device; the arguments of `torch.Tensor.to`."""
        return self._map(lambda codes: codes.to(*args, **kwargs))

    def __eq__(self, other: object) -> bool:
        """Whether image size, geometry and every code agree, wherever the two lie."""
        if not isinstance(other, SwitchCode):
            return NotImplemented
        return self.image_size == other.image_size and len(self.levels) == len(other.levels) and all(
            (a.window, a.size) == (b.window, b.size) and torch.equal(a.codes.cpu(), b.codes.cpu())
            for a, b in zip(self.levels, other.levels, strict=True)
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    @property
    def nominal_bits(self) -> float:
        """Bits of one image's switches, each at log2(cells of its window)."""
        return sum(level.nominal_bits for level in self.levels)

    @property
    def entropy_bits(self) -> float:
        """Bits of one image's switches, each at the zero-order entropy of its channel."""
        return sum(level.entropy_bits for level in self.levels)

    @property
    def nominal_bits_per_pixel(self) -> float:
        """Nominal bits per pixel and colour channel of the image, as in Table II."""
        return self.nominal_bits / (3 * math.prod(self.image_size))

    @classmethod
    def concatenate(cls, codes: Sequence["SwitchCode"]) -> "SwitchCode":
        """One batch of several, which agree in image size and geometry."""
        first = codes[0]
        if any(code.image_size != first.image_size for code in codes):
            raise ValueError("codes of images of different sizes make no batch")
        levels = zip(*(code.levels for code in codes), strict=True)
        joined = tuple(each[0].with_codes(torch.cat([level.codes for level in each])) for each in levels)
        return replace(first, levels=joined)

    def check(self) -> "SwitchCode":
        """The code itself, once every code is known to lie in its window and plane; else ValueError."""
        for level in self.levels:
            check_codes(level.codes, level.window, level.size)
        return self

    def _map(self, change: Callable[[Tensor], Tensor]) -> "SwitchCode":
        return replace(self, levels=tuple(level.with_codes(change(level.codes)) for level in self.levels))

    def __repr__(self) -> str:
        levels = ", ".join(f"{tuple(level.codes.shape[1:])} of {level.window}" for level in self.levels)
        images = "1 image" if len(self) == 1 else f"{len(self)} images"
        return f"SwitchCode({images} of {self.image_size[0]}x{self.image_size[1]}: {levels})"


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        values, codes = kernels.pool(x, window)
        ctx.save_for_backward(codes)
        ctx.mark_non_differentiable(codes)
        ctx.geometry = window, (x.shape[-2], x.shape[-1])
        return values, codes

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor, _: Any) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        return _Put.apply(grad_values, codes, *ctx.geometry), None


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, codes: Tensor, window: Window, size: Pair) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.geometry = window, size
        return kernels.put(values, codes, window, size)

    @staticmethod
    def backward(ctx: Any, grad_plane: Tensor) -> tuple[Tensor, None, None, None]:
        (codes,) = ctx.saved_tensors
        return _Take.apply(grad_plane, codes, *ctx.geometry), None, None, None


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plane: Tensor, codes: Tensor, window: Window, size: Pair) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.geometry = window, size
        return kernels.take(plane, codes, window)

    @staticmethod
    def backward(ctx: Any, grad_values: Tensor) -> tuple[Tensor, None, None, None]:
        (codes,) = ctx.saved_tensors
        return _Put.apply(grad_values, codes, *ctx.geometry), None, None, None


def _plane_size(codes: Tensor, window: Window, size: Pair | None) -> Pair:
    pooled = (codes.shape[-2], codes.shape[-1])
    if size is None:
        size = window.smallest_plane(pooled)
    if window.output_size(size) != pooled:
        height, width = window.output_size(size)
        raise ValueError(
            f"codes are {pooled[0]}x{pooled[1]}, but a {window} "
            f"over a plane of {size[0]}x{size[1]} gives {height}x{width}"
        )
    return size


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


def _stays(codes: Tensor, window: Window, size: Pair) -> Tensor:
    """Which windows are the last, row by row, to choose their cell."""
    number = torch.arange(1, math.prod(codes.shape[-2:]) + 1, device=codes.device, dtype=torch.float64)
    number = number.view(codes.shape[-2:]).expand(codes.shape)
    return kernels.take(kernels.put_last(number, codes, window, size), codes, window) == number
