"""The strong decoder: a U-Net over the switches, which reads all levels before it draws anything.

    codes of a level -> one plane a cell of the window -> 1x1 layer ---+
                                                                       v
    1/2 of the image:   (+) -> blocks ----------------------------> (+) -> blocks -> 3x3 layer -> image
                           \\ 1/2                                 x2 /
    1/4 of the image:       (+) -> blocks -------------> (+) -> blocks
                               \\ 1/2                  x2 /
    ...                         (+) -> blocks -> blocks

A block is x + 3x3 layer(ReLU(3x3 layer(x))). The paper's decoder reads each level once, on its way from the
coarsest to the finest: what level 1 says never reaches what is built of level 3. Here all levels reach all
others, in both directions.

Nothing is computed over the plane of an image (no normalisation), so that an image rebuilt piece by piece is
the whole one. The layers are what processors are fast at: 3x3 convolutions of equal width, ReLU, sums.

Source: the shape is that of U-Net (Ronneberger, Fischer, Brox 2015, arXiv 1505.04597), the block that of EDSR
(Lim et al. 2017, arXiv 1707.02921).
"""

import math
from collections.abc import Collection, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.models import fast
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.layers import Conv3x3
from maxtunnel.models.mirrored import Codes, Level
from maxtunnel.switches.pooling import unpool
from maxtunnel.switches.window import Pair, Window

WIDTH = 64
DOWN, UP = 2, 2  # blocks of a scale on the way down and on the way up
# Windows of up to so many cells enter with a plane a cell; larger ones as the plane before pooling, with ones
# where the maxima were.
_MOST_PLANES = 9


