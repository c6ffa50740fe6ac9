"""The decoder of any switch code: the captured levels mirrored, coarsest first, fed by a constant."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.phases import Phase
from maxtunnel.switches import SwitchCode, unpool
from maxtunnel.window import Pair, Window


@dataclass(frozen=True)
class Stage:
    """One level as the decoder meets it.

    Attributes:
        number: of the level in the code, in call order.
        channels: of the pooled planes.
        pooled: (height, width) after pooling.
        size: (height, width) before it, which unpooling restores.
    """

    number: int
    channels: int
    window: Window
    pooled: Pair
    size: Pair


def stages(code: SwitchCode) -> tuple[Stage, ...]:
    """The levels of a code from coarsest to finest; of equal planes the one that ran last comes first."""
    found = [
        Stage(number, level.codes.shape[1], level.window, _size(level.codes), level.size)
        for number, level in enumerate(code.levels)
    ]
    return tuple(sorted(found, key=lambda stage: (math.prod(stage.size), -stage.number)))


class MirroredDecoder(nn.Module):
    """Blocks of unpool, conv3x3-ReLU, conv3x3-ReLU, one a level; no ReLU after the last layer.

    The ReLUs leak a tenth: at the fast recipe's rate those of a decoder of five levels had all died within
    100 steps, and a dead decoder looks as if there were no leak.

    Where the network changed its size by other means than the captured pooling, the plane is resized
    bilinearly, and behind the finest level, if that is not the image, a block without unpooling follows. For
    the paper's network and with slope 0 this is the paper's decoder.

    Args:
        levels: what `stages` gives.
        image_size: (height, width) of the output.
        width: most channels between the two convolutions of a block, so that a network of many filters does
            not make a decoder that is too slow to train.
        seed: draws the weights, uniform in +-sqrt(6 / fan-in) (He et al.).
        start: first value of the bias code.
        slope: of the ReLUs below zero; the paper's is 0.

    Attributes:
        bias_code: one learned value a channel of the coarsest level, in the place of the features.
    """

    def __init__(
        self,
        levels: tuple[Stage, ...],
        image_size: Pair,
        width: int = 32,
        seed: int = 0,
        start: float = 1.0,
        slope: float = 0.1,
    ) -> None:
        super().__init__()
        self.levels, self.image_size, self._slope = levels, image_size, slope
        self.bias_code = nn.Parameter(torch.full((levels[0].channels,), start))
        generator = torch.Generator().manual_seed(seed)
        outputs = [level.channels for level in levels[1:]]
        inputs = [level.channels for level in levels]
        if levels[-1].size == image_size:
            outputs += [3]
        else:
            # From the finest plane to the image.
            outputs += [min(inputs[-1], width), 3]
            inputs += [outputs[-2]]
        self.convs = nn.ModuleList()
        for channels, following in zip(inputs, outputs, strict=True):
            inner = min(channels, width)
            self.convs += [_conv(channels, inner, generator), _conv(inner, following, generator)]

    def forward(
        self, codes: list[UInt8[Tensor, "n _ _ _"]], what: Float[Tensor, "n _ _ _"] | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """Decode codes in call order; `what` takes the place of the bias code where given."""
        first = self.levels[0]
        x = self.bias_code[:, None, None].expand(codes[first.number].shape) if what is None else what
        for block, level in enumerate(self.levels):
            where = codes[level.number]
            x = unpool(_resized(x, level.pooled), where, level.window, level.size, check=False)
            x = self._block(block, x)
        if self.levels[-1].size != self.image_size:
            x = self._block(len(self.levels), _resized(x, self.image_size))
        return x

    def _block(self, number: int, x: Tensor) -> Tensor:
        x = self.convs[2 * number + 1](F.leaky_relu(self.convs[2 * number](x), self._slope))
        return x if 2 * number + 2 == len(self.convs) else F.leaky_relu(x, self._slope)


class Rebuilding(Phase):
    """A mirrored decoder with the paper's loss, sum((y - x)^2) / (2N), on an inner scale."""

    measure = "rmse"

    def __init__(self, decoder: MirroredDecoder, scale: float) -> None:
        super().__init__()
        self.decoder, self._scale = decoder, scale

    def forward(
        self, codes: list[Tensor], what: Tensor | None, target: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and mean squared error, values in [0, 1], of one batch."""
        error = (self.decoder(codes, what).float() - target).square()
        return error.sum() / (2 * len(target)), error.detach().mean() / self._scale**2

    def summarise(self, mean: float) -> float:
        """RMSE from the mean of the batches' squared errors."""
        return math.sqrt(mean)


def _size(codes: Tensor) -> Pair:
    return codes.shape[-2], codes.shape[-1]


def _resized(x: Tensor, size: Pair) -> Tensor:
    if _size(x) == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _conv(channels_in: int, channels_out: int, generator: torch.Generator) -> nn.Conv2d:
    conv = nn.utils.skip_init(nn.Conv2d, channels_in, channels_out, 3, padding=1)
    bound = math.sqrt(6 / (9 * channels_in))
    with torch.no_grad():
        conv.weight.uniform_(-bound, bound, generator=generator)
        conv.bias.zero_()
    return conv
