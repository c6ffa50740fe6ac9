"""All switches of a batch of images, level by level: what an encoder gives and a decoder is given."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

from maxtunnel.switches.indices import check_codes, plane_size, to_indices
from maxtunnel.switches.window import Pair, Window, sides


@dataclass(frozen=True, eq=False)
class SwitchLevel:
    """The switches of one pooling layer for a batch of images.

    Attributes:
        codes: uint8, (n, c, oh, ow).
        window: the layer's geometry.
        size: (height, width) of the plane that was pooled.
        name: of the layer; empty where it is not known.
    """

    codes: UInt8[Tensor, "n c oh ow"]
    window: Window
    size: Pair
    name: str = ""

    def __post_init__(self) -> None:
        if self.codes.dtype != torch.uint8 or self.codes.ndim != 4:
            raise ValueError(
                f"codes are {self.codes.dtype} of shape {tuple(self.codes.shape)}: "
                "expected uint8 of shape (n, c, height, width)"
            )
        plane_size(self.codes, self.window, self.size)

    def with_codes(self, codes: UInt8[Tensor, "n c oh ow"]) -> "SwitchLevel":
        """The same layer with other codes."""
        return replace(self, codes=codes)

    @property
    def nominal_bits(self) -> float:
        """Bits of one image's codes if each costs log2(cells): 2 for a 2x2 window."""
        return math.prod(self.codes.shape[1:]) * math.log2(self.window.cells)

    @property
    def counts(self) -> Int64[Tensor, "c cells"]:
        """How often each code stands in each channel, over all images."""
        channels = self.codes.shape[1]
        where = self.codes.transpose(0, 1).reshape(channels, -1)
        return torch.stack([torch.bincount(codes, minlength=self.window.cells) for codes in where])

    @property
    def entropy_bits(self) -> float:
        """Bits of one image's codes, on average, if each costs the entropy of its channel's histogram."""
        return entropy_of(self.counts) / len(self.codes)

    def indices(self) -> Int64[Tensor, "n c oh ow"]:
        """The plane indices that PyTorch uses."""
        return to_indices(self.codes, self.window, self.size)


def entropy_of(counts: Int64[Tensor, "c cells"]) -> float:
    """Bits of so many codes of each kind if each costs the entropy of its channel's histogram."""
    counts = counts.double()
    shares = counts / counts.sum(1, keepdim=True)
    return float(-torch.xlogy(counts, shares).sum() / math.log(2))


@dataclass(frozen=True, eq=False)
class SwitchCode:
    """All switches of a batch of images: the paper's code, and all that its decoder is given.

    Attributes:
        levels: one entry a pooling layer; level 1, the outermost and finest, comes first.
        image_size: (height, width) of the images, which padding may have enlarged before the first layer.
    """

    levels: tuple[SwitchLevel, ...]
    image_size: Pair

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("a switch code needs at least one level; the network has no max pooling")
        batches = {len(level.codes) for level in self.levels}
        if len(batches) > 1:
            raise ValueError(f"levels hold different numbers of images: {sorted(batches)}")

    def __len__(self) -> int:
        return len(self.levels[0].codes)

    def __getitem__(self, images: slice | int) -> "SwitchCode":
        """The code of some images of the batch; a number gives a batch of one."""
        if isinstance(images, int):
            if not -len(self) <= images < len(self):
                raise IndexError(f"image {images} of a code of {len(self)}")
            images = slice(images, images + 1 or None)
        return self._map(lambda codes: codes[images])

    def to(self, device: torch.device | str) -> "SwitchCode":
        """The code on another device."""
        return self._map(lambda codes: codes.to(device))

    def __eq__(self, other: object) -> bool:
        """Whether image size, geometry and every code agree, wherever the two lie."""
        if not isinstance(other, SwitchCode):
            return NotImplemented
        return self.image_size == other.image_size and len(self.levels) == len(other.levels) and all(
            (a.window, a.size) == (b.window, b.size) and torch.equal(a.codes.cpu(), b.codes.cpu())
            for a, b in zip(self.levels, other.levels, strict=True)
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    @property
    def nominal_bits(self) -> float:
        """Bits of one image's switches, each at log2(cells of its window)."""
        return sum(level.nominal_bits for level in self.levels)

    @property
    def entropy_bits(self) -> float:
        """Bits of one image's switches, each at the zero-order entropy of its channel."""
        return sum(level.entropy_bits for level in self.levels)

    @property
    def nominal_bits_per_pixel(self) -> float:
        """Nominal bits per pixel and colour channel of the image, as in Table II."""
        return self.nominal_bits / (3 * math.prod(self.image_size))

    @classmethod
    def concatenate(cls, codes: Sequence["SwitchCode"]) -> "SwitchCode":
        """One batch of several, which agree in image size and geometry."""
        first = codes[0]
        if any(code.image_size != first.image_size for code in codes):
            raise ValueError("codes of images of different sizes make no batch")
        levels = zip(*(code.levels for code in codes), strict=True)
        joined = tuple(each[0].with_codes(torch.cat([level.codes for level in each])) for each in levels)
        return replace(first, levels=joined)

    def check(self) -> "SwitchCode":
        """The code itself, once every code is known to lie in its window and plane; else ValueError."""
        for level in self.levels:
            check_codes(level.codes, level.window, level.size)
        return self

    def _map(self, change: Callable[[Tensor], Tensor]) -> "SwitchCode":
        return replace(self, levels=tuple(level.with_codes(change(level.codes)) for level in self.levels))

    def __repr__(self) -> str:
        levels = ", ".join(f"{tuple(level.codes.shape[1:])} of {level.window}" for level in self.levels)
        images = "1 image" if len(self) == 1 else f"{len(self)} images"
        return f"SwitchCode({images} of {sides(self.image_size)}: {levels})"


def collate(codes: Sequence[SwitchCode], *, collate_fn_map: object = None) -> SwitchCode:
    """One batch of several codes, as a `DataLoader` makes it of what a data set gives.

    PyTorch's `default_collate` does so by itself, inside tuples and dictionaries too.
    """
    return SwitchCode.concatenate(codes)


# The place that PyTorch's documentation names for types of others.
default_collate_fn_map[SwitchCode] = collate
