"""What images become of a layer's features and switches, of one without the other, and of another's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maxtunnel.models.adaptive_deconv import AdaptiveDeconv, Inferred
from maxtunnel.models.adaptive_pooling import pool_boxes, unpool_boxes
from maxtunnel.training.adaptive import solve_filters

# What a layer's images are made of. Without pooling by switches there is but the first.
Given = Literal["both", "signs", "constant", "read", "features", "swapped", "random"]
GIVEN: dict[Given, str] = {
    "both": "features and switches",
    "signs": "switches, signs of the features",
    "constant": "switches, constant features",
    "read": "switches, filters learnt for them",
    "features": "features, shared evenly",
    "swapped": "features, another's switches",
    "random": "features, random switches",
}
_BATCH = 16
_READ_STEPS = 10  # of conjugate gradients


@dataclass(frozen=True)
class Reading:
    """What images become, a value for each of them.

    Attributes:
        left: the squared error by the image's energy: 0 for the image itself, 1 for nothing.
        sharpness: energy of its gradients by that of the image's.
        likeness: cosine of the angle between it and the image.
        other: the same with the image whose switches were taken; empty where they are its own or random.
    """

    left: tuple[float, ...]
    sharpness: tuple[float, ...]
    likeness: tuple[float, ...]
    other: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Typical:
    """What a layer's features are on average, over the images that were learnt on.

    Attributes:
        signed, magnitude: mean of each pooled map, and of its magnitudes.
        scales: by `signs` and `constant`, what they are multiplied by to leave least of these images.
        filters: that rebuild these images best where every feature is 1; None where there are no switches.
    """

    signed: Float[Tensor, " k"]
    magnitude: Float[Tensor, " k"]
    scales: dict[Given, float]
    filters: Float[Tensor, "b c _ _"] | None


def see_batches(network: AdaptiveDeconv, images: Float[Tensor, "n 1 h w"]) -> tuple[Inferred, ...]:
    """What all layers see in images, some at a time."""
    parts = [network.see(some) for some in images.split(_BATCH)]
    return tuple(
        Inferred(
            torch.cat([each.what for each in layer]),
            None
            if layer[0].where is None
            else torch.cat([each.where for each in layer if each.where is not None]),
        )
        for layer in zip(*parts, strict=True)
    )


def typical(network: AdaptiveDeconv, seen: Sequence[Inferred], images: Tensor) -> Typical:
    """What the features of the last of these layers are, and how to scale what stands in their place."""
    what = seen[-1].what
    filters = _read_filters(network, seen, images)
    found = Typical(what.mean((0, 2, 3)), what.abs().mean((0, 2, 3)), {}, filters)
    for given in ("signs", "constant"):
        drawn = _decode(network, _instead(given, what, found), [each.where for each in seen], images)
        found.scales[given] = float((drawn * images).sum() / drawn.square().sum().clamp_min(1e-12))
    return found


def drawings(
    network: AdaptiveDeconv, seen: Sequence[Inferred], usual: Typical, images: Tensor, seed: int
) -> Iterator[tuple[Given, Float[Tensor, "n 1 h w"]]]:
    """What images become at the last of these layers, of all that it can be given.

    Args:
        network: which network.
        seen: what its layers see, from the first.
        usual: of that layer.
        images: what was seen.
        seed: of random switches.
    """
    what, where = seen[-1].what, [each.where for each in seen]
    yield "both", _decode(network, what, where, images)
    if where[-1] is None:
        return
    for given in ("signs", "constant"):
        yield given, usual.scales[given] * _decode(network, _instead(given, what, usual), where, images)
    yield "read", _read(network, seen, usual, images)
    yield "features", _decode(network, what, [None] * len(where), images)
    yield "swapped", _decode(network, what, [_another(codes) for codes in where], images)
    yield "random", _decode(network, what, _random(network, images, len(where), seed), images)


def measure(drawn: Tensor, images: Tensor, other: Tensor | None = None) -> Reading:
    """How images come out.

    Args:
        drawn: what became of them.
        images: what they were.
        other: those whose switches were taken; None for no others.
    """
    energy = images.square().sum((1, 2, 3)).clamp_min(1e-12)
    return Reading(
        _values((drawn - images).square().sum((1, 2, 3)) / energy),
        _values(_gradients(drawn) / _gradients(images).clamp_min(1e-12)),
        _values(_cosine(drawn, images)),
        () if other is None else _values(_cosine(drawn, other)),
    )


def others(images: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """For each image the one whose switches it is given: half the list further on."""
    moved = _another(images)
    assert moved is not None
    return moved


def _another(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.roll(max(1, len(values) // 2), 0)


def _instead(given: Given, what: Tensor, usual: Typical) -> Tensor:
    """What stands in the place of features."""
    if given == "signs":
        return what.sign() * usual.magnitude[:, None, None]
    return usual.signed[:, None, None].expand_as(what)


def _read_filters(network: AdaptiveDeconv, seen: Sequence[Inferred], images: Tensor) -> Tensor | None:
    """Filters of the last of these layers for features that are all 1."""
    if seen[-1].where is None:
        return None
    own, below = network.filters[len(seen) - 1].detach(), [each.where for each in seen[:-1]]
    planes = _ones(network, seen, images)
    return solve_filters(network, planes, images, below, torch.zeros_like(own), _READ_STEPS)


def _read(network: AdaptiveDeconv, seen: Sequence[Inferred], usual: Typical, images: Tensor) -> Tensor:
    planes, below = _ones(network, seen, images), [each.where for each in seen[:-1]]
    with torch.no_grad():
        return network.down(planes, below, (images.shape[2], images.shape[3]), usual.filters)


def _ones(network: AdaptiveDeconv, seen: Sequence[Inferred], images: Tensor) -> Tensor:
    """The planes of the last of these layers with 1 where its switches are."""
    shape = network.settings.planes((images.shape[2], images.shape[3]))[len(seen) - 1]
    return unpool_boxes(torch.ones_like(seen[-1].what), seen[-1].where, network.settings.box, shape)


def _random(network: AdaptiveDeconv, images: Tensor, layers: int, seed: int) -> list[Tensor | None]:
    """Switches that pooling of noise chooses: any cell of a box as often as any other."""
    generator = torch.Generator().manual_seed(seed)
    shapes = network.settings.planes((images.shape[2], images.shape[3]))[:layers]
    return [
        pool_boxes(torch.randn(len(images), *shape, generator=generator), network.settings.box)[1].to(
            images.device
        )
        for shape in shapes
    ]


def _decode(network: AdaptiveDeconv, what: Tensor, where: Sequence[Tensor | None], images: Tensor) -> Tensor:
    size = (images.shape[2], images.shape[3])
    parts = [
        network.decode(
            what[start : start + _BATCH],
            [None if codes is None else codes[start : start + _BATCH] for codes in where],
            size,
        )
        for start in range(0, len(what), _BATCH)
    ]
    return torch.cat(parts)


def _gradients(images: Tensor) -> Tensor:
    """Energy of the differences of neighbours."""
    return sum(
        (images.diff(dim=dim).square().sum((1, 2, 3)) for dim in (2, 3)), images.new_zeros(len(images))
    )


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return torch.cosine_similarity(one.flatten(1), other.flatten(1), dim=1)


def _values(values: Tensor) -> tuple[float, ...]:
    # Four digits are more than any of these numbers is sure of.
    return tuple(round(value, 5) for value in values.tolist())
