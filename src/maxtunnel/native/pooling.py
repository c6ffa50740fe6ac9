"""pooling.cpp: 2x2 windows of stride 2 in float32 and bfloat16, in both memory formats."""

import ctypes

import torch
from torch import Tensor

from maxtunnel.native.arguments import SUFFIX, Shape, address, memory_format, readable
from maxtunnel.native.build import available, library


def supported(x: Tensor) -> bool:
    """Whether these functions take this tensor."""
    return x.dtype in SUFFIX and readable(x) and available("pooling")


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """See `switches.kernels.pool`; height and width are even."""
    x = x.contiguous(memory_format=memory_format(x))
    n, c, h, w = x.shape
    values = torch.empty((n, c, h // 2, w // 2), dtype=x.dtype, memory_format=memory_format(x))
    codes = torch.empty_like(values, dtype=torch.uint8)
    _call("pool", x, values, codes, plane=x)
    return values, codes


def put(values: Tensor, codes: Tensor) -> Tensor:
    """See `switches.kernels.put`; the plane is twice as high and wide. The codes decide the memory format."""
    codes = codes.contiguous(memory_format=memory_format(codes))
    values = values.contiguous(memory_format=memory_format(codes))
    n, c, h, w = codes.shape
    plane = torch.empty((n, c, 2 * h, 2 * w), dtype=values.dtype, memory_format=memory_format(codes))
    _call("put", values, codes, plane, plane=plane)
    return plane


def take(plane: Tensor, codes: Tensor) -> Tensor:
    """See `switches.kernels.take`; height and width are even."""
    codes = codes.contiguous(memory_format=memory_format(codes))
    plane = plane.contiguous(memory_format=memory_format(codes))
    values = torch.empty_like(codes, dtype=plane.dtype)
    _call("take", plane, codes, values, plane=plane)
    return values


def _call(name: str, *tensors: Tensor, plane: Tensor) -> None:
    n, c, h, w = plane.shape
    if memory_format(plane) == torch.contiguous_format:
        n, c = n * c, 1
    shape = Shape(n, h, w, c, torch.get_num_threads())
    function = getattr(library("pooling"), f"{name}_{SUFFIX[plane.dtype]}")
    function(*map(address, tensors), ctypes.byref(shape))
