"""How much of a picture of a unit its switches drew: the same picture with others, or without the unit.

Once unit, place and strength are given, all that a projection by `deconvnet` has of the photograph are the
switches below the layer. So it is made again with

- `other`: the switches of another photograph,
- `random`: random switches,
- `constant`: its own switches, and there the same constant in all units: nothing of the feature.

What the first two lose is drawn by the switches; what the third shows is there without the feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.support.choices import OverlapRule
from maxtunnel.switches.changes import random_codes
from maxtunnel.visualising.ways import Rule, Way

CONTROLS = ("other", "random", "constant")
_DRAWS = 2000


@dataclass(frozen=True)
class Share:
    """A share of the energy of pictures, from 0 to 1: its mean over units and their photographs.

    Attributes:
        mean: over the units, of the mean over a unit's photographs.
        ci95: by drawing units, and of each its photographs, with replacement.
        pictures: how many there are.
    """

    mean: float
    ci95: Interval
    pictures: int


def control_pictures(
    way: Way, start: Tensor, rule: Rule, overlap: OverlapRule, generator: torch.Generator, count: int
) -> dict[str, Float[Tensor, "n 3 h w"]]:
    """Each control's picture of each photograph; none where no pooling lies on the way.

    Args:
        way: from the layer back to the photographs; where there is one there is no `other`.
        start: what the picture is made of.
        rule, overlap: as for `Way.back`.
        generator: draws random switches.
        count: of photographs, the first of the batch: the model may have been given more.
    """
    if not way.poolings:
        return {}
    own = [pooling.switches.codes for pooling in way.poolings]
    found = {}
    if count > 1:
        rolled = [torch.cat([codes[:count].roll(1, 0), codes[count:]]) for codes in own]
        found["other"] = way.back(start, rule, overlap, rolled)
    drawn = [random_codes(pooling.switches, generator) for pooling in way.poolings]
    found["random"] = way.back(start, rule, overlap, drawn)
    found["constant"] = way.back(_constant(start), rule, overlap)
    return {name: picture[:count].float().cpu() for name, picture in found.items()}


def _constant(start: Tensor) -> Tensor:
    """1 in all units, wherever one of them was not 0."""
    return (start != 0).any(1, keepdim=True).to(start.dtype).expand(start.shape)


def shared_energy(picture: Float[Tensor, "n 3 h w"], other: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """The share of each picture's energy that is in the other, which may be scaled: the cosine squared.

    It is 0 where the two point apart, and NaN where the picture is empty. What is grey, and so 0, tells
    nothing either way, wherever it lies.
    """
    a, b = picture.double().flatten(1), other.double().flatten(1)
    # Each to its largest value: squares of a deep projection may be too small for their type.
    a, b = (x / x.abs().amax(1, keepdim=True).clamp(min=1e-300) for x in (a, b))
    product, energy = (a * b).sum(1).clamp(min=0), (a * a).sum(1) * (b * b).sum(1)
    share = torch.where(energy > 0, product**2 / energy.clamp(min=1e-300), 0.0)
    return torch.where((a * a).sum(1) > 0, share, torch.nan).float()


def mean_share(units: Sequence[Sequence[float]], seed: int = 0) -> Share | None:
    """The mean of shares, and how sure it is; None where there are none.

    Args:
        units: of each unit its photographs' shares; NaN are left out.
        seed: of the draws.
    """
    values = [torch.tensor(unit, dtype=torch.float64) for unit in units]
    values = [kept for unit in values if len(kept := unit[~unit.isnan()])]
    if not values:
        return None
    generator = torch.Generator().manual_seed(seed)
    # Of each unit the means of its photographs, drawn anew each time.
    means = torch.stack([
        unit[torch.randint(len(unit), (_DRAWS, len(unit)), generator=generator)].mean(1) for unit in values
    ])  # fmt: skip
    drawn = torch.randint(len(values), (len(values), _DRAWS), generator=generator)
    low, high = torch.quantile(means.gather(0, drawn).mean(0), torch.tensor([0.025, 0.975]).double())
    mean = torch.stack([unit.mean() for unit in values]).mean()
    return Share(float(mean), (float(low), float(high)), sum(map(len, values)))
