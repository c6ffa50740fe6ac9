"""Encoder, decoder and the decoder's gradient as one native call each, image by image.

`planar.cpp` keeps each channel as a plane, so that a vector is neighbouring pixels and few filters waste
nothing, and takes an image through all layers on one core, so that it stays in that core's cache. The layers
one by one, in PyTorch, do the same where it cannot be used. All is float32, but under autocast the decoder
multiplies in bfloat16.
"""

import ctypes
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.native.arguments import address, readable
from maxtunnel.native.build import available, library

# Filters of the outermost block up to which this is faster than PyTorch's layers: docs/benchmarks.md.
WIDEST_FLOAT32 = 48
WIDEST_BFLOAT16 = 32


class _Network(ctypes.Structure):
    _fields_ = (
        ("batch", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("blocks", ctypes.c_int64),
        ("widths", ctypes.POINTER(ctypes.c_int64)),
        ("codes", ctypes.POINTER(ctypes.c_void_p)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("threads", ctypes.c_int32),
        ("bfloat16", ctypes.c_int32),
    )


class _Images(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("strides", ctypes.c_int64 * 4))


def supported(widths: Sequence[int], parameters: Iterable[Tensor]) -> bool:
    """Whether planar.cpp takes, and is faster for, a network of such widths and parameters."""
    bfloat16 = torch.is_autocast_enabled("cpu")
    return (
        widths[0] <= (WIDEST_BFLOAT16 if bfloat16 else WIDEST_FLOAT32)
        and all(p.dtype == torch.float32 and readable(p) for p in parameters)
        and available("planar")
        and (not bfloat16 or multiplies_pairs())
    )


def multiplies_pairs() -> bool:
    """Whether the processor multiplies two bfloat16 in one step; without that they are no gain."""
    return bool(library("planar").multiplies_pairs())


def encode(
    x: Float[Tensor, "n 3 h w"], widths: Sequence[int], parameters: Sequence[Tensor]
) -> tuple[Float[Tensor, "n c _ _"], tuple[UInt8[Tensor, "n _ _ _"], ...]]:
    """The deepest features and the codes, finest level first.

    Args:
        x: what the encoder is given; sides are multiples of 2^blocks.
        widths: filters per block, outermost first.
        parameters: weight and bias of each layer in execution order.
    """
    n, _, h, w = x.shape
    if h % 2 ** len(widths) or w % 2 ** len(widths):
        raise ValueError(f"x is {h}x{w}: expected multiples of {2 ** len(widths)}")
    codes = tuple(
        torch.empty((n, c, h >> level, w >> level), dtype=torch.uint8, memory_format=torch.channels_last)
        for level, c in enumerate(widths, 1)
    )
    features = torch.empty(codes[-1].shape, memory_format=torch.channels_last)
    flat = _flat(parameters)
    images, network = _images(x), _network(codes, widths, (h, w))
    library("planar").encode(ctypes.byref(images), address(flat), address(features), ctypes.byref(network))
    return features, codes


def decode(
    codes: Sequence[UInt8[Tensor, "n _ _ _"]], widths: Sequence[int], parameters: Sequence[Tensor]
) -> Float[Tensor, "n 3 h w"]:
    """What the decoder makes of codes, finest level first; parameters: bias code, then as for `encode`."""
    output, flat = _output(codes), _flat(parameters)
    network = _network(codes, widths, (output.shape[-2], output.shape[-1]))
    library("planar").decode(address(flat), address(output), ctypes.byref(network))
    return output


def squared_error(
    codes: Sequence[UInt8[Tensor, "n _ _ _"]],
    target: Float[Tensor, "n 3 h w"],
    widths: Sequence[int],
    parameters: Sequence[Tensor],
) -> Float[Tensor, ""]:
    """Sum of (decode(codes) - target)^2, differentiable in the parameters, which cost one more call then."""
    return _SquaredError.apply(codes, target, widths, *parameters)


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, codes: Sequence[Tensor], target: Tensor, widths: Sequence[int], *parameters: Tensor
    ) -> Tensor:
        flat = _flat(parameters)
        gradients = torch.zeros_like(flat)
        function = library("planar").squared_error
        function.restype = ctypes.c_double
        images = _images(target)
        network = _network(codes, widths, (target.shape[-2], target.shape[-1]))
        squares = function(address(flat), ctypes.byref(images), address(gradients), ctypes.byref(network))
        ctx.save_for_backward(gradients)
        ctx.shapes = [p.shape for p in parameters]
        return torch.tensor(squares, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (gradients,) = ctx.saved_tensors
        parts = (gradients * gradient).split([shape.numel() for shape in ctx.shapes])
        return None, None, None, *(part.view(s) for part, s in zip(parts, ctx.shapes, strict=True))


def _output(codes: Sequence[Tensor]) -> Tensor:
    n, _, h, w = codes[0].shape
    return torch.empty((n, 3, 2 * h, 2 * w), memory_format=torch.channels_last)


def _flat(parameters: Sequence[Tensor]) -> Tensor:
    # Weights may lie in channels-last order: reshape follows the shape, not the memory.
    return torch.cat([p.detach().reshape(-1) for p in parameters])


def _network(codes: Sequence[Tensor], widths: Sequence[int], size: tuple[int, int]) -> _Network:
    n, (height, width) = len(codes[0]), size
    for level, (where, c) in enumerate(zip(codes, widths, strict=True), 1):
        # What is read and written there is not looked at again.
        if where.shape != (n, c, height >> level, width >> level) or where.dtype != torch.uint8:
            raise ValueError(
                f"codes of level {level} are {where.dtype} {tuple(where.shape)}: "
                f"expected uint8 {(n, c, height >> level, width >> level)}"
            )
    strides = [stride for where in codes for stride in where.stride()]
    return _Network(
        n,
        height,
        width,
        len(widths),
        _array(ctypes.c_int64, len(widths))(*widths),
        _array(ctypes.c_void_p, len(codes))(*(where.data_ptr() for where in codes)),
        _array(ctypes.c_int64, len(strides))(*strides),
        torch.get_num_threads(),
        torch.is_autocast_enabled("cpu"),
    )


def _images(x: Tensor) -> _Images:
    if x.dtype != torch.float32:
        raise ValueError(f"images are {x.dtype}: expected float32")
    return _Images(x.data_ptr(), _array(ctypes.c_int64, 4)(*x.stride()))


@cache
def _array(kind: type[Any], length: int) -> type[Any]:
    """The type of an array, made once: it is a cycle, which stays until Python looks for such."""
    return kind * length
