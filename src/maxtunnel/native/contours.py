"""contours.cpp: counts of matched contour pixels at many thresholds."""

import ctypes

import torch
from torch import Tensor

from maxtunnel.native.arguments import address
from maxtunnel.native.build import library


class _Shape(ctypes.Structure):
    """`Shape` of contours.cpp."""

    _fields_ = (
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("thresholds", ctypes.c_int64),
        ("annotators", ctypes.c_int64),
        ("radius", ctypes.c_double),
        ("thin", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    )


def count(strength: Tensor, thresholds: Tensor, truths: Tensor, radius: float, thin: bool) -> Tensor:
    """See `evaluation.contours.count_plainly`: float64 (h, w) and (t,), bool (a, h, w) to int64 (t, 4)."""
    strength, thresholds = strength.contiguous(), thresholds.contiguous()
    truths = truths.to(torch.uint8).contiguous()
    counts = torch.empty((len(thresholds), 4), dtype=torch.int64)
    shape = _Shape(*strength.shape, len(thresholds), len(truths), radius, thin, torch.get_num_threads())
    library("contours").count_contours(
        address(strength), address(thresholds), address(truths), address(counts), ctypes.byref(shape)
    )
    return counts
