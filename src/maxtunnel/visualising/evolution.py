"""How what a unit sees comes about while a network is trained, and how much of that are its switches.

At each step a unit is pictured on the photograph where it fires most strongly then (Zeiler and Fergus 2014,
section 4.1 and figure 4). A picture is made by filters and placed by switches, and both change. So unit,
place and photograph are held, those of the last step, and the picture is made again by

- `own`: filters and switches of a step,
- `switches`: the switches of a step, and the filters of the last,
- `filters`: the filters of a step, and the switches of the last.

How much of the last step's picture is there (`shared_energy`) says which of the two had still to come.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maxtunnel.auditing.photographs import check_photographs
from maxtunnel.auditing.targets import Target
from maxtunnel.data.images import to_float
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.changes import random_codes
from maxtunnel.switches.window import Pair
from maxtunnel.visualising.config import DEFAULTS, VisualisingConfig
from maxtunnel.visualising.controls import Share, mean_share, shared_energy
from maxtunnel.visualising.outcome import Box
from maxtunnel.visualising.passes import way_to
from maxtunnel.visualising.reach import box_of
from maxtunnel.visualising.units import Fired, filled, find_fired
from maxtunnel.visualising.ways import Way

PARTS = ("own", "switches", "filters")
SETTLED = 0.5  # share of the last step's picture from which on it counts as there


@dataclass(frozen=True, eq=False)
class StepPicture:
    """A unit at one step.

    Attributes:
        step: of the training.
        photograph: number of the one where it fires most strongly at this step; None where it is silent.
        strength: of its strongest activation there.
        picture: what that becomes at the pixels; 0 where it is silent.
        box: top, left, bottom and right of the pixels that can have a say in it.
        made: by `PARTS`, the last step's picture made again; the last two only where a pooling lies below.
        shares: by the same names, the share of the last step's picture that each has.
    """

    step: int
    photograph: int | None
    strength: float
    picture: Float[Tensor, "3 h w"]
    box: Box
    made: Mapping[str, Float[Tensor, "3 h w"]]
    shares: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class UnitEvolution:
    """A unit over the steps.

    Attributes:
        unit: its number, from 0.
        photograph: number of that on which it fires most strongly at the last step.
        box: of its strongest activation there.
        random: share of the last step's picture that is there with random switches; None without poolings.
        steps: the first one first.
    """

    unit: int
    photograph: int
    box: Box
    random: float | None
    steps: tuple[StepPicture, ...]


@dataclass(frozen=True, eq=False)
class LayerEvolution:
    """A layer over the steps.

    Attributes:
        name: of it.
        channels: how many units it has.
        poolings: how many lie below it.
        units: that are pictured.
    """

    name: str
    channels: int
    poolings: int
    units: tuple[UnitEvolution, ...]

    def share(self, part: str, number: int) -> Share | None:
        """How much of the last step's pictures a part of a step makes: the mean over units.

        Args:
            part: one of `PARTS`.
            number: of the step, from 0.
        """
        shares = [unit.steps[number].shares.get(part) for unit in self.units]
        return mean_share([[share] for share in shares if share is not None])

    @property
    def random(self) -> Share | None:
        """The same of random switches with the last step's filters."""
        return mean_share([[unit.random] for unit in self.units if unit.random is not None])

    def same_photograph(self, number: int) -> float:
        """Share of the units whose strongest photograph is that of the last step already."""
        same = [unit.steps[number].photograph == unit.photograph for unit in self.units]
        return sum(same) / len(same)

    def settled(self, part: str) -> int | None:
        """The step from which on a part makes at least half of the last step's pictures; None without it."""
        found = None
        for number in range(len(self.units[0].steps) - 1, -1, -1):
            share = self.share(part, number)
            if share is None or share.mean < SETTLED:
                break
            found = self.units[0].steps[number].step
        return found


@dataclass(frozen=True, eq=False)
class Evolution:
    """Units of layers over a training, as `evolve` pictures them.

    Attributes:
        target: name of the run.
        config: how.
        photographs: how many were looked at.
        size: (height, width) of them.
        layers: in the order in which they were asked for.
    """

    target: str
    config: VisualisingConfig
    photographs: int
    size: Pair
    layers: tuple[LayerEvolution, ...]


@dataclass(frozen=True, eq=False)
class _Last:
    """A unit at the last step: the way to it on one photograph, and what comes back."""

    unit: int
    photograph: int
    place: Pair
    way: Way
    picture: Float[Tensor, "1 3 h w"]
    random: float | None


