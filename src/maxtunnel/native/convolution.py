"""convolution.cpp: the gradient of a ReLU, and the 3x3 layer to three channels with its gradients."""

import ctypes

import torch
from torch import Tensor

from maxtunnel.native.arguments import SUFFIX, Shape, address, readable
from maxtunnel.native.build import available, library


def supported(x: Tensor) -> bool:
    """Whether these functions take this tensor."""
    return x.dtype in SUFFIX and readable(x) and available("convolution")


def mask(gradient: Tensor, active: Tensor) -> Tensor:
    """`gradient` where `active` is above 0, else 0; both of one shape and dtype."""
    out = torch.empty_like(active)
    gradient = gradient if gradient.stride() == active.stride() else out.copy_(gradient)
    function = getattr(library("convolution"), f"mask_{SUFFIX[active.dtype]}")
    count, threads = ctypes.c_int64(active.numel()), ctypes.c_int32(torch.get_num_threads())
    function(*map(address, (gradient, active, out)), count, threads)
    return out


def convolve_to_colours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3x3 convolution to three channels, float32 whatever `x` is; weight (3, c, 3, 3) and bias in float32."""
    x = x.contiguous(memory_format=torch.channels_last)
    packed = weight.permute(2, 1, 3, 0).contiguous()
    n, _, h, w = x.shape
    out = torch.empty((n, 3, h, w), memory_format=torch.channels_last)
    _call("forward", x, packed, bias.contiguous(), out, plane=x)
    return out


def colours_weight_gradient(x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias of `convolve_to_colours`; `gradient` is that of its result, float32."""
    x = x.contiguous(memory_format=torch.channels_last)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    packed, bias = torch.zeros(3, x.shape[1], 3, 3), torch.zeros(3)
    _call("weights", x, gradient, packed, bias, plane=x)
    return packed.permute(3, 1, 0, 2), bias


def _call(name: str, *tensors: Tensor, plane: Tensor) -> None:
    n, c, h, w = plane.shape
    shape = Shape(n, h, w, c, torch.get_num_threads())
    function = getattr(library("convolution"), f"{name}_{SUFFIX[plane.dtype]}")
    function(*map(address, tensors), ctypes.byref(shape))
