"""codec.cpp through ctypes: the functions of plain.py, with the same bytes, some thousand times as fast."""

import ctypes
from typing import Any

import numpy as np

from maxtunnel import native
from maxtunnel.codec.arithmetic import squash_table, stretch_table
from maxtunnel.codec.contexts import reads_array
from maxtunnel.codec.prior import LevelPrior

_SOURCE = "codec/codec"
_POINTERS = ("trunk", "above", "bias", "middle", "middle_bias", "own", "out", "out_bias")


class _Shape(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int64) for name in ("images", "channels", "height", "width"))


class _Weights(ctypes.Structure):
    _fields_ = (
        ("reach", ctypes.c_int32),
        ("above_reach", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in (*_POINTERS, "squash")),
    )


class _Windows(ctypes.Structure):
    _fields_ = (
        ("cells", ctypes.c_int32),
        ("bits", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("peers", "reads", "squash", "stretch")),
    )


def available() -> bool:
    """Whether codec.cpp is, or can be, compiled here."""
    return native.library(_SOURCE) is not None


def learned(prior: LevelPrior, codes: np.ndarray, above: np.ndarray, data: bytes | None) -> bytes | None:
    """`plain.learned`; None where it would take more bytes than two bits a code."""
    pointers = [getattr(prior, name).ctypes.data for name in _POINTERS]
    weights = _Weights(*prior.reach, *pointers, squash_table().ctypes.data)
    models = (_Shape(*codes.shape), _Shape(*above.shape), weights)
    return _call("learned", models, (codes, above), 2, data)


def adaptive(codes: np.ndarray, cells: int, peers: np.ndarray, data: bytes | None) -> bytes | None:
    """`plain.adaptive`; None where it would take more bytes than the least whole bits a code."""
    bits, reads = (cells - 1).bit_length(), reads_array()
    tables = [array.ctypes.data for array in (peers, reads, squash_table(), stretch_table())]
    return _call("adaptive", (_Shape(*codes.shape), _Windows(cells, bits, *tables)), (codes,), bits, data)


def _call(
    name: str, models: tuple[Any, ...], arrays: tuple[np.ndarray, ...], bits: int, data: bytes | None
) -> bytes | None:
    room = arrays[0].size * bits // 8 + 8
    buffer = np.empty(room, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    function = getattr(native.library(_SOURCE), name)
    function.restype = ctypes.c_int64
    written = function(
        *(ctypes.byref(model) for model in models),
        *(ctypes.c_void_p(array.ctypes.data) for array in arrays),
        ctypes.c_void_p(buffer.ctypes.data),
        ctypes.c_int64(len(buffer)),
        ctypes.c_int32(data is not None),
    )
    return None if written < 0 else buffer[:written].tobytes() if data is None else b""
