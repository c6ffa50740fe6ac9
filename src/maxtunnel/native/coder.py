"""codec.cpp: the functions of codec/plain.py, with the same bytes, some thousand times as fast."""

import ctypes
from collections.abc import Mapping, Sequence

import numpy as np

from maxtunnel.native.build import available, library

_POINTERS = ("trunk", "above", "bias", "middle", "middle_bias", "own", "out", "out_bias")
# What codec.cpp returns in the place of a number of bytes.
_NO_ROOM, _NO_MEMORY = -1, -2


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


def supported() -> bool:
    """Whether codec.cpp can be used here; it takes every level."""
    return available("codec")


def learned(
    weights: Mapping[str, np.ndarray],
    reach: tuple[int, int],
    squash: np.ndarray,
    codes: np.ndarray,
    above: np.ndarray,
    data: bytes | None,
) -> bytes | None:
    """`codec.plain.learned`; None where it would take more bytes than two bits a code.

    The codes of `above`, and those to be written, are rows of tables and are not looked at again: 0 to 3.

    Args:
        weights: the arrays of a `LevelPrior`.
        reach: its reach.
        squash: the table of probabilities.

    Raises:
        MemoryError: there is not enough for the planes.
    """
    pointers = [weights[name].ctypes.data for name in _POINTERS]
    models = (_Shape(*codes.shape), _Shape(*above.shape), _Weights(*reach, *pointers, squash.ctypes.data))
    return _call("learned", models, (codes, above), 2, data)


def adaptive(codes: np.ndarray, cells: int, tables: Sequence[np.ndarray], data: bytes | None) -> bytes | None:
    """`codec.plain.adaptive`; None where it would take more bytes than the least whole bits a code.

    Args:
        tables: peers, reads, and the tables of probabilities and logits.

    Raises:
        MemoryError: there is not enough for the planes.
    """
    bits = (cells - 1).bit_length()
    windows = _Windows(cells, bits, *(array.ctypes.data for array in tables))
    return _call("adaptive", (_Shape(*codes.shape), windows), (codes,), bits, data)


def _call(
    name: str,
    models: tuple[ctypes.Structure, ...],
    arrays: tuple[np.ndarray, ...],
    bits: int,
    data: bytes | None,
) -> bytes | None:
    room = arrays[0].size * bits // 8 + 8
    buffer = np.empty(room, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    function = getattr(library("codec"), name)
    function.restype = ctypes.c_int64
    written = function(
        *(ctypes.byref(model) for model in models),
        *(ctypes.c_void_p(array.ctypes.data) for array in arrays),
        ctypes.c_void_p(buffer.ctypes.data),
        ctypes.c_int64(len(buffer)),
        ctypes.c_int32(data is not None),
    )
    if written == _NO_MEMORY:
        raise MemoryError(f"no memory for {arrays[0].size:,} switches")
    if data is not None:
        return b""
    return None if written == _NO_ROOM else buffer[:written].tobytes()
