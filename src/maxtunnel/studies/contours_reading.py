"""What networks of `study contours` draw of whole photographs, and what is drawn without any training.

A network is given a photograph as many times smaller as the study says; its answers are brought to the
photograph's own size by interpolation, and thinned by their strengths (`evaluation.ridges`).

| way | drawn from |
|---|---|
| those of `dense_conditions` | features and switches, or one of them |
| read with random switches | features; every switch drawn evenly from its window's cells |
| another photograph's contours | the answers for another photograph, held against this one's contours |
| switches, no training | how much codes differ from window to window, see `differences` |
| switches of an untrained encoder, no training | the same of random weights |
| brightness | the gradient of the photograph's smoothed grey levels |
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.images import to_float
from maxtunnel.evaluation.ridges import thin
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import WINDOW
from maxtunnel.models.measuring import measuring
from maxtunnel.studies.contours_config import Kind
from maxtunnel.studies.contours_data import Photograph, small
from maxtunnel.studies.dense_conditions import CONDITIONS, answer, as_images, conditions_of
from maxtunnel.switches.window import Pair

RANDOM, ELSEWHERE = "switches-random", "switches-elsewhere"
DRAWN, DRAWN_UNTRAINED, BRIGHTNESS = "switches-drawn", "untrained-drawn", "brightness"
_MORE = {
    RANDOM: "known switches, read with random ones",
    ELSEWHERE: "another photograph’s contours",
    DRAWN: "switches, no training",
    DRAWN_UNTRAINED: "switches of an untrained encoder, no training",
    BRIGHTNESS: "brightness, no network",
}
# Every way by its key, in the order of tables.
WAYS = {condition.key: condition.name for condition in CONDITIONS} | _MORE
_GREY = (0.299, 0.587, 0.114)
_SMOOTH = 5  # pixels of a side of the box that grey levels are averaged over
Strength = Float[Tensor, "h w"]


def ways_of(kind: Kind) -> tuple[str, ...]:
    """The keys of the ways in which a network of this kind is read."""
    if kind == "brightness":
        return (BRIGHTNESS,)
    known = tuple(condition.key for condition in conditions_of(kind))
    more = {"switches": (RANDOM, ELSEWHERE, DRAWN), "untrained": (DRAWN_UNTRAINED,)}
    return known + more.get(kind, ())


def read(
    kind: Kind,
    network: DenseNetwork | None,
    photographs: Sequence[Photograph],
    others: Sequence[int],
    shrink: int,
) -> Iterator[dict[str, Strength]]:
    """The contours of each photograph, by way: strengths in [0, 1], thinned, at its own size.

    Args:
        kind: of the network.
        network: None for none.
        photographs: to draw.
        others: for each the number of another one, whose switches and contours stand in for its own.
        shrink: how many times smaller a side is when a network gets it.
    """
    for number, photograph in enumerate(photographs):
        if network is None:
            yield {BRIGHTNESS: brightness(photograph.pixels)}
            continue
        other = photographs[others[number]].pixels
        drawn = _by_network(kind, network, photograph.pixels, other, shrink, number)
        size = (photograph.pixels.shape[1], photograph.pixels.shape[2])
        yield {way: thin(enlarge(plane, size, shrink)) for way, plane in drawn.items()}


def _by_network(
    kind: Kind, network: DenseNetwork, pixels: Tensor, other: Tensor, shrink: int, number: int
) -> dict[str, Float[Tensor, "_ _"]]:
    """What is drawn of a photograph at the size that the network gets."""
    assert kind != "brightness"
    images = as_images(network, small(pixels, shrink)[None])
    others = as_images(network, small(fit(other, pixels), shrink)[None])
    found = {
        condition.key: answer(network, images, condition.given, others).sigmoid()[0, 0].cpu()
        for condition in conditions_of(kind)
    }
    if kind in ("switches", "untrained"):
        with measuring(network):
            seen = network.encoder(network.normalise(images))
        size = (images.shape[2], images.shape[3])
        where = [level.cpu() for level in seen.where]
        found[DRAWN if kind == "switches" else DRAWN_UNTRAINED] = differences(where, size)
    if kind == "switches":
        generator = torch.Generator().manual_seed(number)
        codes = [random_codes(level, plane, generator) for level, plane in zip(
            where, network.shape.sizes(size), strict=False
        )]  # fmt: skip
        with measuring(network):
            given = [level.to(images.device) for level in codes]
            drawn = network.decoder(size, seen.what, given, check=False).image
        found[RANDOM] = drawn.sigmoid()[0, 0].cpu()
        found[ELSEWHERE] = answer(network, others).sigmoid()[0, 0].cpu()
    return found


def fit(other: UInt8[Tensor, "3 _ _"], pixels: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 h w"]:
    """Another photograph at the size of this one, by bilinear interpolation where it has another size."""
    if other.shape == pixels.shape:
        return other
    wide = F.interpolate(other[None].float(), pixels.shape[1:], mode="bilinear", align_corners=False)
    return wide[0].round().to(torch.uint8)


def enlarge(plane: Float[Tensor, "_ _"], size: Pair, shrink: int) -> Strength:
    """A plane at the size of the photograph; rows and columns that were left out are as those beside them."""
    height, width = (side * shrink for side in plane.shape)
    wide = F.interpolate(plane[None, None], (height, width), mode="bilinear", align_corners=False)
    return F.pad(wide, (0, size[1] - width, 0, size[0] - height), mode="replicate")[0, 0].clamp(0, 1)


def random_codes(
    codes: UInt8[Tensor, "n c oh ow"], plane: Pair, generator: torch.Generator
) -> UInt8[Tensor, "n c oh ow"]:
    """A code for every window, each cell of it that lies in the plane as likely as the others.

    Args:
        codes: of the level, whose shape counts.
        plane: (height, width) of the plane that was pooled; the last windows may lie half outside.
        generator: draws them.
    """
    rows, columns = (
        torch.full((length,), WINDOW.kernel[axis]) for axis, length in enumerate(codes.shape[2:])
    )
    for cells, length in ((rows, plane[0]), (columns, plane[1])):
        cells[-1] -= len(cells) * WINDOW.kernel[0] - length
    drawn = torch.rand(2, *codes.shape, generator=generator)
    down, right = (drawn[0] * rows[:, None]).long(), (drawn[1] * columns).long()
    return (down * WINDOW.kernel[1] + right).to(torch.uint8)


def differences(where: Sequence[UInt8[Tensor, "1 c _ _"]], size: Pair) -> Float[Tensor, "h w"]:
    """How much switches differ from window to window, without any training; scaled to [0, 1].

    The shares in which the four codes come, in each channel, over 5x5 windows; the size of their gradient,
    all channels together; a mean over the levels, each brought to the size of the image and divided by its
    own mean. Where texture or direction change, other codes begin.
    """
    total = torch.zeros(size)
    for codes in where:
        shares = torch.cat([(codes[0] == code).float() for code in range(WINDOW.cells)])
        steep = gradient(average(shares, _SMOOTH))
        wide = F.interpolate(steep[None, None], size, mode="bilinear", align_corners=False)[0, 0]
        total += wide / wide.mean().clamp(min=1e-9)
    return total / total.max().clamp(min=1e-9)


def brightness(pixels: UInt8[Tensor, "3 h w"]) -> Strength:
    """Contours without any network: the gradient of the smoothed grey levels, scaled to [0, 1], thinned."""
    grey = (to_float(pixels) * torch.tensor(_GREY)[:, None, None]).sum(0, keepdim=True)
    steep = gradient(average(grey, _SMOOTH))
    return thin(steep / steep.max().clamp(min=1e-9))


def average(planes: Float[Tensor, "c h w"], side: int) -> Float[Tensor, "c h w"]:
    """Means over squares around each cell; planes go on at their border."""
    wide = F.pad(planes[None], (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(wide, side, 1)[0]


def gradient(planes: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """The size of the gradient, all planes together: the root of the sum of squares."""
    wide = F.pad(planes[None], (1, 1, 1, 1), mode="replicate")[0]
    down, right = wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1], wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]
    return (down.square() + right.square()).sum(0).sqrt() / 2
