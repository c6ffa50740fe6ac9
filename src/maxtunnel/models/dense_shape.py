"""Layers of a network that answers for every pixel of an image, and what follows from them.

    encoder:  stage 1, pool | stage 2, pool | ... | stages that are not pooled
    decoder:  ... stages that no unpooling begins | ... | unpool, stage 2 | unpool, stage 1 -> answers

As many stages one way as the other: what stage k of the decoder makes is as large, and has as many channels,
as what stage k - 1 of the encoder passes on. Pooling is by 2x2 windows, the last of which may lie half
outside the plane, as in Caffe: a plane of 45 rows becomes one of 23.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from maxtunnel.models.architecture import Architecture
from maxtunnel.switches.window import Pair, Window, sides

PUBLISHED = 64  # filters of the first stage, in all published networks of this kind
NO_MEAN = (0.0, 0.0, 0.0)
VGG_MEAN = (122.67891434, 116.66876762, 104.00698793)  # of the images VGG16 was trained on, RGB, 0..255
WINDOW = Window(2, ceil_mode=True)
_MOST = 1 << 16  # for filters, and cells of a side
_LAYERS = 100


@dataclass(frozen=True)
class DenseLayer:
    """A convolution, and what stands behind it.

    Attributes:
        filters: how many.
        kernel: cells of a filter's side, odd.
        border: cells of zeros around the plane; None for as many as keep its size.
        norm: whether batches are normalised.
        relu: whether there is a ReLU, behind that.
        dropout: share of its values that is left out in training.

    Raises:
        ValueError: a number is out of range.
    """

    filters: int
    kernel: int = 3
    border: int | None = None
    norm: bool = True
    relu: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.filters < _MOST or not 0 < self.kernel < _MOST or self.kernel % 2 == 0:
            raise ValueError(
                f"a layer has {self.filters} filters of side {self.kernel}: expected 1 to {_MOST - 1} "
                "filters of an odd side"
            )
        if not 0 <= self.padding < _MOST or not 0 <= self.dropout < 1:
            raise ValueError(
                f"a layer has a border of {self.padding} and dropout {self.dropout}: expected a border of 0 "
                "or more, and a share from 0 to below 1"
            )

    @property
    def padding(self) -> int:
        """Cells of zeros around the plane."""
        return self.kernel // 2 if self.border is None else self.border

    def output_size(self, size: Pair) -> Pair:
        """(height, width) of what becomes of a plane of this size; below 1 where the filter does not fit."""
        grown = 2 * self.padding - self.kernel + 1
        return size[0] + grown, size[1] + grown


Stages = tuple[tuple[DenseLayer, ...], ...]


@dataclass(frozen=True)
class DenseShape:
    """The layers of encoder and decoder.

    Attributes:
        encoder: its stages, from the image inwards.
        decoder: its stages, deepest first; the last layer's filters are the answers.
        pooled: so many stages of the encoder, the first ones, end in a pooling, and so many of the decoder,
            the last ones, begin with unpooling.
        channels: of the images.
        response_norm: whether images are normalised pixel by pixel, as SegNet-Basic does
            (x / (1 + 1e-4 mean over five channels of x^2)^0.75, which are zero beyond those there are).

    Raises:
        ValueError: the stages do not fit each other.
    """

    encoder: Stages
    decoder: Stages
    pooled: int
    channels: int = 3
    response_norm: bool = False

    def __post_init__(self) -> None:
        layers = [*self.encoder, *self.decoder]
        if not all(layers) or sum(map(len, layers)) > _LAYERS or not 0 < self.channels < _MOST:
            raise ValueError(
                f"{sum(map(len, layers))} layers for {self.channels} channels: expected 1 to {_LAYERS}, at "
                f"least one in every stage, and 1 to {_MOST - 1} channels"
            )
        if len(self.encoder) != len(self.decoder) or not 0 < self.pooled <= len(self.encoder):
            raise ValueError(
                f"{len(self.encoder)} stages of an encoder, {self.pooled} of them pooled, and "
                f"{len(self.decoder)} of a decoder: expected as many, and at least one that is pooled"
            )
        for number, (made, passed) in enumerate(zip(self.decoder[:-1], self.encoder[-2::-1], strict=True), 1):
            if made[-1].filters != passed[-1].filters:
                raise ValueError(
                    f"stage {number} of the decoder makes {made[-1].filters} channels: expected "
                    f"{passed[-1].filters}, as the encoder has there"
                )

    @property
    def classes(self) -> int:
        """How many answers there are for each pixel."""
        return self.decoder[-1][-1].filters

    @property
    def deepest(self) -> int:
        """Channels of the what."""
        return self.encoder[-1][-1].filters

    def inputs(self) -> Iterator[tuple[int, DenseLayer]]:
        """Every layer in execution order, encoder and decoder, and the channels that enter it."""
        channels = self.channels
        for stage in (*self.encoder, *self.decoder):
            for layer in stage:
                yield channels, layer
                channels = layer.filters

    def dropped(self, size: Pair) -> Iterator[tuple[int, Pair, float]]:
        """Channels, (height, width) and share of dropout of every layer's plane of which some is left out.

        Args:
            size: (height, width) of the images.
        """
        *planes, _ = self.sizes(size)
        plane = size
        for number, stage in enumerate((*self.encoder, *self.decoder)):
            if number >= len(self.encoder) + len(self.decoder) - self.pooled:
                plane = planes.pop()
            for layer in stage:
                plane = layer.output_size(plane)
                if layer.dropout:
                    yield layer.filters, plane, layer.dropout
            if number < self.pooled:
                plane = WINDOW.output_size(plane)

    def sizes(self, size: Pair) -> tuple[Pair, ...]:
        """(height, width) of every plane that is pooled, finest first, and of the what behind them.

        Args:
            size: (height, width) of the images.

        Raises:
            ValueError: images are too small: a filter, or a window, does not fit into a plane.
        """
        found: list[Pair] = []
        plane = size
        for number, stage in enumerate(self.encoder):
            for layer in stage:
                plane = layer.output_size(plane)
            if min(plane) < 1:
                raise ValueError(
                    f"images of {sides(size)} are too small: nothing is left of them behind stage "
                    f"{number + 1}"
                )
            if number < self.pooled:
                found.append(plane)
                plane = WINDOW.output_size(plane)
        return (*found, plane)


def vgg_stages(width: int, norm: bool) -> Stages:
    """The convolutions of VGG16 (`architecture.VGG`).

    Args:
        width: filters of its first stage, of which it has 64; the others have as many times more as there.
        norm: whether batches are normalised behind each of them.
    """
    vgg = Architecture.parse("vgg16")
    return tuple(
        (DenseLayer(filters * width // PUBLISHED, norm=norm),) * count
        for filters, count in zip(vgg.widths, vgg.layers, strict=True)
    )
