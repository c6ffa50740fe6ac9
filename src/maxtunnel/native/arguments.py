"""Tensors as arguments of compiled functions."""

import ctypes

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

SUFFIX = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class Shape(ctypes.Structure):
    """`Shape` of planes.h."""

    _fields_ = (
        ("batch", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("threads", ctypes.c_int32),
    )


def readable(x: Tensor) -> bool:
    """Whether compiled code may take `x`: its values lie in main memory, and PyTorch is not tracing."""
    return x.device.type == "cpu" and not is_watched(x)


def is_watched(x: Tensor) -> bool:
    """Whether somebody asks for PyTorch's own operations on `x`, so that none may be passed over.

    Fake tensors have no memory, and a mode that records operations (`make_fx`, `FlopCounterMode`) would not
    see what compiled code does.
    """
    return (
        type(x) not in (Tensor, nn.Parameter)
        or torch.compiler.is_compiling()
        or _get_current_dispatch_mode() is not None
    )


def address(tensor: Tensor) -> ctypes.c_void_p:
    """Where its first value lies."""
    return ctypes.c_void_p(tensor.data_ptr())


def memory_format(x: Tensor) -> torch.memory_format:
    """The order in memory that `x` has, or comes nearest to; channels-last only where the two differ."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format
