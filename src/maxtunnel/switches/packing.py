"""Codes in as few bits as they need, in memory."""

import math
from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import UInt8
from torch import Tensor


def pack(codes: UInt8[Tensor, "n c h w"], bits: int = 2) -> UInt8[Tensor, "n bytes"]:
    """Codes below 2^bits, channels last, several in a byte; `bits` divides 8."""
    flat = codes.permute(0, 2, 3, 1).flatten(1)
    part = -(-flat.shape[1] * bits // 8)
    parts = torch.nn.functional.pad(flat, (0, part * 8 // bits - flat.shape[1])).split(part, dim=1)
    return reduce(
        torch.bitwise_or, (codes << shift for codes, shift in zip(parts, range(0, 8, bits), strict=True))
    )


def unpack(packed: UInt8[Tensor, "b bytes"], shape: Sequence[int], bits: int = 2) -> UInt8[Tensor, "b c h w"]:
    """What `pack` was given, in channels-last memory format; `shape` is (h, w, c)."""
    flat = torch.cat([packed >> shift & 2**bits - 1 for shift in range(0, 8, bits)], dim=1)
    return flat[:, : math.prod(shape)].view(-1, *shape).permute(0, 3, 1, 2)
