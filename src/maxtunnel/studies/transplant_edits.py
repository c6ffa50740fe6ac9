"""Light that is moved in feature space: what comes out, with which switches.

    z(person, one light) + mean over other people of (z(., another light) - z(., one light))

The other people are those that the networks were trained on. What comes out is put against the photograph of
the person in the other light, which was shown to nobody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_float
from maxtunnel.models.swwae import Swwae
from maxtunnel.studies.transplant_data import EDITS, Parts
from maxtunnel.studies.transplant_reading import (
    Noted,
    along,
    draw,
    level_runs,
    name_of,
    rebuild,
    see,
    squares,
)

# What stands on levels whose switches are not kept from the original.
Fill = Literal["first", "another", "target"]
FILLS: dict[Fill, str] = {
    "first": "the first cell",
    "another": "another person's in the new light",
    "target": "the person's own in the new light",
}
UNEDITED, REBUILT, PIXELS, TRUE, OWN = "unedited", "rebuilt", "pixels", "true", "own"


@dataclass(frozen=True)
class Edited:
    """What an edit makes, a value for each person that is tested on: the mean over all edits.

    Attributes:
        way: from the person's image in the old light, 0, to that in the new light, 1, both rebuilt.
        aside: distance from the line through both, by their distance.
        error: mean squared error to the photograph in the new light, values in [0, 1].
        sharpness: energy of the differences of neighbouring pixels by that of this photograph.
    """

    way: tuple[float, ...]
    aside: tuple[float, ...]
    error: tuple[float, ...]
    sharpness: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """One edit of all people that are tested on.

    Attributes:
        before, after: pixels in the old light and in the new one.
        others: pixels of people that were trained on in the old light and in the new one, person by person.
    """

    before: UInt8[Tensor, "n c s s"]
    after: UInt8[Tensor, "n c s s"]
    others: tuple[UInt8[Tensor, "m c s s"], UInt8[Tensor, "m c s s"]]


def scenes(parts: Parts) -> Iterator[Scene]:
    """The edits of `EDITS` whose both lights every tested folder has, and at least one trained one."""
    tested = set(parts.tested.folders.tolist())
    for old, new in EDITS:
        before, after = parts.tested.under(old), parts.tested.under(new)
        ours, theirs = parts.trained.under(old), parts.trained.under(new)
        known = sorted(ours.keys() & theirs.keys())
        if tested and known and before.keys() & after.keys() == tested:
            pixels, people = parts.tested.pixels, sorted(tested)
            yield Scene(
                pixels[[before[person] for person in people]],
                pixels[[after[person] for person in people]],
                (
                    parts.trained.pixels[[ours[person] for person in known]],
                    parts.trained.pixels[[theirs[person] for person in known]],
                ),
            )


def edits(network: Swwae, scene: Scene) -> dict[str, Float[Tensor, "n c s s"]]:
    """What becomes of all people.

    Names: `unedited` and `rebuilt` are the rebuilt photographs in the old light and in the new one; `pixels`
    is the same arithmetic on pixels; `own` are edited features with the person's own switches in the old
    light, `true` with these the features of the new light's photograph; `FILL:LEVELS` the edited features
    with these switches on some levels (`name_of`), and on the others what FILLS says.
    """
    before, after = see(network, scene.before), see(network, scene.after)
    ours, theirs = (see(network, pixels) for pixels in scene.others)
    device = before.what.device
    edited = before.what + (theirs.what - ours.what).mean(0)
    old, new = (to_float(pixels.to(device)) for pixels in scene.others)
    found = {
        UNEDITED: rebuild(network, before),
        REBUILT: rebuild(network, after),
        PIXELS: to_float(scene.before.to(device)) + (new - old).mean(0),
        OWN: draw(network, edited, before.where),
    }
    if not before.where:
        return found
    found[TRUE] = draw(network, after.what, before.where)
    turn = torch.arange(len(edited), device=device) % len(theirs.what)
    another = Noted(theirs.what[turn], tuple(codes[turn] for codes in theirs.where))
    sources: dict[Fill, Noted] = {"first": before.first, "another": another, "target": after}
    for fill, source in sources.items():
        for kept in level_runs(len(before.where)):
            found[f"{fill}:{name_of(kept)}"] = draw(network, edited, source.take(kept, before))
    return found


def measure_edits(network: Swwae, parts: Parts) -> dict[str, Edited]:
    """How edits come out, by the names of `edits`; empty where there are none."""
    noted: dict[str, list[tuple[Tensor, ...]]] = {}
    for scene in scenes(parts):
        drawn, device = edits(network, scene), network.mean.device
        photographs = [to_float(pixels.to(device)) for pixels in (scene.before, scene.after)]
        for name, images in drawn.items():
            # Arithmetic on pixels goes from photograph to photograph.
            ends = photographs if name == PIXELS else [drawn[UNEDITED], drawn[REBUILT]]
            sharpness = _gradients(images) / _gradients(photographs[1]).clamp_min(1e-12)
            one = (*along(images, *ends), squares(images, photographs[1]), sharpness)
            noted.setdefault(name, []).append(one)
    return {
        name: Edited(*(_means(each) for each in zip(*found, strict=True))) for name, found in noted.items()
    }


def _means(found: tuple[Tensor, ...]) -> tuple[float, ...]:
    """The mean over edits, for each person."""
    return tuple(round(fmean(each), 5) for each in zip(*(one.tolist() for one in found), strict=True))


def _gradients(images: Tensor) -> Tensor:
    """Energy of the differences of neighbours."""
    return sum(
        (images.double().diff(dim=dim).square().sum((1, 2, 3)) for dim in (2, 3)),
        images.new_zeros(len(images), dtype=torch.float64),
    )