class StrongDecoder(nn.Module):
    """A U-Net over the switches of any number of levels.

    Scale 1 has half of the image's height and width, rounded up; each further one has half of the one before.
    A level enters at the coarsest scale that is no smaller than its planes.

    Args:
        levels: from coarsest to finest, with their sizes; without sizes, level k is at scale k.
        image_size: (height, width) of the images; None for twice the finest level's planes.
        width: channels of every scale; what the decoder costs grows with its square.
        seed: draws the weights.
        what: channels of the features that the coarsest level's planes may come with; 0 for none.

    Attributes:
        scales: how many there are.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        image_size: Pair | None = None,
        width: int = WIDTH,
        seed: int = 0,
        what: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.levels, self.image_size, self.width = tuple(levels), image_size, width
        self._entries = {level.number: Entry(level, image_size) for level in levels}
        scales = [entry.scale for entry in self._entries.values()]
        self._first, self.scales = min(scales), max(scales)
        self.entries = nn.ModuleDict(
            {
                str(number): _layer(entry.planes, width, 1, entry.level.channels, generator)
                for number, entry in self._entries.items()
            }
        )
        self.what = _layer(what, width, 1, what, generator) if what else None
        # Scale by scale from the finest on which a level enters; on the way up, from the first.
        self.down = nn.ModuleList(
            _blocks(width, DOWN, generator) for _ in range(self._first, self.scales + 1)
        )
        self.halvings = nn.ModuleList(_layer(width, width, 2, 4 * width, generator) for _ in self.down[1:])
        self.up = nn.ModuleList(_blocks(width, UP, generator) for _ in range(self.scales))
        self.doublings = nn.ModuleList(_layer(width, 4 * width, 1, width, generator) for _ in self.up[1:])
        self.head = Conv3x3(width, 12, 0.1 * math.sqrt(3 / (9 * width)), None, generator)

    def forward(
        self,
        codes: Codes,
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: Collection[int] = (),
    ) -> Float[Tensor, "n 3 h w"]:
        """The image, on the network's inner scale.

        Args:
            codes: of every level, in the code's order.
            what: features of the coarsest level, where the decoder was made for them.
            missing: numbers of levels whose codes are not looked at: each cell is as likely as another.
        """
        return fast.last(self.layers(codes, what, missing))

    def layers(
        self,
        codes: Codes,
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: Collection[int] = (),
    ) -> Iterator[tuple[str, Float[Tensor, "n _ _ _"]]]:
        """Name and output of every part in execution order, from the finest level to the image."""
        image_size = self.image_size or self._image_size(codes)
        sizes = self.sizes(image_size)
        kept: list[Tensor] = []
        for scale, down in enumerate(self.down, self._first):
            parts = [self.halvings[len(kept) - 1](_even(kept[-1]))] if kept else []
            parts += self._entered(scale, sizes[scale - 1], codes, what, missing)
            kept.append(down(_sum(parts)))
            yield f"down{scale}", kept[-1]
        x = kept.pop()
        for scale in range(self.scales, 0, -1):
            if scale < self.scales:
                x = _cropped(F.pixel_shuffle(self.doublings[scale - 1](x), 2), sizes[scale - 1])
                x = (x + kept.pop()) if kept else x
            x = self.up[scale - 1](x)
            yield f"up{scale}", x
        yield "image", _cropped(F.pixel_shuffle(self.head(x), 2), image_size)

    def squared_error(
        self,
        codes: Codes,
        target: Float[Tensor, "n 3 h w"],
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: Collection[int] = (),
    ) -> Float[Tensor, ""]:
        """Sum of (decoded codes - target)^2, for training."""
        return fast.sum_of_squares(self(codes, what, missing), target)

    @property
    def reach(self) -> int:
        """Pixels of the image beyond which a switch has no say in a pixel, at most."""
        cells = sum(2**scale for scale in range(1, self.scales + 1))
        return 2 * (DOWN + UP) * cells + 2 + 2**self.scales

    def entering(self, scale: int) -> "list[Entry]":
        """What enters at a scale."""
        return [entry for entry in self._entries.values() if entry.scale == scale]

    def sizes(self, image_size: Pair) -> list[Pair]:
        """(height, width) of every scale, for images of `image_size`."""
        return _sizes(image_size, self.scales)

    def _image_size(self, codes: Codes) -> Pair:
        finest = min(self._entries.values(), key=lambda entry: entry.scale)
        height, width = codes[finest.level.number - 1].shape[-2:]
        return 2**finest.scale * height, 2**finest.scale * width

    def _entered(
        self,
        scale: int,
        size: Pair,
        codes: Codes,
        what: Tensor | None,
        missing: Collection[int],
    ) -> Iterator[Tensor]:
        """What enters at a scale, of its size."""
        dtype = _arithmetic(self.head.weight)
        for entry in self.entering(scale):
            number = entry.level.number
            planes = entry(codes[number - 1], number in missing, dtype)
            yield _grown(self.entries[str(number)](planes), size)
        coarsest = self.levels[0].number
        if what is not None and self._entries[coarsest].scale == scale:
            if self.what is None:
                raise ValueError("features are given: this decoder was made for switches alone")
            yield _grown(self.what(what), size)


class Entry:
    """How a level becomes planes of the scale at which it enters.

    Args:
        level: with its sizes; without them, level k is at scale k.
        image_size: (height, width); None without sizes.

    Attributes:
        scale: at which it enters.
        one_each: whether it enters with a plane a cell, and not as the plane before pooling.
        folds: how often four neighbouring cells become four planes.
        planes: with how many it enters.
        share: what stands where a maximum was, so that the sums of overlapping windows are no larger.
    """

    def __init__(self, level: Level, image_size: Pair | None) -> None:
        self.level, self.scale, self.folds = level, level.number, 0
        self.one_each = level.window.cells <= _MOST_PLANES
        if image_size is not None and level.pooled is not None and level.size is not None:
            size = level.pooled if self.one_each else level.size
            half = _sizes(image_size, 1)[0]
            while not _covers(half, size):
                size, self.folds = _halved(size), self.folds + 1
            self.scale = 1
            while _covers(half := _halved(half), size) and half != (1, 1):
                self.scale += 1
        cells = level.window.cells if self.one_each else 1
        self.planes = level.channels * cells * 4**self.folds
        window = level.window
        self.share = math.sqrt(math.prod(window.stride) / window.cells) if window.overlaps else 1.0

    def __call__(self, codes: Tensor, missing: bool, dtype: torch.dtype) -> Tensor:
        """The planes, (n, planes, _, _), of values from 0 to 1 where windows do not overlap."""
        window = self.level.window
        if codes.is_floating_point():
            x = codes.flatten(1, 2).to(dtype)
        elif self.one_each:
            cells = torch.arange(window.cells, dtype=torch.uint8, device=codes.device)
            x = (codes.permute(0, 2, 3, 1)[..., None] == cells).flatten(3).to(dtype).permute(0, 3, 1, 2)
            x = torch.full_like(x, 1 / window.cells) if missing else x
        else:
            ones = torch.full((1, 1, 1, 1), self.share, dtype=dtype, device=codes.device).expand(codes.shape)
            x = (
                _expected(ones, window, self.level.size)
                if missing
                else unpool(ones, codes, window, self.level.size, check=False)
            )
        for _ in range(self.folds):
            x = F.pixel_unshuffle(_even(x), 2)
        return x.contiguous(memory_format=torch.channels_last)


def strong_decoder(architecture: Architecture, width: int, seed: int = 0) -> StrongDecoder:
    """A strong decoder of the codes of Table I's encoder.

    Args:
        architecture: filters per block.
        width: channels of every scale.
        seed: draws the weights.
    """
    widths = architecture.widths
    levels = [Level(number, widths[number - 1]) for number in range(len(widths), 0, -1)]
    return StrongDecoder(levels, width=width, seed=seed)


def _expected(
    ones: Float[Tensor, "n c oh ow"], window: Window, size: Pair | None
) -> Float[Tensor, "n c h w"]:
    """What unpooling `ones` gives on average over all codes, those in the padding left out."""
    assert size is not None
    (height, width), (top, left) = size, window.padding
    kernel, one = ones.new_ones(1, 1, *window.kernel), torch.ones_like(ones[:1, :1])

    def spread(values: Tensor) -> Tensor:
        """Each window's value in all of its cells."""
        return F.conv_transpose2d(values, kernel, stride=window.stride, dilation=window.dilation)

    plane = torch.zeros_like(spread(one))
    plane[..., top : top + height, left : left + width] = 1
    inside = F.conv2d(plane, kernel, stride=window.stride, dilation=window.dilation)
    found = spread(one / inside) * plane
    below, right = top + height - found.shape[-2], left + width - found.shape[-1]
    return F.pad(found, (-left, right, -top, below)) * ones[..., :1, :1]


