"""The stacked what-where autoencoder: a classifier whose encoder a decoder turns back, switch by switch.

    image -> [conv-ReLU, pool] --> plane 1 -> [conv-ReLU, pool] --> what -> fully connected -> class   (NLL)
      |             |                |               |               |
    (L2rec)      where 1           (L2M)          where 2            |
      |             v                |               v               v
    image <- [conv, unpool] <----- plane 1 <- [conv-ReLU, unpool] <- what

Encoder and decoder are each other's mirror image, layer by layer: where the encoder's layer is pooled, the
decoder's begins with unpooling. The loss is in `training.what_where`.

The autoencoders that Zhang, Lee and Lee 2016 (ICML, arXiv 1606.06582) put beside a VGG are this network
too, of a VGG's layers: their SWWAE with known switches, their SAE with fixed ones. Of their three modes
`first` has L2rec alone, and `all` L2M of the pooled planes besides; in `layerwise` each block of the decoder
begins from the encoder's own plane:

    plane 1 -> [conv-ReLU, pool] --> plane 2
       |             where 2           |
     (L2M)             v               v
    rebuilt <- [conv-ReLU, unpool] <-- plane 2

Source: Zhao, Mathieu, Goroshin, LeCun 2015, "Stacked What-Where Auto-encoders" (arXiv 1506.02351). Read were
its abstract and the beginning of its introduction, and what others quote of the rest: the loss, stages of
convolution, ReLU and pooling, a penalty "at each layer", the layouts for MNIST and STL-10, that there is
batch normalisation in the latter and dropout in one result for SVHN, and the soft maximum with beta 100. What
could not be read is as follows here:

- where batch normalisation stands: between convolution and ReLU, in the decoder too, but for its last layer;
- where dropout stands: before each fully connected layer;
- how a real-valued position is unpooled: shared among the cells around it (`family.put_back`);
- from where the decoder begins: the deepest pooled plane, not the fully connected layers;
- that a deconvolution of stride 1 is a convolution whose kernel is turned, so that layers are convolutions.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models.family import Drawn, Seen, pool_soft, put_back
from maxtunnel.models.layers import conv3x3
from maxtunnel.models.layout import Layout
from maxtunnel.models.measuring import measuring
from maxtunnel.models.swwae_file import SWWAE, Settings
from maxtunnel.support.choices import Unpooling
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Pair


class SwwaeEncoder(nn.Module):
    """Convolution and ReLU a layer, and pooling where the layout has one.

    Args:
        layout: its layers.
        channels: of the images.
        batch_norm: normalise between convolution and ReLU.
        beta: of the soft maximum; None for the maximum itself.
        generator: draws the weights.
    """

    def __init__(
        self,
        layout: Layout,
        channels: int,
        batch_norm: bool,
        beta: float | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.layout, self.beta = layout, beta
        self.layers = nn.ModuleList(
            _Layer(a, layer.filters, layer.kernel, 1, True, batch_norm, generator)
            for a, layer in zip(_inputs(layout, channels), layout.convolutions, strict=True)
        )

    def forward(self, images: Float[Tensor, "n c h w"]) -> Seen:
        """What and where of normalised images (`Swwae.normalise`)."""
        x = _channels_last(images)
        planes, where = [], []
        for layer, convolution in zip(self.layers, self.layout.convolutions, strict=True):
            x, window = layer(x), convolution.window
            if window is not None:
                x, found = (
                    pool(x, window, check=False) if self.beta is None else pool_soft(x, window, self.beta)
                )
                where.append(found)
            planes.append(x)
        return Seen(tuple(planes), tuple(where))


class SwwaeDecoder(nn.Module):
    """The encoder's layers, mirrored; no ReLU after the last one.

    Args:
        layout: the encoder's.
        channels: of the images.
        size: (height, width) of the images.
        unpooling: where values are put.
        batch_norm: normalise between convolution and ReLU.
        generator: draws the weights.

    Attributes:
        constant: a value a channel, which stands where no what is given; 0 at first. Whoever trains it
            otherwise than by its gradient calls `follow`.
    """

    def __init__(
        self,
        layout: Layout,
        channels: int,
        size: Pair,
        unpooling: Unpooling,
        batch_norm: bool,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.layout, self.unpooling, self._sizes = layout, unpooling, layout.sizes(size)
        self.constant = nn.Parameter(torch.zeros(layout.convolutions[-1].filters))
        pairs = list(zip(_inputs(layout, channels), layout.convolutions, strict=True))
        self.layers = nn.ModuleList(
            _Layer(
                layer.filters, a, layer.kernel, layer.window.cells if layer.window else 1,
                number > 0, batch_norm and number > 0, generator,
            )
            for number, (a, layer) in reversed([*enumerate(pairs)])
        )  # fmt: skip

    def forward(
        self,
        what: Float[Tensor, "n c _ _"] | None = None,
        where: Sequence[Tensor] | None = None,
        planes: Sequence[Tensor] | None = None,
        *,
        check: bool = True,
    ) -> Drawn:
        """The image, and what was made of every plane on the way.

        Args:
            what: the deepest plane; None for the constant.
            where: the switches of every pooling, finest first, as `Seen` has them; None for none, which is
                as `fixed` where unpooling is by switches.
            planes: what the encoder passed on (`Seen`): each block but the deepest begins anew from its own
                plane there; None for one block after the other.
            check: refuse codes that lie outside their windows.

        Raises:
            ValueError: the what, or a level, has another shape than this layout's; or a code lies outside.
        """
        deepest = (len(self.constant), *self._sizes[-1])
        if what is not None and what.shape[1:] != deepest:
            raise ValueError(f"`what` is {tuple(what.shape)}: expected (n, {', '.join(map(str, deepest))})")
        count = len(where[0]) if where else 1
        x = self.constant[:, None, None].expand(count, *deepest) if what is None else what
        levels = list(where if where is not None else [None] * len(self.layout.windows))
        if len(levels) != len(self.layout.windows):
            raise ValueError(
                f"`where` has {len(levels)} levels: {self.layout} pools {len(self.layout.windows)} times"
            )
        made: list[Tensor] = []
        for layer, convolution, size in zip(
            self.layers, self.layout.convolutions[::-1], self._sizes[-2::-1], strict=True
        ):
            if convolution.window is not None:
                x = planes[-1 - len(made)] if planes is not None and made else x
                x = put_back(x, levels.pop(), convolution.window, size, self.unpooling, check=check)
            x = layer(x)
            made.append(x)
        return Drawn(made.pop(), tuple(made[::-1]))

    @torch.no_grad()
    def follow(self, what: Float[Tensor, "n c _ _"], share: float = 0.02) -> None:
        """Take a share of the mean of each channel of `what` into the constant."""
        self.constant.lerp_(what.detach().float().mean((0, 2, 3)), share)


class SwwaeClassifier(nn.Module):
    """Fully connected layers with a ReLU between two of them.

    Args:
        inputs: values of the what.
        outputs: of every layer; the last are the classes.
        generator: draws the weights, uniform in +-sqrt(3 / fan-in).

    Attributes:
        widths: inputs of every layer.
    """

    def __init__(self, inputs: int, outputs: Sequence[int], generator: torch.Generator | None) -> None:
        super().__init__()
        self.widths = (inputs, *outputs[:-1])
        self.layers = nn.ModuleList()
        for a, b in zip(self.widths, outputs, strict=True):
            layer = nn.utils.skip_init(nn.Linear, a, b)
            nn.init.uniform_(layer.weight, -math.sqrt(3 / a), math.sqrt(3 / a), generator=generator)
            nn.init.zeros_(layer.bias)
            self.layers.append(layer)

    def forward(
        self, what: Float[Tensor, "n c h w"], kept: Sequence[Float[Tensor, "n _"]] = ()
    ) -> Float[Tensor, "n classes"]:
        """The logits.

        Args:
            what: the deepest plane.
            kept: what each layer's inputs are multiplied by, which is how dropout is done; none for all 1.
        """
        # In the order in which convolutions leave them.
        x = what.permute(0, 2, 3, 1).flatten(1)
        for number, layer in enumerate(self.layers):
            x = F.relu(x) if number else x
            x = layer(x * kept[number] if kept else x)
        return x


class Swwae(nn.Module):
    """A stacked what-where autoencoder.

    Args:
        layout: of the encoder and the classifier. Its last fully connected layer has an output a class; where
            it has none, one such layer is added.
        channels: of the images.
        size: (height, width) of the images; it takes no other.
        classes: how many.
        unpooling: where the decoder puts values.
        batch_norm: normalise batches in encoder and decoder.
        dropout: the share of the inputs of each fully connected layer that is left out in training.
        seed: draws the weights.
        beta: how hard the maximum of pooling is; None for the maximum itself, with exact switches.

    Attributes:
        mean, deviation: of each channel, values in [0, 1], which images are normalised by.

    Raises:
        ValueError: the layout does not fit the images or the classes, or a number is out of range.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        layout: Layout,
        channels: int,
        size: Pair,
        classes: int,
        unpooling: Unpooling = "switches",
        batch_norm: bool = False,
        dropout: float = 0.0,
        seed: int = 0,
        beta: float | None = None,
    ) -> None:
        super().__init__()
        if layout.connected and layout.connected[-1] != classes:
            raise ValueError(
                f"the layout {layout} ends in {layout.connected[-1]}fc: expected {classes}fc for the classes"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` is {dropout}: expected a share from 0 to below 1")
        if beta is not None and not 0 < beta < math.inf:
            raise ValueError(f"`beta` is {beta}: expected a positive number, or None for the maximum itself")
        self.layout, self.channels, self.size, self.classes = layout, channels, size, classes
        self.unpooling, self.batch_norm, self.dropout, self.beta = unpooling, batch_norm, dropout, beta
        generator = torch.Generator().manual_seed(seed)
        deepest = layout.convolutions[-1].filters * math.prod(layout.sizes(size)[-1])
        self.encoder = SwwaeEncoder(layout, channels, batch_norm, beta, generator)
        self.classifier = SwwaeClassifier(deepest, layout.connected or (classes,), generator)
        self.decoder = SwwaeDecoder(layout, channels, size, unpooling, batch_norm, generator)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def normalise(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] as the encoder takes them and the decoder gives them: mean 0, deviation 1.

        Raises:
            ValueError: they have other channels or another size than the network's.
        """
        expected = (self.channels, *self.size)
        if images.shape[1:] != expected:
            raise ValueError(
                f"images are {tuple(images.shape)}: expected (n, {', '.join(map(str, expected))})"
            )
        return (images - self.mean[:, None, None]) / self.deviation[:, None, None]

    def denormalise(self, output: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Undo `normalise`; not clipped."""
        return output * self.deviation[:, None, None] + self.mean[:, None, None]

    def measuring(self) -> AbstractContextManager[None]:
        """Eval mode and no gradients meanwhile; every part goes back to the mode that it was in."""
        return measuring(self)

    def encode(self, images: Float[Tensor, "n c h w"]) -> SwitchCode:
        """The switches of images in [0, 1]; ValueError for soft pooling, which has none."""
        if self.beta is not None:
            raise ValueError(
                "soft pooling gives positions between cells, which are no switches: take one without `beta`"
            )
        with self.measuring():
            where = self.encoder(self.normalise(images)).where
        planes = [
            size
            for size, layer in zip(self.layout.sizes(self.size), self.layout.convolutions, strict=False)
            if layer.window is not None
        ]
        levels = (SwitchLevel(*level) for level in zip(where, self.layout.windows, planes, strict=True))
        return SwitchCode(tuple(levels), self.size)

    def rebuild(
        self, images: Float[Tensor, "n c h w"], what: bool = True, where: bool = True
    ) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] from their own what and where, or without one of them, or without both."""
        with self.measuring():
            seen = self.encoder(self.normalise(images))
            drawn = self.decoder(seen.what if what else None, seen.where if where else None, check=False)
            return self.denormalise(drawn.image.expand(len(images), -1, -1, -1))

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with the weights and what they are of, in one step."""
        settings = Settings(
            str(self.layout), self.channels, self.size, self.classes,
            self.unpooling, self.batch_norm, self.dropout, self.beta,
        )  # fmt: skip
        SWWAE.write(path, settings, self.state_dict())

    @classmethod
    def load(cls, path: str | Path) -> "Swwae":
        """Read a file that `save` wrote; FormatError for any other."""
        return SWWAE.load(
            path,
            lambda found: cls(
                Layout.parse(found.layout), found.channels, found.size, found.classes, found.unpooling,
                found.batch_norm, found.dropout, beta=found.beta,
            ),
        )  # fmt: skip


class _Layer(nn.Module):
    """Convolution, batch normalisation where asked for, ReLU.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        kernel: cells of a filter's side, odd.
        cells: of which one has a value, where an unpooled plane comes in; weights are larger by its root.
        relu: whether there is one.
        batch_norm: whether there is one.
        generator: draws the weights, uniform in +-sqrt(6 / fan-in) (He et al. 2015), of which a layer without
            ReLU takes half the square.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        cells: int,
        relu: bool,
        batch_norm: bool,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        bound = math.sqrt((6 if relu else 3) * cells / (kernel * kernel * channels_in))
        weight = torch.empty(channels_out, channels_in, kernel, kernel)
        self.weight = nn.Parameter(nn.init.uniform_(weight, -bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.norm = nn.BatchNorm2d(channels_out) if batch_norm else None
        self.relu = relu

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        ends = self.relu and self.norm is None
        if self.weight.shape[-1] == 3:
            y = conv3x3(x, self.weight, self.bias, relu=ends)
        else:
            y = F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)
            y = F.relu_(y) if ends else y
        if self.norm is not None:
            y = self.norm(y)
            y = F.relu_(y) if self.relu else y
        return y


def _channels_last(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Images in channels-last memory format, grey ones too, whose stride must say so."""
    if images.shape[1] > 1:
        return images.contiguous(memory_format=torch.channels_last)
    n, _, h, w = images.shape
    return images.reshape(n, h, w, 1).permute(0, 3, 1, 2)


def _inputs(layout: Layout, channels: int) -> tuple[int, ...]:
    """Channels that enter each layer of an encoder."""
    return (channels, *(layer.filters for layer in layout.convolutions[:-1]))
