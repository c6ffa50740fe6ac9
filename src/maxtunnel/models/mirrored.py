"""The mirrored decoder: it unpools level after level, from the coarsest to the image.

    bias code, or features (what)
      -> [resize] -> unpool by the level's switches (where) -> 3x3 layer -> 3x3 layer    for every level
      -> [resize  -> 3x3 layer -> 3x3 layer]                                       where the image is larger
      -> image

For the switches of Table I this is the paper's decoder; it serves every other code that can be captured.

Source: Table I, and Section II of the paper for the unpooling with switches.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models import fast
from maxtunnel.models.layers import Conv3x3
from maxtunnel.switches.codes import PAPER_WINDOW, SwitchCode, unpool
from maxtunnel.switches.window import Pair, Window

Codes = Sequence[UInt8[Tensor, "n _ _ _"]]


@dataclass(frozen=True)
class Level:
    """A level of switches as the decoder meets it.

    Attributes:
        number: of the level in the code, 1 the first.
        channels: of the pooled planes.
        window: of the pooling.
        pooled: (height, width) after pooling; None where the codes decide it.
        size: (height, width) before it, which unpooling restores; None for the smallest that fits.
    """

    number: int
    channels: int
    window: Window = PAPER_WINDOW
    pooled: Pair | None = None
    size: Pair | None = None


def levels_of(code: SwitchCode) -> tuple[Level, ...]:
    """The levels of a code from coarsest to finest; of equal planes the one that ran last comes first."""
    found = [
        Level(number, level.codes.shape[1], level.window, _size(level.codes), level.size)
        for number, level in enumerate(code.levels, 1)
    ]
    return tuple(sorted(found, key=lambda level: (math.prod(level.size or ()), -level.number)))


class MirroredDecoder(nn.Module):
    """A block of unpool and two 3x3 layers for each level; no activation after the last layer.

    A deconvolution of stride 1 equals the convolution whose kernel is flipped and whose channel axes are
    swapped, so the layers are convolutions.

    Args:
        levels: from coarsest to finest.
        convs: two layers a level, and two more where `image_size` is larger than the finest plane.
        image_size: (height, width) of the result; None where the finest plane is the image's.
        widths: filters per block, outermost first, where the decoder is that of Table I: it then has a fast
            way (`models.fast`).

    Attributes:
        bias_code: one learned value a channel of the coarsest level, in the place of the features; 0 at first.
        convs: the layers in execution order.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        convs: Sequence[Conv3x3],
        image_size: Pair | None = None,
        widths: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.levels, self.image_size, self.widths = tuple(levels), image_size, widths
        self.bias_code = nn.Parameter(torch.zeros(levels[0].channels))
        self.convs = nn.ModuleList(convs)

    def forward(
        self,
        codes: Codes,
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: Collection[int] = (),
    ) -> Float[Tensor, "n 3 h w"]:
        """The image, on the network's inner scale.

        Args:
            codes: of every level, in the code's order.
            what: features of the coarsest level, in the place of the bias code.
            missing: numbers of levels that are unpooled by replication: their codes are not looked at.
        """
        return fast.decode(self, codes, what, missing)

    def layers(
        self,
        codes: Codes,
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: Collection[int] = (),
    ) -> Iterator[tuple[str, Float[Tensor, "n _ _ _"]]]:
        """Name and output of every layer in execution order, from the bias code to the image."""
        x = self.bias_code[:, None, None].expand(codes[self.levels[0].number - 1].shape)
        x = x if what is None else what
        yield ("bias code" if what is None else "what"), x
        for block, level in enumerate(self.levels):
            x = self._unpool(level, x, codes[level.number - 1], level.number in missing)
            yield f"unpool{level.number}", x
            for index in (1, 2):
                x = self.convs[2 * block + index - 1](x)
                yield f"deconv{level.number}_{index}", x
        if len(self.convs) > 2 * len(self.levels):
            assert self.image_size is not None
            x = _resized(x, self.image_size)
            for index in (1, 2):
                x = self.convs[index - 3](x)
                yield f"image_{index}", x

    def squared_error(
        self,
        codes: Codes,
        target: Float[Tensor, "n 3 h w"],
        what: Float[Tensor, "n c _ _"] | None = None,
    ) -> Float[Tensor, ""]:
        """Sum of (decoded codes - target)^2, for training."""
        return fast.squared_error(self, codes, target, what)

    @staticmethod
    def _unpool(level: Level, x: Tensor, codes: Tensor, replicate: bool) -> Tensor:
        if level.pooled is not None:
            x = _resized(x, level.pooled)
        if not replicate:
            return unpool(x, codes, level.window, level.size, check=False)
        size = level.size or level.window.smallest_plane(_size(codes))
        return F.interpolate(x, size)


def mirror(
    levels: Sequence[Level],
    image_size: Pair,
    width: int = 32,
    seed: int = 0,
    bias_code: float = 1.0,
    slope: float = 0.1,
) -> MirroredDecoder:
    """A new mirrored decoder of captured levels.

    Where the network changed its planes' size by other means than the captured pooling, they are resized
    bilinearly. The activations leak a tenth: at the fast recipe's rate the ReLUs of a decoder of five levels
    had all died within 100 steps, and a dead decoder looks as if there were no leak.

    Args:
        levels: from coarsest to finest.
        image_size: (height, width) of the result.
        width: most channels between the two layers of a block, so that a network of many filters does not
            make a decoder that is too slow to train.
        seed: draws the weights, uniform in +-sqrt(6 / fan-in) (He et al.).
        bias_code: first value of every channel.
        slope: of the activations below zero; the paper's is 0.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = [level.channels for level in levels]
    outputs = [*inputs[1:], 3]
    if levels[-1].size != image_size:
        # From the finest plane to the image.
        inputs.append(min(inputs[-1], width))
        outputs[-1:] = [inputs[-1], 3]
    pairs = [
        pair
        for channels, following in zip(inputs, outputs, strict=True)
        for pair in ((channels, min(channels, width)), (min(channels, width), following))
    ]
    convs = [
        Conv3x3(a, b, math.sqrt(6 / (9 * a)), slope if number < len(pairs) else None, generator)
        for number, (a, b) in enumerate(pairs, 1)
    ]
    decoder = MirroredDecoder(levels, convs, image_size)
    nn.init.constant_(decoder.bias_code, bias_code)
    return decoder


def _size(planes: Tensor) -> Pair:
    return planes.shape[-2], planes.shape[-1]


def _resized(x: Tensor, size: Pair) -> Tensor:
    return x if _size(x) == size else F.interpolate(x, size, mode="bilinear", align_corners=False)
