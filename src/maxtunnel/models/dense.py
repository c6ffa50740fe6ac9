"""Networks that answer for every pixel, their decoder unpooling what their encoder pooled.

    image -> [layers, pool] --> plane 1 -> [layers, pool] --> plane 2 -> ... -> [layers] -> what
                   |                            |                                             |
                where 1                      where 2                                          v
                   v                            v                                    what, or a constant
    answers <- [layers, unpool] <- made 1 <- [layers, unpool] <- made 2 <- ... <- [layers] <--+

`segnet`, `deconvnet` and `cedn` are of this kind, each with its paper's layers. What each of them is said to
owe to its switches can be asked of one network, by calling its decoder otherwise, or of another with as many
parameters, made with another unpooling:

- **known switches**: `switches`, the decoder given the image's own;
- **fixed switches**: `fixed`, every value in its window's first cell;
- **bilinear**: planes are widened by interpolation in unpooling's place;
- **switches of another image**, or **features alone**: the decoder given other switches, or None;
- **switches alone**: the decoder given None for the what, and so a constant, as the paper's bias layer is.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models.dense_file import DENSE, Settings
from maxtunnel.models.dense_shape import WINDOW, DenseLayer, DenseShape
from maxtunnel.models.family import Drawn, Seen, put_back
from maxtunnel.models.measuring import measuring
from maxtunnel.support.choices import DenseUnpooling
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Pair


class DenseEncoder(nn.Module):
    """Stages of layers, the first ones pooled.

    Args:
        shape: its layers.
        generator: draws the weights.
    """

    def __init__(self, shape: DenseShape, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        inputs = iter(shape.inputs())
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Layer(*next(inputs), 1, generator) for _ in stage)) for stage in shape.encoder
        )

    def forward(self, images: Float[Tensor, "n c h w"], kept: Iterator[Tensor] | None = None) -> Seen:
        """What and where of normalised images (`DenseNetwork.normalise`): a plane a stage.

        Args:
            images: normalised.
            kept: dropout, see `DenseNetwork.draw_kept`; None for none.
        """
        x = images.contiguous(memory_format=torch.channels_last)
        if self.shape.response_norm:
            x = F.local_response_norm(x, 5, alpha=1e-4, beta=0.75)
        planes, where = [], []
        for number, stage in enumerate(self.stages):
            x = _through(stage, x, kept)
            if number < self.shape.pooled:
                x, codes = pool(x, WINDOW, check=False)
                where.append(codes)
            planes.append(x)
        return Seen(tuple(planes), tuple(where))


class DenseDecoder(nn.Module):
    """Stages of layers, the last ones behind an unpooling.

    Args:
        shape: its layers.
        unpooling: where values are put; `bilinear` widens planes without any switch.
        generator: draws the weights.

    Attributes:
        constant: a value a channel, which stands where no what is given; 0 at first. Whoever trains it
            otherwise than by its gradient calls `follow`.
    """

    def __init__(
        self, shape: DenseShape, unpooling: DenseUnpooling, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.shape, self.unpooling = shape, unpooling
        self.constant = nn.Parameter(torch.zeros(shape.deepest))
        inputs = iter([*shape.inputs()][sum(map(len, shape.encoder)) :])
        self.stages = nn.ModuleList()
        for number, stage in enumerate(shape.decoder):
            unpooled = number >= len(shape.decoder) - shape.pooled and unpooling != "bilinear"
            # Of an unpooled plane one cell of four has a value.
            cells = [WINDOW.cells if unpooled and not place else 1 for place in range(len(stage))]
            self.stages.append(nn.Sequential(*(_Layer(*next(inputs), each, generator) for each in cells)))

    def forward(
        self,
        size: Pair,
        what: Float[Tensor, "n c _ _"] | None = None,
        where: Sequence[Tensor] | None = None,
        *,
        check: bool = True,
        kept: Iterator[Tensor] | None = None,
    ) -> Drawn:
        """The answers, as `image`, and what was made of every plane on the way.

        Args:
            size: (height, width) of the images.
            what: the deepest plane; None for the constant.
            where: the switches of every pooling, finest first, as `Seen` has them; None for none, which is
                as `fixed` where unpooling is by switches.
            check: refuse codes that lie outside their windows.
            kept: dropout, see `DenseNetwork.draw_kept`; None for none.

        Raises:
            ValueError: the what, or a level, has another shape than images of this size give, or a code lies
                outside; or such images are too small.
        """
        *planes, last = self.shape.sizes(size)
        deepest = (self.shape.deepest, *last)
        if what is not None and what.shape[1:] != deepest:
            raise ValueError(f"`what` is {tuple(what.shape)}: expected (n, {', '.join(map(str, deepest))})")
        levels = list(where if where is not None else [None] * len(planes))
        if len(levels) != len(planes):
            raise ValueError(f"`where` has {len(levels)} levels: this network pools {len(planes)} times")
        count = len(where[0]) if where else 1
        x = self.constant[:, None, None].expand(count, *deepest) if what is None else what
        made: list[Tensor] = []
        for number, stage in enumerate(self.stages, self.shape.pooled - len(self.stages)):
            if number >= 0:
                x = self._widen(x, levels.pop(), planes.pop(), check)
            x = _through(stage, x, kept)
            made.append(x)
        return Drawn(made.pop(), tuple(made[::-1]))

    def _widen(self, x: Tensor, codes: Tensor | None, size: Pair, check: bool) -> Tensor:
        if self.unpooling == "bilinear":
            return F.interpolate(x, size, mode="bilinear", align_corners=False)
        return put_back(x, codes, WINDOW, size, self.unpooling, check=check)

    @torch.no_grad()
    def follow(self, what: Float[Tensor, "n c _ _"], share: float = 0.02) -> None:
        """Take a share of the mean of each channel of `what` into the constant."""
        self.constant.lerp_(what.detach().float().mean((0, 2, 3)), share)


class DenseNetwork(nn.Module):
    """Encoder and decoder, and what images are normalised by. It takes images of any size that fits.

    Args:
        shape: the layers.
        unpooling: where the decoder puts values.
        seed: draws the weights.

    Attributes:
        mean, deviation: of each channel, values in [0, 1], which images are normalised by.
        about: in words, what it was trained on and how, and what it reached; empty where that is not known.
        side: longest side in pixels of whole images as it is to be given them; None where any will do.
    """

    about: str
    side: int | None
    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: DenseShape, unpooling: DenseUnpooling = "switches", seed: int = 0) -> None:
        super().__init__()
        self.shape, self.unpooling = shape, unpooling
        self.about, self.side = "", None
        generator = torch.Generator().manual_seed(seed)
        self.encoder = DenseEncoder(shape, generator)
        self.decoder = DenseDecoder(shape, unpooling, generator)
        self.register_buffer("mean", torch.zeros(shape.channels))
        self.register_buffer("deviation", torch.ones(shape.channels))

    def forward(
        self, images: Float[Tensor, "n c h w"], kept: Sequence[Tensor] = ()
    ) -> Float[Tensor, "n classes h w"]:
        """The answers of images in [0, 1], before any softmax or sigmoid, with gradients.

        Args:
            images: values in [0, 1].
            kept: dropout, see `draw_kept`; without it nothing is left out, in any mode.
        """
        rest = iter(kept) if kept else None
        seen = self.encoder(self.normalise(images), rest)
        return self.decoder(_size(images), seen.what, seen.where, check=False, kept=rest).image

    def draw_kept(
        self, count: int, size: Pair, generator: torch.Generator
    ) -> list[Float[Tensor, "count _ _ _"]]:
        """What the values behind each layer with dropout are multiplied by: 0, or 1 / (1 - dropout).

        Args:
            count: of images.
            size: (height, width) of them.
            generator: draws it, on its device.
        """
        found = []
        for channels, (height, width), share in self.shape.dropped(size):
            drawn = torch.rand(count, height, width, channels, generator=generator, device=generator.device)
            found.append((drawn >= share).float().div_(1 - share).permute(0, 3, 1, 2))
        return found

    def answer(
        self,
        images: Float[Tensor, "n c h w"],
        what: bool = True,
        where: bool = True,
        switches_of: Float[Tensor, "_ _ _ _"] | None = None,
    ) -> Float[Tensor, "n classes h w"]:
        """The answers, measured: in eval mode and without gradients.

        Args:
            images: values in [0, 1].
            what: whether their features reach the answers; otherwise the constant stands there.
            where: whether any switches do.
            switches_of: other images of the same size, whose switches stand in place of their own.

        Raises:
            ValueError: images have other channels than the network's, or are too small for it; or the others
                are of another shape than they.
        """
        if switches_of is not None and switches_of.shape != images.shape:
            raise ValueError(
                f"`switches_of` is {tuple(switches_of.shape)}: expected {tuple(images.shape)}, as the images"
            )
        with measuring(self):
            seen = self.encoder(self.normalise(images))
            codes = seen.where if switches_of is None else self.encoder(self.normalise(switches_of)).where
            given = seen.what if what else None
            drawn = self.decoder(_size(images), given, codes if where else None, check=False)
            return drawn.image.expand(len(images), -1, -1, -1)

    def with_inputs(self, mean: Sequence[float], deviation: float) -> "DenseNetwork":
        """The network, images normalised by these from now on: on a scale of 0 to 255, RGB."""
        self.mean.copy_(torch.tensor([channel / 255 for channel in mean]))
        self.deviation.fill_(deviation / 255)
        return self

    @property
    def layers(self) -> list["_Layer"]:
        """Every layer in execution order, the encoder's before the decoder's."""
        return [module for module in self.modules() if isinstance(module, _Layer)]

    def normalise(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] as the encoder takes them; ValueError where they have other channels."""
        if images.shape[1] != self.shape.channels:
            raise ValueError(
                f"images are {tuple(images.shape)}: expected (n, {self.shape.channels}, height, width)"
            )
        self.shape.sizes(_size(images))
        return (images - self.mean[:, None, None]) / self.deviation[:, None, None]

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write one safetensors file with the weights and what they are of, in one step.

        Args:
            path: of the file.
            half: keep weights in half precision: half the size, and answers that differ a bit.
        """
        DENSE.write(
            path, Settings(self.unpooling, self.shape, self.about, self.side), self.state_dict(), half
        )

    @classmethod
    def load(cls, path: str | Path) -> "DenseNetwork":
        """Read a file that `save` wrote; FormatError for any other."""

        def make(found: Settings) -> "DenseNetwork":
            network = cls(found.shape, found.unpooling)
            network.about, network.side = found.about, found.side
            return network

        return DENSE.load(path, make)


class _Layer(nn.Module):
    """Convolution, batch normalisation where asked for, ReLU, dropout where its values are given.

    Args:
        channels: of the input.
        layer: what it is.
        cells: of which one has a value, where an unpooled plane comes in; weights are larger by its root.
        generator: draws the weights, uniform in +-sqrt(6 / fan-in) (He et al. 2015), of which a layer without
            ReLU takes half the square.
    """

    def __init__(
        self, channels: int, layer: DenseLayer, cells: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.layer = layer
        bound = math.sqrt((6 if layer.relu else 3) * cells / (layer.kernel * layer.kernel * channels))
        weight = torch.empty(layer.filters, channels, layer.kernel, layer.kernel)
        self.weight = nn.Parameter(nn.init.uniform_(weight, -bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.zeros(layer.filters))
        self.norm = nn.BatchNorm2d(layer.filters) if layer.norm else None

    def forward(
        self, x: Float[Tensor, "n c h w"], kept: Float[Tensor, "n d _ _"] | None = None
    ) -> Float[Tensor, "n d _ _"]:
        y = F.conv2d(x, self.weight, self.bias, padding=self.layer.padding)
        y = self.norm(y) if self.norm is not None else y
        y = F.relu_(y) if self.layer.relu else y
        return y if kept is None else y * kept


def _through(stage: nn.Module, x: Tensor, kept: Iterator[Tensor] | None) -> Tensor:
    """A plane behind all layers of a stage, each with dropout taking the next of what is kept."""
    for layer in stage.children():
        assert isinstance(layer, _Layer)
        x = layer(x, next(kept) if kept is not None and layer.layer.dropout else None)
    return x


def _size(images: Tensor) -> Pair:
    return images.shape[-2], images.shape[-1]
