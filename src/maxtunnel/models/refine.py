"""Pictures moved until their own switches are those that they were rebuilt from.

A decoder draws a picture in one pass. Send that through the encoder again, and part of its switches are not
those that it was drawn from, so it cannot be the photograph: there are switches that nobody has made use of
yet. Whoever trained the decoder had the encoder, and can move the picture x, from the decoder's x_0, to where

    E(x) = sum over windows of max(0, (r - v) / s_c + MARGIN)^2 + WEIGHT |x - x_0|^2

is least. v is the value in the cell that the switch names, r the largest of the other cells, and s_c how far
the values of a window of channel c lie apart in x_0 (root mean square of the deviations from their mean).
Nothing is lost where the named cell leads by MARGIN of that; elsewhere the gradient goes through the
convolutions of the encoder as through any others. The next block is given v, as if the switch were right.

Where a ReLU stands before the pooling, zero is a candidate that belongs to the first cell, as in `surrogate`:
that cell counts as max(0, v_1), so that dark windows are kept dark.

There is nothing to be learned: the decoder may be any. E is brought down by L-BFGS, a picture by itself.
`Windows` and `descend` serve any network that pools (`auditing.refining`); `refine` is for ours.

Source: consistent reconstruction of quantised signals (Thao, Vetterli 1994) and of signs of projections
(Boufounos, Baraniuk 2008); images by gradient descent through a network from Mahendran, Vedaldi 2015
(arXiv 1412.0035).
"""

from collections.abc import Callable, Collection

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.models import fast
from maxtunnel.models.surrogate import SIDE, one_hot, put_shares
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.switches import pending
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.window import Pair

ROUNDS = 40  # evaluations of E and its gradient
MARGIN = 0.1
WEIGHT = 1.6  # of a squared difference of values in [0, 1]
MOST_PIXELS = 1024**2  # of a picture, all of whose activations are in memory at once
_NOWHERE = -1e30  # the value of a cell in the padding
_PAIRS = 10  # of steps and gradients that L-BFGS keeps
_LEAST = 1e-12  # of s_c^2: a channel below it says nothing


@torch.inference_mode(False)
def refine(
    network: TunnelNetwork,
    code: SwitchCode,
    images: Float[Tensor, "n 3 h w"],
    *,
    levels: Collection[int] | None = None,
    rounds: int = ROUNDS,
) -> Float[Tensor, "n 3 h w"]:
    """Images nearer to those that `code` was made of, float32, not clipped, where the network lies.

    Args:
        network: whose encoder made the code.
        code: the switches.
        images: what a decoder made of them, values in [0, 1].
        levels: the levels to make use of, 1 the finest; by default all.
        rounds: how often encoder and gradient are computed, but one more for 1 and 2; 0 leaves the images as
            they are.

    Raises:
        ValueError: the code comes from another architecture, the images are not of its size, or no
            floating-point numbers, or `rounds` is no whole number from 0.
        FormatError: the images are larger than MOST_PIXELS.
    """
    if not isinstance(rounds, int) or rounds < 0:
        raise ValueError(f"`rounds` is {rounds}: give a whole number from 0")
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}: expected floating-point numbers in [0, 1]")
    images = images.to(network.device, torch.float32)
    if rounds == 0:
        return images
    network.check(code)
    height, width = code.image_size
    if tuple(images.shape) != (len(code), 3, height, width):
        raise ValueError(f"images are {tuple(images.shape)}: the code is of {(len(code), 3, height, width)}")
    refuse_large((height, width), "the code")
    missing = network.missing(levels)
    images, code = pending.plain(images), code.to(network.device)
    refined = [_refine(network, code[n], images[n : n + 1], missing, rounds) for n in range(len(code))]
    return torch.cat([images[:0], *refined])


def refuse_large(size: Pair, name: str) -> None:
    """FormatError where images of (height, width) `size`, which `name` holds, are too large to be refined."""
    height, width = size
    if height * width > MOST_PIXELS:
        raise FormatError(
            f"{name} is of {height}x{width} pixels: refining keeps all layers of a picture in memory, of "
            f"at most {MOST_PIXELS:,} pixels; take a smaller photograph, or do not refine it"
        )


def _refine(
    network: TunnelNetwork, code: SwitchCode, image: Tensor, missing: Collection[int], rounds: int
) -> Float[Tensor, "1 3 h w"]:
    """One image, refined."""
    rectified, scale = not network.architecture.linear, network.scale
    constraints = [
        None if number in missing else Tiles(level.codes, rectified)
        for number, level in enumerate(code.levels, 1)
    ]
    start = scale * image

    def error(x: Tensor) -> Float[Tensor, ""]:
        parts = [WEIGHT / scale**2 * (x - start).square().sum()]

        def pooling(block: int, sums: Tensor) -> tuple[Tensor, Tensor]:
            constraint = constraints[block - 1]
            if constraint is None:
                return F.max_pool2d(F.relu(sums) if rectified else sums, SIDE), sums
            values, broken = constraint(sums)
            parts.append(broken)
            return values, broken

        # Padded anew each time: what is moved is the image, which decides the padding.
        network.encoder.relaxed(network.normalise(x / scale), pooling)
        return torch.stack(parts).sum()

    with fast.exact(image.device):
        found = descend(error, start, rounds)
    return image if found is start else found / scale


