"""The mirrored decoder: it unpools level after level, from the coarsest to the image.

    bias code, or features (what)
      -> [resize] -> unpool by the level's switches (where) -> 3x3 layer -> 3x3 layer    for every level
      -> [resize  -> 3x3 layer -> 3x3 layer]                                       where the image is larger
      -> image

For the switches of Table I this is the paper's decoder; it serves every other code that can be captured.
A level whose pooled planes are smaller than what was rebuilt before (a pooling over the whole plane, a branch
beside another one) would let little of that through. It is unpooled beside the level before it instead:

      -> unpool by one level's switches ---------------+-> 3x3 layer -> 3x3 layer
      a constant -> unpool by another level's switches -+

Source: Table I, and Section II of the paper for the unpooling with switches.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models import fast
from maxtunnel.models.architecture import PAPER_LAYERS, Architecture
from maxtunnel.models.layers import Conv3x3
from maxtunnel.models.surrogate import put_shares
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.pooling import unpool
from maxtunnel.switches.window import PAPER_WINDOW, Pair, Window

# Of every level; or, while an encoder is trained through them, one-hot shares of the cells (`surrogate`).
Codes = Sequence[UInt8[Tensor, "n _ _ _"]] | Sequence[Float[Tensor, "n _ 4 _ _"]]


_PAPER_DEPTH = 6  # layers of the paper's decoder


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
    """The levels of a code from coarsest to finest.

    Of equal planes those come first that shrink least when pooled, as more can be built on these, but those
    that do not shrink at all come last (see `_beside`); then the one that ran last comes first.
    """
    found = [
        Level(number, level.codes.shape[1], level.window, _size(level.codes), level.size)
        for number, level in enumerate(code.levels, 1)
    ]
    return tuple(sorted(found, key=_fineness))


def _fineness(level: Level) -> tuple[int, bool, int, int]:
    pooled, size = _known(level.pooled), _known(level.size)
    return math.prod(size), pooled == size, -math.prod(pooled), -level.number


class MirroredDecoder(nn.Module):
    """A block of unpool and 3x3 layers, two by default, for each level; no activation after the last layer.

    Levels that are `beside` another one share its block: what they unpool is a learned constant, and the
    planes of all are joined, resized to the largest of them.

    A deconvolution of stride 1 equals the convolution whose kernel is flipped and whose channel axes are
    swapped, so the layers are convolutions.

    Args:
        levels: from coarsest to finest.
        convs: the layers of every block, and two more where the plane after the last level is not the
            image's.
        image_size: (height, width) of the result; None where that plane is the image's.
        widths: filters per block, outermost first, where the decoder is that of Table I: it then has a fast
            way (`models.fast`).
        beside: numbers of the levels that share the block of the level before them.
        counts: how many of the layers each block has, coarsest first; by default two.

    Attributes:
        bias_code: one learned value a channel of the coarsest level, in the place of the features.
        marks: by the number of each level that is beside another, one learned value a channel.
        convs: the layers in execution order.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        convs: Sequence[Conv3x3],
        image_size: Pair | None = None,
        widths: tuple[int, ...] | None = None,
        beside: Collection[int] = (),
        counts: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.levels, self.image_size, self.widths = tuple(levels), image_size, widths
        self.blocks = _blocks(levels, beside)
        self.counts = tuple(counts or [PAPER_LAYERS] * len(self.blocks))
        self.bias_code = nn.Parameter(torch.zeros(levels[0].channels))
        self.marks = nn.ParameterDict(
            {
                str(level.number): nn.Parameter(torch.zeros(level.channels))
                for level in levels
                if level.number in beside
            }
        )
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
        coarsest = codes[self.levels[0].number - 1]
        x = self.bias_code[:, None, None].expand(*coarsest.shape[:2], *coarsest.shape[-2:])
        x = x if what is None else what
        yield ("bias code" if what is None else "what"), x
        convs = iter(self.convs)
        for (first, *others), count in zip(self.blocks, self.counts, strict=True):
            x = self._unpool(first, x, codes[first.number - 1], first.number in missing)
            yield f"unpool{first.number}", x
            planes = [x]
            for level in others:
                where = codes[level.number - 1]
                marks = self.marks[str(level.number)][:, None, None].expand(where.shape)
                planes.append(self._unpool(level, marks, where, level.number in missing))
                yield f"unpool{level.number}", planes[-1]
            if others:
                x = _joined(planes)
            for index, conv in enumerate(islice(convs, count), 1):
                x = conv(x)
                yield f"deconv{first.number}_{index}", x
        if to_image := list(convs):
            assert self.image_size is not None
            x = _resized(x, self.image_size)
            for index, conv in enumerate(to_image, 1):
                x = conv(x)
                yield f"image_{index}", x

    def squared_error(
        self,
        codes: Codes,
        target: Float[Tensor, "n 3 h w"],
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: Collection[int] = (),
    ) -> Float[Tensor, ""]:
        """Sum of (decoded codes - target)^2, for training."""
        return fast.squared_error(self, codes, target, what, missing)

    @staticmethod
    def _unpool(level: Level, x: Tensor, codes: Tensor, replicate: bool) -> Tensor:
        if level.pooled is not None:
            x = _resized(x, level.pooled)
        if codes.is_floating_point():
            return put_shares(x, codes)
        if not replicate:
            x = x * _share(level.window) if level.window.overlaps else x
            return unpool(x, codes, level.window, level.size, check=False)
        size = level.size or level.window.smallest_plane(_size(codes))
        return F.interpolate(x, size)


