"""Tensors as arguments of compiled functions."""

import ctypes

import torch
from torch import Tensor

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


def address(tensor: Tensor) -> ctypes.c_void_p:
    """Where its first value lies."""
    return ctypes.c_void_p(tensor.data_ptr())


def memory_format(x: Tensor) -> torch.memory_format:
    """The order in memory that `x` has, or comes nearest to; channels-last only where the two differ."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format