def descend(
    error: Callable[[Tensor], Float[Tensor, ""]], start: Float[Tensor, "n 3 h w"], rounds: int
) -> Float[Tensor, "n 3 h w"]:
    """Where L-BFGS comes to from `start` in so many rounds; `start` itself where that is no better.

    Args:
        error: what is brought down.
        start: where it begins.
        rounds: how often the error and its gradient are computed.
    """
    with torch.no_grad():
        before = error(start)
    x = start.contiguous().clone().requires_grad_()
    search = torch.optim.LBFGS(
        [x], max_iter=rounds, max_eval=rounds, history_size=_PAIRS, line_search_fn="strong_wolfe",
        tolerance_grad=0, tolerance_change=0,
    )  # fmt: skip

    def evaluate() -> Tensor:
        found = error(x)
        x.grad = torch.autograd.grad(found, x)[0].contiguous()
        return found

    with torch.enable_grad():
        search.step(evaluate)
    with torch.no_grad():
        better = bool(error(x) < before)  # not where it became infinite or NaN
    return x.detach() if better else start


class Tiles:
    """What the switches of 2x2 windows that tile a plane ask of it, an image's by itself.

    Args:
        codes: of a level.
        rectified: whether a ReLU stands between the plane and the pooling.
    """

    def __init__(self, codes: UInt8[Tensor, "1 c oh ow"], rectified: bool = False) -> None:
        self._rectified = rectified
        ones = torch.ones(codes.shape, device=codes.device)
        self._named = put_shares(ones, one_hot(codes)).contiguous(memory_format=torch.channels_last)
        # One where a cell is the first of its window.
        self._first = put_shares(ones, one_hot(torch.zeros_like(codes)))[:, :1]
        self._scale: Tensor | None = None

    def __call__(
        self, plane: Float[Tensor, "1 c h w"]
    ) -> tuple[Float[Tensor, "1 c oh ow"], Float[Tensor, ""]]:
        """The values of the cells that are named, and how much is broken: this level's part of E.

        The scales are those of the first plane that is given.
        """
        if self._scale is None:
            cells = F.pixel_unshuffle(plane.detach(), SIDE).unflatten(1, (plane.shape[1], SIDE**2))
            self._scale, self._worth = _scale(cells)
            self._lead = MARGIN * self._scale * self._named
        if self._rectified:
            plane = torch.where(self._first > 0, F.relu(plane), plane)
        behind = plane - self._lead
        own = F.avg_pool2d(behind * self._named, SIDE, divisor_override=1)
        broken = (self._worth * (F.max_pool2d(behind, SIDE) - own)).square().sum()
        values = own + MARGIN * self._scale
        return F.relu(values) if self._rectified else values, broken


class Windows:
    """The same of any windows: they may overlap, leave cells out, or reach into a padding.

    Args:
        level: the switches of an image.
    """

    def __init__(self, level: SwitchLevel) -> None:
        self._window, self._codes = level.window, level.codes[:, :, None].long()
        self._inside = self._cells(torch.ones(1, 1, *level.size, device=level.codes.device), 0.0) > 0
        self._scale: Tensor | None = None

    def __call__(
        self, plane: Float[Tensor, "1 c h w"]
    ) -> tuple[Float[Tensor, "1 c oh ow"], Float[Tensor, ""]]:
        """As `Tiles`."""
        cells = self._cells(plane, _NOWHERE)
        if self._scale is None:
            self._scale, self._worth = _scale(cells.detach(), self._inside)
        own = cells.gather(2, self._codes)[:, :, 0]
        others = cells.scatter(2, self._codes, _NOWHERE).amax(2)
        broken = F.relu(self._worth * (others - own + MARGIN * self._scale)).square().sum()
        return own, broken

    def _cells(self, plane: Float[Tensor, "1 c h w"], outside: float) -> Float[Tensor, "1 c cells oh ow"]:
        window, pooled = self._window, self._codes.shape[-2:]
        pairs = zip(pooled, window.stride, window.span, window.padding, plane.shape[-2:], strict=True)
        after = [(n - 1) * stride + span - pad - size for n, stride, span, pad, size in pairs]
        padded = F.pad(plane, (window.padding[1], after[1], window.padding[0], after[0]), value=outside)
        found = F.unfold(padded.transpose(0, 1), window.kernel, window.dilation, 0, window.stride)
        return found.unflatten(2, pooled)[None]


def _scale(
    cells: Float[Tensor, "1 c cells oh ow"], inside: Bool[Tensor, "1 1 cells oh ow"] | None = None
) -> tuple[Float[Tensor, "c 1 1"], Float[Tensor, "c 1 1"]]:
    """s_c, and 1 / s_c or, where a channel is dead, 0; of the cells that lie inside."""
    there = torch.ones_like(cells[:, :1]) if inside is None else inside.to(cells.dtype)
    many = there.sum(2, keepdim=True)
    apart = (cells - (cells * there).sum(2, keepdim=True) / many) * there
    square = (apart.square().sum((0, 2, 3, 4)) / there.sum())[:, None, None]
    scale = square.clamp_min(_LEAST).sqrt()
    return scale, torch.where(square > _LEAST, 1 / scale, 0.0)
