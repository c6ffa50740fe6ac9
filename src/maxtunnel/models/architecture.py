"""Filters per block, and what follows from them: layers, sizes, parameters and bits (Tables I and II)."""

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from maxtunnel.switches.window import Pair

# Numbers of up to five digits, so that none is absurd.
_TEXT = re.compile(
    r"(?P<widths>[1-9][0-9]{0,4}(?:-[1-9][0-9]{0,4})*)(?P<linear>\+linear)?(?:\+inside(?P<inside>[1-9][0-9]{0,4}))?"
)


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
    """Filters per block, outermost first: the paper's [n1, n2, n3], written `8-8-8`; and two variants of it.

    Variants stand behind the filters: `8-8-8+linear`, `8-8-8+inside64`, `8-8-8+linear+inside64`.

    Attributes:
        widths: filters that are pooled, a block.
        linear: whether a block's second layer is pooled as it is; the paper's goes through a ReLU first.
        inside: channels between the two layers of a block, as many in every block; None for the block's
            filters, as in the paper.

    Raises:
        ValueError: no block, or a width below 1.
    """

    widths: tuple[int, ...]
    linear: bool = False
    inside: int | None = None

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths are {self.widths}: expected one positive number a block")
        if self.inside is not None and self.inside < 1:
            raise ValueError(f"inside is {self.inside}: expected a positive number")

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """Read `48-96-192` or `8-8-8+linear+inside64`; ValueError for anything else."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text!r} is no architecture: expected filters per block, such as 16-16-16, and behind them "
                "+linear, +inside64 or both, in this order"
            )
        widths = tuple(int(width) for width in found["widths"].split("-"))
        return cls(widths, found["linear"] is not None, int(found["inside"]) if found["inside"] else None)

    def __str__(self) -> str:
        inside = "" if self.inside is None else f"+inside{self.inside}"
        return "-".join(map(str, self.widths)) + "+linear" * self.linear + inside

    @property
    def published(self) -> bool:
        """Whether the layers are those of Table I, and no variant of them."""
        return not self.linear and self.inside is None

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
        found: list[tuple[int, int]] = []
        for a, b in zip((3, *self.widths[:-1]), self.widths, strict=True):
            between = self.inside or b
            found += [(a, between), (between, b)]
        return found

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
                relu = index == 1 or not self.linear
                rows.append(Layer(f"conv{block}_{index}", b, plane, relu, 9 * a * b + b, 0))
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