def mirrored_decoder(architecture: Architecture, generator: torch.Generator | None = None) -> MirroredDecoder:
    """The decoder of Table I: deconv3x3-ReLU twice after each unpooling, no ReLU after the last layer.

    Where a block of the encoder has another number of convolutions, the decoder's has as many.

    Args:
        architecture: filters per block.
        generator: draws the bias code, uniform in +-sqrt(3 / n3), then the weights, in +-sqrt(3 / fan-in); of
            more layers than the paper's six, in +-sqrt(6 / fan-in) (He et al.). From the paper's draw, what
            thirteen layers give is a thousandth of what they are given, and training hardly begins.
    """
    deepest = architecture.widths[-1]
    bias_code = torch.empty(deepest).uniform_(-1, 1, generator=generator).mul_(math.sqrt(3 / deepest))
    channels = architecture.decoder_channels()
    pairs = [pair for block in channels for pair in block]
    # Caffe keeps a deconvolution's weights as (in, out, 3, 3), so its fan-in counts outputs.
    bounds = [math.sqrt(6 / (9 * a) if len(pairs) > _PAPER_DEPTH else 3 / (9 * b)) for a, b in pairs]
    convs = [
        Conv3x3(a, b, bound, 0.0 if number < len(pairs) else None, generator)
        for number, ((a, b), bound) in enumerate(zip(pairs, bounds, strict=True), 1)
    ]
    widths = architecture.widths
    levels = [Level(number, widths[number - 1]) for number in range(len(widths), 0, -1)]
    # Only Table I's has a fast way.
    decoder = MirroredDecoder(
        levels,
        convs,
        widths=widths if architecture.mirrored_as_published else None,
        counts=architecture.layers[::-1],
    )
    decoder.bias_code.data.copy_(bias_code)
    return decoder


def new_decoder(architecture: Architecture) -> MirroredDecoder:
    """The decoder of an encoder that came alone: always the same draw, so that no file need hold it."""
    return mirrored_decoder(architecture, torch.Generator().manual_seed(0))


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
    beside = _beside(levels, width)
    blocks = _blocks(levels, beside)
    inputs = [sum(level.channels for level in block) for block in blocks]
    outputs = [*(block[0].channels for block in blocks[1:]), 3]
    if _plane(blocks[-1]) != image_size:
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
    decoder = MirroredDecoder(levels, convs, image_size, beside=beside)
    for constant in (decoder.bias_code, *decoder.marks.values()):
        nn.init.constant_(constant, bias_code)
    return decoder


def _beside(levels: Sequence[Level], width: int) -> set[int]:
    """The numbers of the levels that would hide what was rebuilt before, if it had to go through them.

    Their pooled planes are smaller than what was rebuilt; or pooling leaves their plane as large as it was,
    so that the values of many windows are heaped upon one cell; or they have less than half of its channels,
    of which no more than `width` count.
    """
    found: set[int] = set()
    for place, level in enumerate(levels[1:], 1):
        block = _blocks(levels[:place], found)[-1]
        shrinks = any(a < b for a, b in zip(_known(level.pooled), _plane(block), strict=True))
        narrows = 2 * level.channels < min(width, sum(other.channels for other in block))
        if shrinks or narrows or level.pooled == level.size:
            found.add(level.number)
    return found


def _blocks(levels: Sequence[Level], beside: Collection[int]) -> list[list[Level]]:
    """The levels, those that share a block together."""
    blocks: list[list[Level]] = []
    for level in levels:
        if level.number in beside:
            blocks[-1].append(level)
        else:
            blocks.append([level])
    return blocks


def _plane(block: Sequence[Level]) -> Pair:
    """(height, width) of the joined planes of a block."""
    sizes = [_known(level.size) for level in block]
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def _joined(planes: Sequence[Tensor]) -> Tensor:
    """Planes of all levels of a block, resized to the largest and put together."""
    size = max(x.shape[-2] for x in planes), max(x.shape[-1] for x in planes)
    return torch.cat([_resized(x, size) for x in planes], 1)


def _share(window: Window) -> float:
    """What a value is multiplied by before cells add up those of overlapping windows.

    In a plane of wide windows with stride 1 nearly all of them choose the same few cells, whose sums would be
    so large that the decoder hardly learns.
    """
    return math.sqrt(math.prod(window.stride) / math.prod(window.kernel))


def _known(size: Pair | None) -> Pair:
    """A size of a captured level, which has one."""
    assert size is not None
    return size


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
