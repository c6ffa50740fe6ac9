"""The networks of Springenberg et al.: max pooling, and in its place convolutions of stride 2.

    image -> block 1 -> place 1 -> block 2 -> place 2 -> 3x3 -> 1x1 -> 1x1, a filter a class -> mean -> class

With `width` 96 as published, block 1 and place 1 have 96 filters, all behind them 192; each convolution is
followed by a ReLU, those of stride 2 and the last one too. A place halves the plane:

                    block of A      of B                of C                place
    Model           5x5             5x5, 1x1            3x3, 3x3            3x3 max pooling, stride 2
    Strided-CNN     5x5, stride 2   5x5, 1x1, stride 2  3x3, 3x3, stride 2  none but the stride
    ConvPool-CNN    as of the model                                         3x3, 3x3 max pooling, stride 2
    All-CNN         as of the model                                         3x3, stride 2

So ConvPool-CNN and All-CNN have the same weights: what is between them is the pooling alone.

Source: Springenberg, Dosovitskiy, Brox, Riedmiller 2015, "Striving for Simplicity: The All Convolutional Net"
(arXiv 1412.6806), Tables 1 and 2, as ports have them. That the mean goes over 6x6 cells says how planes are
bordered: they keep their size up to the 3x3 layer behind place 2, which has no border; windows of the pooling
that reach over the edge count, as in Caffe (`ceil_mode`). How weights were drawn is not known: here uniformly
in +-sqrt(6 / fan-in), biases 0, but of the last layer a tenth of that, and biases 1, as the ReLU behind it
would else leave some networks at chance for good. Their images were whitened and contrast-normalised, ours
have each channel's mean and deviation taken out.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models.measuring import measuring
from maxtunnel.models.saved import Kind
from maxtunnel.switches.window import Pair, Window

Base = Literal["A", "B", "C"]
Variant = Literal["base", "strided", "convpool", "all"]
TITLES: dict[Variant, str] = {
    "base": "Model",
    "strided": "Strided-CNN",
    "convpool": "ConvPool-CNN",
    "all": "All-CNN",
}
WIDTH = 96  # filters of block 1, as published
POOLING = Window(3, 2, ceil_mode=True)
PLACES = 2
# Shares that are left out in training: of the input, and behind each place.
DROPOUT = 0.2, 0.5
_BLOCKS: dict[Base, tuple[int, ...]] = {"A": (5,), "B": (5, 1), "C": (3, 3)}


@dataclass(frozen=True)
class Layer:
    """A convolution with its ReLU.

    Attributes:
        filters: how many.
        kernel: cells of a filter's side.
        stride: 1, or 2 where it halves the plane.
        padding: cells of the border.
        ends: whether it is the last one of a place (`places`).
        pooled: whether max pooling follows.
    """

    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0
    ends: bool = False
    pooled: bool = False


def layers_of(base: Base, variant: Variant, width: int = WIDTH, classes: int = 10) -> tuple[Layer, ...]:
    """The convolutions of a network, from the image on.

    Args:
        base: A, B or C.
        variant: what halves the planes.
        width: filters of block 1; block 2 and what follows have twice as many.
        classes: filters of the last layer.
    """
    halved = (layer for filters in (width, 2 * width) for layer in _stage(_BLOCKS[base], variant, filters))
    return (*halved, Layer(2 * width, 3), Layer(2 * width, 1), Layer(classes, 1))


def _stage(kernels: Sequence[int], variant: Variant, filters: int) -> Iterator[Layer]:
    """A block with the place behind it."""
    if variant in ("convpool", "all"):
        kernels = (*kernels, 3)
    for number, kernel in enumerate(kernels, 1):
        ends, pools = number == len(kernels), variant in ("base", "convpool")
        yield Layer(filters, kernel, 2 if ends and not pools else 1, kernel // 2, ends, ends and pools)


@dataclass(frozen=True)
class Settings:
    """All that a network is built from; see `AllConv`."""

    base: Base
    variant: Variant
    width: int
    channels: int
    classes: int


SAVED = Kind("all-convolutional network", "maxtunnel all-conv 1", Settings)


class AllConv(nn.Module):
    """A network of the family, for images of any size from 12 pixels a side on.

    Args:
        base: A, B or C.
        variant: what halves the planes.
        width: filters of block 1; 96 as published.
        channels: of the images.
        classes: how many.
        seed: draws the weights. Variants of the same weights draw the same.

    Attributes:
        layers: its convolutions, as numbers.
        mean, deviation: of each channel, values in [0, 1], which images are normalised by.

    Raises:
        ValueError: a number is below 1.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        base: Base = "C",
        variant: Variant = "all",
        width: int = WIDTH,
        channels: int = 3,
        classes: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("channels", channels), ("classes", classes)):
            if value < 1:
                raise ValueError(f"`{name}` is {value}: expected at least 1")
        self.settings = Settings(base, variant, width, channels, classes)
        self.layers = layers_of(base, variant, width, classes)
        generator = torch.Generator().manual_seed(seed)
        inputs = (channels, *(layer.filters for layer in self.layers))
        self.convolutions = nn.ModuleList(
            _convolution(a, layer, layer is self.layers[-1], generator)
            for a, layer in zip(inputs, self.layers, strict=False)
        )
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    @property
    def name(self) -> str:
        """As the paper has it: `All-CNN-C`, `Model C`."""
        between = " " if self.settings.variant == "base" else "-"
        return f"{TITLES[self.settings.variant]}{between}{self.settings.base}"

    @property
    def weights(self) -> int:
        """How many there are, biases too."""
        return sum(parameter.numel() for parameter in self.parameters())

    def multiplications(self, size: Pair) -> int:
        """Those of one image of (height, width): a multiplication and an addition count once."""
        found, inputs = 0, self.settings.channels
        for layer, before in zip(self.layers, self._sizes(size), strict=False):
            found += math.prod(_convolved(before, layer)) * inputs * layer.filters * layer.kernel**2
            inputs = layer.filters
        return found

    def dropped(self, size: Pair) -> tuple[tuple[float, tuple[int, int, int]], ...]:
        """Where dropout is: the share, and (c, h, w) of what it is taken from; the input, then the places."""
        sizes = self._sizes(size)
        behind = (
            (DROPOUT[1], (layer.filters, *sizes[number]))
            for number, layer in enumerate(self.layers, 1)
            if layer.ends
        )
        return ((DROPOUT[0], (self.settings.channels, *size)), *behind)

    def _sizes(self, size: Pair) -> list[Pair]:
        """(height, width) before each layer, and behind the last one."""
        found = [size]
        for layer in self.layers:
            behind = _convolved(found[-1], layer)
            found.append(POOLING.output_size(behind) if layer.pooled else behind)
        return found

    def normalise(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] as the layers take them: mean 0, deviation 1."""
        return (images - self.mean[:, None, None]) / self.deviation[:, None, None]

    def forward(
        self, images: Float[Tensor, "n c h w"], kept: Sequence[Float[Tensor, "n _ _ _"]] = ()
    ) -> Float[Tensor, "n classes"]:
        """The logits of normalised images.

        Args:
            images: see `normalise`.
            kept: what the input and the planes behind each place are multiplied by, which is how dropout is
                done (`dropped`); none for all 1.
        """
        return self._run(images, kept)[0].mean((2, 3))

    def places(self, images: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n _ _ _"], ...]:
        """The planes behind each place, finest first, of normalised images."""
        return self._run(images, ())[1]

    def _run(self, images: Tensor, kept: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The plane of the classes, and those behind each place."""
        x, found = images * kept[0] if kept else images, []
        for layer, convolution in zip(self.layers, self.convolutions, strict=True):
            x = F.relu_(convolution(x))
            if layer.pooled:
                x = F.max_pool2d(x, POOLING.kernel, POOLING.stride, ceil_mode=True)
            if layer.ends:
                found.append(x)
                x = x * kept[len(found)] if kept else x
        return x, tuple(found)

    def measuring(self) -> AbstractContextManager[None]:
        """Eval mode and no gradients meanwhile; every part goes back to the mode that it was in."""
        return measuring(self)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with the weights and what they are of, in one step."""
        SAVED.write(path, self.settings, self.state_dict())

    @classmethod
    def load(cls, path: str | Path) -> "AllConv":
        """Read a file that `save` wrote; FormatError for any other."""
        return SAVED.load(
            path, lambda found: cls(found.base, found.variant, found.width, found.channels, found.classes)
        )


def _convolved(size: Pair, layer: Layer) -> Pair:
    """(height, width) behind a convolution."""
    height, width = ((side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in size)
    return height, width


def _convolution(inputs: int, layer: Layer, last: bool, generator: torch.Generator) -> nn.Conv2d:
    # A layer of PyTorch's own would draw from the random numbers of whoever makes the network.
    made = nn.utils.skip_init(
        nn.Conv2d, inputs, layer.filters, layer.kernel, stride=layer.stride, padding=layer.padding
    )
    bound = (0.1 if last else 1.0) * math.sqrt(6 / (inputs * layer.kernel**2))
    nn.init.uniform_(made.weight, -bound, bound, generator=generator)
    nn.init.constant_(made.bias, 1.0 if last else 0.0)
    return made