class _Block(nn.Module):
    """x + 3x3 layer(ReLU(3x3 layer(x))); the last layer begins at 0, so that a new block changes nothing."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Conv3x3(width, width, math.sqrt(6 / (9 * width)), 0.0, generator)
        self.second = Conv3x3(width, width, 0.0, None, generator)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


def _blocks(width: int, count: int, generator: torch.Generator) -> nn.Sequential:
    return nn.Sequential(*(_Block(width, generator) for _ in range(count)))


def _layer(inputs: int, outputs: int, kernel: int, fan: int, generator: torch.Generator) -> nn.Conv2d:
    """A convolution of kernels beside each other, with weights in +-sqrt(3 / fan) and biases 0."""
    # A layer of PyTorch's own would draw from the random numbers of whoever makes the decoder.
    layer = nn.Conv2d(inputs, outputs, kernel, kernel, device="meta")
    bound = math.sqrt(3 / fan)
    weight = torch.empty(layer.weight.shape).uniform_(-bound, bound, generator=generator)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(torch.zeros(outputs))
    return layer


def _arithmetic(weight: Tensor) -> torch.dtype:
    """The type in which layers compute."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def _sizes(image_size: Pair, scales: int) -> list[Pair]:
    """(height, width) of every scale."""
    sizes = [_halved(image_size)]
    for _ in range(scales - 1):
        sizes.append(_halved(sizes[-1]))
    return sizes


def _halved(size: Pair) -> Pair:
    return -(-size[0] // 2), -(-size[1] // 2)


def _covers(size: Pair, other: Pair) -> bool:
    return size[0] >= other[0] and size[1] >= other[1]


def _even(x: Tensor) -> Tensor:
    """`x` with a row and a column of zeros more where its sides are odd."""
    down, right = x.shape[-2] % 2, x.shape[-1] % 2
    return F.pad(x, (0, right, 0, down)) if down or right else x


def _cropped(x: Tensor, size: Pair) -> Tensor:
    return x if x.shape[-2:] == size else x[..., : size[0], : size[1]]


def _grown(x: Tensor, size: Pair) -> Tensor:
    """`x` at a size that is no smaller, by repeating cells: none is lost."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="nearest-exact")


def _sum(parts: Sequence[Tensor]) -> Tensor:
    total, *others = parts
    for x in others:
        total = total + x
    return total
