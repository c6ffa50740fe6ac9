"""Filters per block, and what follows from them: layers, sizes, parameters and bits (Tables I and II)."""

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from maxtunnel.switches.window import Pair

PAPER_LAYERS = 2  # convolutions of a block
# Numbers of up to five digits, and of up to two, so that none is absurd.
_BLOCK = r"[1-9][0-9]{0,4}(?:x[1-9][0-9]?)?"
_TEXT = re.compile(
    rf"(?P<blocks>{_BLOCK}(?:-{_BLOCK})*)(?P<linear>\+linear)?(?:\+inside(?P<inside>[1-9][0-9]{{0,4}}))?"
)
# Configurations A, B, D and E of Table 1 in Simonyan and Zisserman 2015 (arXiv 1409.1556).
VGG = {
    "vgg11": "64x1-128x1-256-512-512",
    "vgg13": "64-128-256-512-512",
    "vgg16": "64-128-256x3-512x3-512x3",
    "vgg19": "64-128-256x4-512x4-512x4",
}


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
    """Filters per block, outermost first: the paper's [n1, n2, n3], written `8-8-8`; and variants of it.

    A block of other than two convolutions says how many behind its filters: `64-128-256x3-512x3-512x3`, which
    `vgg16` stands for (`VGG`). Other variants stand behind all of them: `8-8-8+linear`, `8-8-8+inside64`,
    `8-8-8+linear+inside64`.

    Attributes:
        widths: filters that are pooled, a block.
        linear: whether a block's last layer is pooled as it is; the paper's goes through a ReLU first.
        inside: channels between the layers of a block, as many in every block; None for the block's filters,
            as in the paper.
        layers: convolutions of each block; given none, two in every block, as in the paper.

    Raises:
        ValueError: no block, a width below 1, or no convolutions for a block.
    """

    widths: tuple[int, ...]
    linear: bool = False
    inside: int | None = None
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths are {self.widths}: expected one positive number a block")
        if not self.layers:
            object.__setattr__(self, "layers", (PAPER_LAYERS,) * len(self.widths))
        if len(self.layers) != len(self.widths) or min(self.layers) < 1:
            raise ValueError(
                f"layers are {self.layers}: expected one positive number for each of {self.widths}"
            )
        if self.inside is not None and self.inside < 1:
            raise ValueError(f"inside is {self.inside}: expected a positive number")

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """Read `48-96-192`, `8-8x3+linear+inside64` or `vgg16`; ValueError for anything else."""
        found = _TEXT.fullmatch(VGG.get(text, text))
        if found is None:
            filters, _, kind = text.rpartition("-")
            if _TEXT.fullmatch(filters) and kind in ("learned", "pretrained", "strong"):
                raise ValueError(
                    f"{text!r} is no architecture but a network's name: give its filters alone, {filters}"
                )
            raise ValueError(
                f"{text!r} is no architecture: expected filters per block, such as 16-16-16, or 16-16x3-16 "
                "where a block has three convolutions, and behind them +linear, +inside64 or both, in this "
                f"order; or one of {', '.join(VGG)}"
            )
        blocks = [block.partition("x") for block in found["blocks"].split("-")]
        return cls(
            tuple(int(width) for width, _, _ in blocks),
            found["linear"] is not None,
            int(found["inside"]) if found["inside"] else None,
            tuple(int(count or PAPER_LAYERS) for _, _, count in blocks),
        )

    def __str__(self) -> str:
        blocks = (
            f"{width}" if count == PAPER_LAYERS else f"{width}x{count}"
            for width, count in zip(self.widths, self.layers, strict=True)
        )
        inside = "" if self.inside is None else f"+inside{self.inside}"
        return "-".join(blocks) + "+linear" * self.linear + inside

    @property
    def published(self) -> bool:
        """Whether the layers are those of Table I, and no variant of them."""
        return not self.linear and self.mirrored_as_published

    @property
    def mirrored_as_published(self) -> bool:
        """Whether the mirrored decoder is that of Table I: a ReLU before pooling is not its affair."""
        return self.inside is None and set(self.layers) == {PAPER_LAYERS}

    @property
    def multiplications(self) -> float:
        """Of the encoder's convolutions, for each pixel of an image; the mirrored decoder has as many."""
        return sum(
            9 * a * b / 4**block
            for block, channels in enumerate(self.encoder_channels())
            for a, b in channels
        )

    @property
    def reach(self) -> int:
        """Pixels on each side of a cell that all 3x3 layers together reach: a cell of block k has 2^(k-1)."""
        return sum(count << block for block, count in enumerate(self.layers))

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

    def encoder_channels(self) -> list[list[tuple[int, int]]]:
        """(in, out) of each encoder convolution in execution order, a list a block."""
        found = []
        for a, b, count in zip((3, *self.widths[:-1]), self.widths, self.layers, strict=True):
            planes = [a, *[self.inside or b] * (count - 1), b]
            found.append(list(pairwise(planes)))
        return found

    def decoder_channels(self) -> list[list[tuple[int, int]]]:
        """(in, out) of each decoder convolution in execution order, a list a block; mirrors the encoder's."""
        return [[(b, a) for a, b in reversed(block)] for block in reversed(self.encoder_channels())]

    def table(self, size: Pair = (128, 128)) -> list[Layer]:
        """Table I for images of `size`: every layer in order, with its parameters and switch bits."""
        height, width = self.padded_size(size)
        rows = [Layer("data", 3, (height, width), False, 0, 0)]
        plane = height, width
        for block, channels in enumerate(self.encoder_channels(), 1):
            filters = self.widths[block - 1]
            for index, (a, b) in enumerate(channels, 1):
                relu = index < len(channels) or not self.linear
                rows.append(Layer(f"conv{block}_{index}", b, plane, relu, 9 * a * b + b, 0))
            plane = plane[0] // 2, plane[1] // 2
            rows.append(Layer(f"pool{block}", filters, plane, False, 0, 2 * filters * math.prod(plane)))
        rows.append(Layer("bias code", self.widths[-1], plane, False, self.widths[-1], 0))
        for block, channels in zip(range(len(self.widths), 0, -1), self.decoder_channels(), strict=True):
            plane = plane[0] * 2, plane[1] * 2
            rows.append(Layer(f"unpool{block}", self.widths[block - 1], plane, False, 0, 0))
            for index, (a, b) in enumerate(channels, 1):
                last = block == 1 and index == len(channels)
                rows.append(Layer(f"deconv{block}_{index}", b, plane, not last, 9 * a * b + b, 0))
        return rows
