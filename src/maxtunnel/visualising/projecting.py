"""Projections of units to the pixels, with their controls."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.auditing.targets import Target
from maxtunnel.data.images import to_float
from maxtunnel.support.choices import OverlapRule
from maxtunnel.visualising.config import STRONGEST, VisualisingConfig
from maxtunnel.visualising.controls import control_pictures, mean_share, shared_energy
from maxtunnel.visualising.outcome import Tunnel, UnitPictures
from maxtunnel.visualising.passes import way_to
from maxtunnel.visualising.reach import box_of
from maxtunnel.visualising.units import Fired, filled
from maxtunnel.visualising.ways import Rule, Way


def project_unit(
    target: Target,
    pixels: UInt8[Tensor, "n 3 h w"],
    layer: str,
    unit: int,
    fired: Fired,
    config: VisualisingConfig,
) -> UnitPictures:
    """A unit on the photographs where it fires most strongly: every other activation of the layer is 0.

    `deconvnet` begins with the activation's own value, as the paper does; the derivatives begin with 1.
    """
    numbers = fired.strongest(unit)[: target.batch]
    if not numbers:
        return UnitPictures(unit, (), (), (), torch.zeros(0, *pixels.shape[1:]), (), {}, {})
    places = tuple(fired.place(number, unit) for number in numbers)
    way, rule, overlap = _way(target, pixels[numbers], layer, config)
    start = torch.zeros_like(way.output)
    for image, place in enumerate(places):
        at = (image, unit, *place)[: start.ndim]
        start[at] = way.output.detach()[at] if rule == "deconvnet" else 1.0
    count = len(numbers)
    pictures = way.back(start, rule, overlap)[:count].float().cpu()
    generator = torch.Generator().manual_seed(config.seed + unit)
    others = control_pictures(way, start, rule, overlap, generator, count)
    return UnitPictures(
        unit,
        tuple(numbers),
        tuple(float(fired.strengths[number, unit]) for number in numbers),
        places,
        pictures,
        tuple(box_of(way, place) for place in places),
        {name: picture[0] for name, picture in others.items()},
        {name: tuple(shared_energy(pictures, picture).tolist()) for name, picture in others.items()},
    )


def project_layer(
    target: Target, pixels: UInt8[Tensor, "n 3 h w"], layer: str, config: VisualisingConfig
) -> tuple[int, Tunnel]:
    """How many poolings lie below a layer, and what they drew of all its activations together."""
    some = pixels[: target.batch or STRONGEST]
    way, rule, overlap = _way(target, some, layer, config)
    start = way.output.detach().clamp(min=0)
    picture = way.back(start, rule, overlap)[: len(some)].float().cpu()
    generator = torch.Generator().manual_seed(config.seed)
    others = control_pictures(way, start, rule, overlap, generator, len(some))
    shares = {name: [tuple(shared_energy(picture, other).tolist())] for name, other in others.items()}
    return len(way.poolings), tunnel("layer", shares)


def tunnel(of: str, shares: dict[str, list[tuple[float, ...]]]) -> Tunnel:
    """What the switches drew, by the shares of the energy that are in each control's pictures."""
    lost = {
        name: [[1 - share for share in unit] for unit in shares.get(name, [])] for name in ("other", "random")
    }
    return Tunnel(
        of, mean_share(lost["other"]), mean_share(lost["random"]), mean_share(shares.get("constant", []))
    )


def _way(
    target: Target, pixels: Tensor, layer: str, config: VisualisingConfig
) -> tuple[Way, Rule, OverlapRule]:
    way = way_to(target, to_float(filled(pixels, target.batch)), layer)
    if config.method == "gradient":
        return way, "gradient", "sum"
    way.check()
    return (way, "guided", "sum") if config.method == "guided" else (way, "deconvnet", config.overlap)
