"""Codes in the least whole bits each: two for a 2x2 window."""

import numpy as np

# The four codes in each byte, the first in its lowest bits.
_FOUR = (np.arange(256)[:, None] >> np.array([0, 2, 4, 6]) & 3).astype(np.uint8).view("<u4").ravel()
_BLOCK = 1 << 16


def bits_of(cells: int) -> int:
    """Bits that name one of `cells` codes."""
    return (cells - 1).bit_length()


def packed_size(count: int, cells: int) -> int:
    """Bytes that `pack` makes of `count` codes."""
    return -(-count * bits_of(cells) // 8)


def pack(codes: np.ndarray, cells: int) -> bytes:
    """Codes, flattened, one after the other from the lowest bit of the first byte."""
    bits = bits_of(cells)
    if bits == 2:
        return _pack_fours(codes.ravel())
    places = np.arange(bits, dtype=np.uint8)
    return np.packbits(codes.ravel()[:, None] >> places & 1, bitorder="little").tobytes()


def unpack(data: bytes, count: int, cells: int) -> np.ndarray:
    """`count` codes from the bytes of `pack`."""
    bits = bits_of(cells)
    if bits == 2:
        return _FOUR[np.frombuffer(data, np.uint8)].view(np.uint8)[:count]
    places = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    return places.reshape(count, bits) @ (1 << np.arange(bits)).astype(np.uint8)


def _pack_fours(codes: np.ndarray) -> bytes:
    packed = np.zeros(-(-len(codes) // 4), np.uint8)
    whole = len(codes) // 4
    fours = codes[: 4 * whole].view("<u4")
    # A block at a time stays in the cache, which doubles the speed.
    for start in range(0, whole, _BLOCK):
        block = fours[start : start + _BLOCK]
        packed[start : min(start + _BLOCK, whole)] = block | block >> 6 | block >> 12 | block >> 18
    for place, code in enumerate(codes[4 * whole :]):
        packed[-1] |= code << 2 * place
    return packed.tobytes()
