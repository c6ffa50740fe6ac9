"""Codes in the least whole bits each, two for a 2x2 window: the layout of packed switch files and of memory.

Codes come one after the other, each from the lowest bit that is free. So a byte holds four codes of two bits,
the first in its lowest bits, and codes of three bits lie across bytes.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from jaxtyping import Int32, UInt8
from torch import Tensor

# Bytes that are packed or unpacked at a time.
_BLOCK = 1 << 15


def bits_of(cells: int) -> int:
    """Bits that name one of `cells` codes."""
    return (cells - 1).bit_length()


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return -(-count * bits // 8)


def pack(codes: UInt8[Tensor, "n ..."], bits: int) -> UInt8[Tensor, "n bytes"]:
    """Codes below 2^bits, in as few bytes a row as they need; `bits` is 0 to 8."""
    flat = codes.flatten(1)
    if bits == 2 and sys.byteorder == "little":
        return _pack_fours(_filled(flat, 4))
    if bits and 8 % bits == 0:
        parts = _filled(flat, 8 // bits).unflatten(1, (-1, 8 // bits)).unbind(2)
        return reduce(torch.bitwise_or, (part << place * bits for place, part in enumerate(parts)))
    places = torch.arange(bits, dtype=torch.uint8, device=codes.device)
    return pack(flat[..., None] >> places & 1, 1)


def unpack(packed: UInt8[Tensor, "n bytes"], shape: Sequence[int], bits: int) -> UInt8[Tensor, "n ..."]:
    """What `pack` was given: `shape` is that of a row's codes."""
    count = math.prod(shape)
    if bits == 2 and sys.byteorder == "little" and packed.device.type == "cpu":
        codes = _unpack_fours(packed)
    elif bits and 8 % bits == 0:
        places = torch.arange(0, 8, bits, dtype=torch.uint8, device=packed.device)
        codes = (packed[..., None] >> places & 2**bits - 1).flatten(1)
    else:
        each = unpack(packed, (count, bits), 1).unbind(2)
        codes = packed.new_zeros(len(packed), count)
        for place, bit in enumerate(each):
            codes |= bit << place
    return codes[:, :count].view(len(packed), *shape)


def _filled(codes: UInt8[Tensor, "n count"], each: int) -> UInt8[Tensor, "n more"]:
    """With zeros after each row, up to a multiple of `each`."""
    missing = -codes.shape[1] % each
    return torch.nn.functional.pad(codes, (0, missing)) if missing else codes.contiguous()


# Four codes of two bits are one 32-bit number, which takes a CPU a third of the time that they take apart.
# A GPU waits for its launches, and one by one they need the fewest to be unpacked.


def _pack_fours(codes: UInt8[Tensor, "n count"]) -> UInt8[Tensor, "n bytes"]:
    packed = codes.new_empty(len(codes), codes.shape[1] // 4)
    for apart, together in _blocks(codes.view(-1).view(torch.int32), packed.view(-1)):
        pairs = apart | apart >> 6
        together.copy_(pairs | pairs >> 12)
    return packed


def _unpack_fours(packed: UInt8[Tensor, "n bytes"]) -> UInt8[Tensor, "n count"]:
    codes = packed.new_empty(len(packed), 4 * packed.shape[1])
    for apart, together in _blocks(codes.view(-1).view(torch.int32), packed.reshape(-1)):
        spread = together.to(torch.int32)
        spread |= spread << 6
        spread |= spread << 12
        torch.bitwise_and(spread, 0x03030303, out=apart)
    return codes


def _blocks(
    fours: Int32[Tensor, " bytes"], packed: UInt8[Tensor, " bytes"]
) -> Iterator[tuple[Int32[Tensor, " part"], UInt8[Tensor, " part"]]]:
    """Both block by block: on a CPU, what is computed between them then stays in the cache."""
    size = _BLOCK if packed.device.type == "cpu" else max(1, len(packed))
    return zip(fours.split(size), packed.split(size), strict=True)
