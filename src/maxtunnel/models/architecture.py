"""Filters per block, and what follows from them: layers, sizes, parameters and bits (Tables I and II)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from maxtunnel.switches.window import Pair


class Layer(NamedTuple):
    """One row of Table I."""

    name: str
    filters: int
    size: Pair
    relu: bool
    parameters: int
    switch_bits: int


@dataclass(frozen=True)
class Architecture:
    """Filters per block, outermost first: the paper's [n1, n2, n3], written `8-8-8`.

    Raises:
        ValueError: no block, or a width below 1.
    """

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths are {self.widths}: expected one positive number a block")

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """Read `48-96-192`; ValueError for anything else."""
        parts = text.split("-")
        if not all(part.isascii() and part.isdigit() and len(part) < 6 and int(part) for part in parts):
            raise ValueError(f"{text!r} is no architecture: expected filters per block, such as 16-16-16")
        return cls(tuple(int(part) for part in parts))

    def __str__(self) -> str:
        return "-".join(map(str, self.widths))

    @property
    def multiple(self) -> int:
        """Image sides are padded to a multiple of this number of pixels."""
        return 2 ** len(self.widths)

    def padded_size(self, size: Pair) -> Pair:
        """(height, width) of an image of `size` once both are multiples of `multiple`."""
        return tuple(-(-side // self.multiple) * self.multiple for side in size)  # type: ignore[return-value]

    def bits_per_pixel(self, size: Pair = (128, 128)) -> float:
        """Nominal bits of the switches of an image per pixel and colour channel, as in Table II."""
        height, width = self.padded_size(size)
        codes = sum(
            filters * (height >> level) * (width >> level) for level, filters in enumerate(self.widths, 1)
        )
        return 2 * codes / (3 * math.prod(size))

    def encoder_channels(self) -> list[tuple[int, int]]:
        """(in, out) of each encoder convolution in execution order."""
        inputs = (3, *self.widths[:-1])
        return [pair for a, b in zip(inputs, self.widths, strict=True) for pair in ((a, b), (b, b))]

    def decoder_channels(self) -> list[tuple[int, int]]:
        """(in, out) of each decoder convolution in execution order: the encoder's, mirrored."""
        return [(b, a) for a, b in reversed(self.encoder_channels())]

    def table(self, size: Pair = (128, 128)) -> list[Layer]:
        """Table I for images of `size`: every layer in order, with its parameters and switch bits."""
        height, width = self.padded_size(size)
        rows = [Layer("data", 3, (height, width), False, 0, 0)]
        plane = height, width
        for block, filters in enumerate(self.widths, 1):
            for index, (a, b) in enumerate(self.encoder_channels()[2 * block - 2 : 2 * block], 1):
                rows.append(Layer(f"conv{block}_{index}", b, plane, True, 9 * a * b + b, 0))
            plane = plane[0] // 2, plane[1] // 2
            rows.append(Layer(f"pool{block}", filters, plane, False, 0, 2 * filters * math.prod(plane)))
        blocks = len(self.widths)
        rows.append(Layer("bias code", self.widths[-1], plane, False, self.widths[-1], 0))
        for step, block in enumerate(range(blocks, 0, -1)):
            plane = plane[0] * 2, plane[1] * 2
            rows.append(Layer(f"unpool{block}", self.widths[block - 1], plane, False, 0, 0))
            for index, (a, b) in enumerate(self.decoder_channels()[2 * step : 2 * step + 2], 1):
                last = block == 1 and index == 2
                rows.append(Layer(f"deconv{block}_{index}", b, plane, not last, 9 * a * b + b, 0))
        return rows