def evolve(
    steps: Sequence[int],
    network_at: Callable[[int], nn.Module | Target],
    images: UInt8[Tensor, "n 3 h w"],
    layers: str | Sequence[str],
    units: str | Sequence[int] = "top",
    config: VisualisingConfig = DEFAULTS,
    *,
    name: str = "network",
    on_progress: OnProgress = silent,
) -> Evolution:
    """Picture units of a network at several steps of its training, by a deconvnet.

    Args:
        steps: in order; the last one is the network that the others are compared with.
        network_at: the network as it was at a step, of one shape at all of them; asked once for each, and
            once more for the last.
        images: photographs, RGB from 0 to 255, all of one size.
        layers: a name or several, as for `visualise`.
        units: their numbers from 0, or `top`, the nine that fire most strongly at the last step.
        config: its `overlap`, `batch` and `seed` count.
        name: for the page.
        on_progress: told of the steps.

    Raises:
        UnknownLayer: the network has no layer of a name.
        ValueError: `steps` is empty, another `method` than deconvnet is asked for, a unit is out of range or
            silent at the last step, the networks are not of one shape, or there is no way back (see
            `visualise`).

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.1.
    """
    check_photographs(images)
    if not steps:
        raise ValueError("`steps` is empty: expected steps of a training, the last one among them")
    if config.method != "deconvnet":
        raise ValueError(
            f"`method` is {config.method}: an evolution exchanges switches, which deconvnet alone draws by: "
            "leave it out"
        )
    names = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
    trained = _target(network_at(steps[-1]))
    fired = find_fired(trained, images, names, config.batch)
    chosen = {layer: fired[layer].choose(layer, units) for layer in names}
    last = {
        layer: [_last(trained, images, layer, unit, fired[layer], config) for unit in chosen[layer]]
        for layer in names
    }
    found = []
    for number, step in enumerate(steps, 1):
        found.append(_at_step(step, _target(network_at(step)), images, last, config))
        on_progress("steps", number, len(steps), f"step {step}")
    whole = tuple(
        _layer(layer, fired[layer].strengths.shape[1], last[layer], [at[layer] for at in found])
        for layer in names
    )
    return Evolution(name, config, len(images), (images.shape[-2], images.shape[-1]), whole)


def _at_step(
    step: int, network: Target, images: Tensor, last: Mapping[str, list[_Last]], config: VisualisingConfig
) -> dict[str, list[StepPicture]]:
    """All units of all layers at a step."""
    fired = find_fired(network, images, list(last), config.batch)
    return {
        layer: [_picture(network, images, layer, step, fired[layer], one, config) for one in ones]
        for layer, ones in last.items()
    }


def _layer(
    name: str, channels: int, last: Sequence[_Last], steps: Sequence[Sequence[StepPicture]]
) -> LayerEvolution:
    units = tuple(
        UnitEvolution(one.unit, one.photograph, box_of(one.way, one.place), one.random, pictures)
        for one, pictures in zip(last, zip(*steps, strict=True), strict=True)
    )
    return LayerEvolution(name, channels, len(last[0].way.poolings), units)


def _target(network: nn.Module | Target) -> Target:
    return network if isinstance(network, Target) else Target(network, type(network).__name__)


def _last(
    target: Target, images: Tensor, layer: str, unit: int, fired: Fired, config: VisualisingConfig
) -> _Last:
    numbers = fired.strongest(unit)
    if not numbers:
        raise ValueError(f"`units` names {unit}, which is silent in {layer} at the last step: leave it out")
    place = fired.place(numbers[0], unit)
    way = _way(target, images, numbers[0], layer)
    way.check()
    picture = _back(way, unit, place, config)
    random = None
    if way.poolings:
        generator = torch.Generator().manual_seed(config.seed + unit)
        drawn = [random_codes(pooling.switches, generator) for pooling in way.poolings]
        random = float(shared_energy(picture, _back(way, unit, place, config, drawn)))
    return _Last(unit, numbers[0], place, way, picture, random)


def _picture(
    target: Target,
    images: Tensor,
    layer: str,
    step: int,
    fired: Fired,
    last: _Last,
    config: VisualisingConfig,
) -> StepPicture:
    way = _way(target, images, last.photograph, layer)
    if _shape(way) != _shape(last.way):
        raise ValueError(f"the network of step {step} has another shape than the last: give steps of one run")
    made = {"own": _back(way, last.unit, last.place, config)}
    if way.poolings:
        made["switches"] = _back(last.way, last.unit, last.place, config, _codes(way))
        made["filters"] = _back(way, last.unit, last.place, config, _codes(last.way))
    photograph = next(iter(fired.strongest(last.unit)), None)
    picture, box, strength = torch.zeros_like(last.picture), box_of(way, last.place), 0.0
    if photograph is not None:
        place = fired.place(photograph, last.unit)
        strongest = way if photograph == last.photograph else _way(target, images, photograph, layer)
        picture, box = _back(strongest, last.unit, place, config), box_of(strongest, place)
        strength = float(fired.strengths[photograph, last.unit])
    shares = {part: float(shared_energy(last.picture, other)) for part, other in made.items()}
    return StepPicture(
        step, photograph, strength, picture[0], box, {part: other[0] for part, other in made.items()}, shares
    )


def _way(target: Target, images: Tensor, number: int, layer: str) -> Way:
    """The way back from a layer to one photograph."""
    return way_to(target, to_float(filled(images[number : number + 1], target.batch)), layer)


def _back(
    way: Way, unit: int, place: Pair, config: VisualisingConfig, codes: Sequence[Tensor] | None = None
) -> Float[Tensor, "1 3 h w"]:
    """What a unit's activation at a place becomes at the pixels; of 1 in its stead, as it may be silent.

    That changes the scale alone.
    """
    start = torch.zeros_like(way.output)
    start[(0, unit, *place)[: start.ndim]] = 1.0
    return way.back(start, "deconvnet", config.overlap, codes)[:1].float().cpu()


def _codes(way: Way) -> list[Tensor]:
    return [pooling.switches.codes for pooling in way.poolings]


def _shape(way: Way) -> tuple[object, ...]:
    levels = [pooling.switches for pooling in way.poolings]
    return way.output.shape, [(level.window, level.codes.shape) for level in levels]
