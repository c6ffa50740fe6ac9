"""The mirrored decoder: it unpools level after level, from the coarsest to the image.

    bias code, or features (what)
      -> [resize] -> unpool by the level's switches (where) -> 3x3 layer -> 3x3 layer    for every level
      -> [resize  -> 3x3 layer -> 3x3 layer]                                       where the image is larger
      -> image

For the switches of Table I this is the paper's decoder; it serves every other code that can be captured.
A level whose pooled planes are smaller than what was rebuilt before (a pooling over the whole plane, a branch
beside another one) would let little of that through. There a part of the channels goes around the level:

      -> the level's channels -> resize -> unpool -+-> 3x3 layer -> 3x3 layer
      -> the others, at full resolution -----------+

Source: Table I, and Section II of the paper for the unpooling with switches.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models import fast
from maxtunnel.models.layers import Conv3x3
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.pooling import unpool
from maxtunnel.switches.window import PAPER_WINDOW, Pair, Window

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

    Where a block's layers give more channels than the next level has, the further ones go around that level:
    they join what it unpools, both resized to the larger of their planes.

    A deconvolution of stride 1 equals the convolution whose kernel is flipped and whose channel axes are
    swapped, so the layers are convolutions.

    Args:
        levels: from coarsest to finest.
        convs: two layers a level, and two more where the plane after the last level is not the image's.
        image_size: (height, width) of the result; None where that plane is the image's.
        widths: filters per block, outermost first, where the decoder is that of Table I: it then has a fast
            way (`models.fast`).

    Attributes:
        bias_code: one learned value a channel of the coarsest level, in the place of the features.
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
            through, around = x[:, : level.channels], x[:, level.channels :]
            x = self._unpool(level, through, codes[level.number - 1], level.number in missing)
            yield f"unpool{level.number}", x
            if around.shape[1]:
                size = _larger(_size(x), _size(around))
                x = torch.cat([_resized(x, size), _resized(around, size)], 1)
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
            x = x * _share(level.window)
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

    Where the network changed its planes' size by other means than the captured pooling, they are resized. The
    activations leak a tenth: at the fast recipe's rate the ReLUs of a decoder of five levels had all died
    within 100 steps, and a dead decoder looks as if there were no leak.

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
    around = _around(levels, width)
    inputs = [level.channels + beside for level, beside in zip(levels, around, strict=True)]
    outputs = [*inputs[1:], 3]
    if _planes(levels, around)[-1] != image_size:
        # From the last plane to the image.
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
    for block, (level, beside) in enumerate(zip(levels, around, strict=True)):
        if beside:
            # What was rebuilt goes around; what is unpooled begins as a mark of where the maxima were.
            nn.init.constant_(convs[2 * block - 1].bias[: level.channels], bias_code)
    return decoder


def _around(levels: Sequence[Level], width: int) -> list[int]:
    """For each level, how many channels of what was rebuilt before go around it.

    None where the level takes all of that in: its pooled planes are as large, each of their cells has a place
    of its own, and it has as many channels, or half as many, as in a network whose blocks narrow towards the
    image.
    """
    found = [0]
    for before, level in enumerate(levels[1:]):
        plane = _planes(levels[: before + 1], found)[-1]
        channels = min(width, levels[before].channels + found[-1])
        shrinks = any(a < b for a, b in zip(_known(level.pooled), plane, strict=True))
        narrows = 2 * level.channels < channels
        found.append(channels if shrinks or narrows or level.window.overlaps else 0)
    return found


def _planes(levels: Sequence[Level], around: Sequence[int]) -> list[Pair]:
    """(height, width) after each level."""
    sizes = [(_known(level.size), beside) for level, beside in zip(levels, around, strict=True)]
    planes = accumulate(
        sizes, lambda plane, here: (_larger(plane[0], here[0]) if here[1] else here[0], here[1])
    )
    return [plane for plane, _ in planes]


def _share(window: Window) -> float:
    """What a value is multiplied by before cells add up those of overlapping windows; 1 for all others.

    In a plane of wide windows with stride 1 nearly all of them choose the same few cells, whose sums would be
    so large that the decoder hardly learns.
    """
    return math.sqrt(math.prod(window.stride) / math.prod(window.kernel)) if window.overlaps else 1.0


def _known(size: Pair | None) -> Pair:
    """A size of a captured level, which has one."""
    assert size is not None
    return size


def _larger(a: Pair, b: Pair) -> Pair:
    """The smallest plane that holds both."""
    return max(a[0], b[0]), max(a[1], b[1])


def _size(planes: Tensor) -> Pair:
    return planes.shape[-2], planes.shape[-1]


def _resized(x: Tensor, size: Pair) -> Tensor:
    """`x` at another size: bilinearly where it grows; each cell the mean of its area where it shrinks."""
    before = _size(x)
    if before == size:
        return x
    if any(a > b for a, b in zip(before, size, strict=True)):
        # Bilinear sampling would pass over most cells.
        return F.interpolate(x, size, mode="area")
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
