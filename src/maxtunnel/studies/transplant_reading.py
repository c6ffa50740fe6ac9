"""Which image comes out where features of one meet switches of another, and where features are edited.

Both are told by where what comes out lies between two images, each rebuilt from its own features and
switches: from the first, 0 of the way, to the second, all of the way. What lies aside is neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_float
from maxtunnel.models.swwae import Swwae
from maxtunnel.studies.transplant_data import Pairs

_PIECE = 50  # images at a time
HALF = "half"


@dataclass(frozen=True, eq=False)
class Noted:
    """What a network sees in images.

    Attributes:
        what: features.
        where: switches, finest level first; empty where the network's decoder looks at none.
    """

    what: Float[Tensor, "n c _ _"]
    where: tuple[UInt8[Tensor, "n _ _ _"], ...]

    def take(self, levels: Sequence[int], other: "Noted") -> tuple[UInt8[Tensor, "n _ _ _"], ...]:
        """The switches, but on some levels, from 1, those of the other."""
        return tuple(
            theirs if level in levels else own
            for level, (own, theirs) in enumerate(zip(self.where, other.where, strict=True), 1)
        )

    @property
    def first(self) -> "Noted":
        """The same with the first cell of every window in the place of its switch."""
        return Noted(self.what, tuple(torch.zeros_like(codes) for codes in self.where))


@dataclass(frozen=True)
class Taken:
    """What pairs become, a value for each of them.

    Attributes:
        way: from the image of the features, 0, to that of the switches, 1, both rebuilt; may lie beyond.
        aside: distance from the line through both, by their distance.
        to_what, to_where: mean squared error to the image whose features, and whose switches, were taken.
    """

    way: tuple[float, ...]
    aside: tuple[float, ...]
    to_what: tuple[float, ...]
    to_where: tuple[float, ...]


def level_runs(levels: int) -> tuple[tuple[int, ...], ...]:
    """None of the levels, which count from 1; the deepest ones; the finest ones; never all."""
    every = tuple(range(1, levels + 1))
    deepest = (every[levels - count :] for count in range(levels))
    finest = (every[:count] for count in range(1, levels))
    return tuple(dict.fromkeys((*deepest, *finest)))


def level_sets(levels: int) -> tuple[tuple[int, ...], ...]:
    """Levels that are replaced together: `level_runs`, all, and each alone."""
    every = tuple(range(1, levels + 1))
    return tuple(dict.fromkeys((*level_runs(levels), every, *((level,) for level in every))))


def name_of(levels: Sequence[int]) -> str:
    """`1,2`, or `none`."""
    return ",".join(map(str, levels)) or "none"


def see(network: Swwae, pixels: UInt8[Tensor, "n c s s"]) -> Noted:
    """What and where of images."""
    with network.measuring():
        seen = [
            network.encoder(network.normalise(to_float(some.to(network.mean.device))))
            for some in pixels.split(_PIECE)
        ]
    what = torch.cat([each.what for each in seen])
    if network.unpooling != "switches":
        return Noted(what, ())
    return Noted(what, tuple(torch.cat(level) for level in zip(*(each.where for each in seen), strict=True)))


def draw(
    network: Swwae, what: Float[Tensor, "n c _ _"], where: Sequence[UInt8[Tensor, "n _ _ _"]]
) -> Float[Tensor, "n d s s"]:
    """The images of features and switches, values in [0, 1], not clipped."""
    drawn = []
    with network.measuring():
        for start in range(0, len(what), _PIECE):
            part = slice(start, start + _PIECE)
            image = network.decoder(what[part], [codes[part] for codes in where] or None, check=False).image
            drawn.append(network.denormalise(image))
    return torch.cat(drawn)


def rebuild(network: Swwae, noted: Noted) -> Float[Tensor, "n d s s"]:
    """The images of features with their own switches."""
    return draw(network, noted.what, noted.where)


def transplants(network: Swwae, pairs: Pairs) -> dict[str, Float[Tensor, "n d s s"]]:
    """What becomes of features with switches of another image on some levels, by `name_of` these.

    Under `half` what becomes of features half way between both, with the first image's switches. A network
    whose decoder looks at no switches has but this, and `none`.
    """
    one, other = see(network, pairs.what), see(network, pairs.where)
    sets = level_sets(len(one.where)) if one.where else ((),)
    found = {name_of(levels): draw(network, one.what, one.take(levels, other)) for levels in sets}
    return found | {HALF: draw(network, (one.what + other.what) / 2, one.where)}


def measure_pairs(network: Swwae, pairs: Pairs) -> dict[str, Taken]:
    """How pairs come out, by the same names."""
    device = network.mean.device
    images = [to_float(pixels.to(device)) for pixels in (pairs.what, pairs.where)]
    start, goal = (rebuild(network, see(network, pixels)) for pixels in (pairs.what, pairs.where))
    return {
        name: Taken(
            *(values(part) for part in along(drawn, start, goal)),
            *(values(squares(drawn, image)) for image in images),
        )
        for name, drawn in transplants(network, pairs).items()
    }


def along(drawn: Tensor, start: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """How far on the way from `start` to `goal` each image is, and how far aside, by their distance.

    way = <drawn - start, goal - start> / |goal - start|^2
    """
    line, moved = ((each - start).double().flatten(1) for each in (goal, drawn))
    length = line.square().sum(1).clamp_min(1e-12)
    way = (moved * line).sum(1) / length
    aside = ((moved - way[:, None] * line).square().sum(1) / length).sqrt()
    return way, aside


def squares(drawn: Tensor, images: Tensor) -> Tensor:
    """The mean squared error of each image."""
    return (drawn - images).double().square().mean((1, 2, 3))


def values(found: Tensor) -> tuple[float, ...]:
    """As they are kept: five digits behind the point are more than any of them is sure of."""
    return tuple(round(value, 5) for value in found.tolist())


def shares(network: Swwae) -> tuple[float, ...]:
    """Which share of all switches each level has, finest first."""
    sizes, counts = network.layout.sizes((network.size[0], network.size[1])), []
    for layer, size in zip(network.layout.convolutions, sizes, strict=False):
        if layer.window is not None:
            height, width = layer.window.output_size(size)
            counts.append(layer.filters * height * width)
    return tuple(count / sum(counts) for count in counts)
