"""A binary arithmetic coder and its two tables, in whole numbers only.

A *logit* is 256 x ln(p / (1 - p)), rounded, from -2047 to 2047; a probability of a 1 has 16 bits.
"""

from decimal import Decimal, localcontext
from functools import cache

import numpy as np

LEAST = 64  # of 65,536: no decision is ever taken for more certain than this


@cache
def squash_table() -> np.ndarray:
    """The probability for each logit + 2048, uint16.

    Decimal arithmetic is rounded correctly on every machine, which a C library's exp is not.
    """
    with localcontext(prec=30):
        halves = [65536 / (1 + (Decimal(-logit) / 256).exp()) for logit in range(2048)]
    upper = [min(round(probability), 65536 - LEAST) for probability in halves]
    return np.array([LEAST, *(65536 - p for p in upper[:0:-1]), *upper], np.uint16)


@cache
def stretch_table() -> np.ndarray:
    """The logit for each probability of 12 bits, int16: the inverse of `squash_table`."""
    middles = np.arange(4096) * 16 + 8
    return (np.searchsorted(squash_table(), middles) - 2048).clip(-2047, 2047).astype(np.int16)


class Coder:
    """Writes binary decisions, or reads those that another has written to `data`."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data, self.at = data, 4
        self.written = bytearray()
        self.low, self.high = 0, 0xFFFFFFFF
        self.value = 0 if data is None else int.from_bytes(data[:4].ljust(4, b"\0"))

    def code(self, bit: int, probability: int) -> int:
        """Write `bit`, or read and return one; `probability` is that of a 1, of 65,536."""
        span = self.high - self.low
        middle = self.low + (span >> 16) * probability + ((span & 0xFFFF) * probability >> 16)
        if self.data is not None:
            bit = int(self.value <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while (self.low ^ self.high) >> 24 == 0:
            self._shift()
        return bit

    def finish(self) -> bytes:
        """All that was written; one byte settles the rest, since reading past the end gives zeros."""
        if self.low > 0:
            self.written.append((self.low >> 24) + 1)
        return bytes(self.written)

    def _shift(self) -> None:
        if self.data is None:
            self.written.append(self.low >> 24)
        else:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.value = (self.value << 8 | byte) & 0xFFFFFFFF
            self.at += 1
        self.low = self.low << 8 & 0xFFFFFFFF
        self.high = (self.high << 8 | 0xFF) & 0xFFFFFFFF
