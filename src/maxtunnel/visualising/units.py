"""Which units of a layer fire, on which photographs, and where in these."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maxtunnel.auditing.targets import Target
from maxtunnel.data.images import to_float
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.window import Pair
from maxtunnel.visualising.config import STRONGEST, TOP
from maxtunnel.visualising.passes import outputs


@dataclass(frozen=True, eq=False)
class Fired:
    """The strongest activation of each unit of a layer on each photograph.

    Attributes:
        strengths: of it.
        places: in the unit's map, row by row from 0.
        width: of the map; 1 where a unit is one number.
    """

    strengths: Float[Tensor, "n units"]
    places: Int64[Tensor, "n units"]
    width: int

    def strongest(self, unit: int) -> list[int]:
        """The photographs on which a unit fires most strongly, at most nine; not those where it is silent."""
        own = self.strengths[:, unit]
        order = own.argsort(descending=True, stable=True)[:STRONGEST]
        return [number for number in order.tolist() if own[number] > 0]

    def place(self, photograph: int, unit: int) -> Pair:
        """(row, column) of the strongest activation in the unit's map."""
        row, column = divmod(int(self.places[photograph, unit]), self.width)
        return row, column

    def choose(self, layer: str, units: str | Sequence[int]) -> list[int]:
        """The units that are asked for, by number from 0; `top` are those that fire most strongly anywhere.

        Raises:
            ValueError: the layer has none of a number; or none fires, where `top` are asked for.
        """
        most, count = self.strengths.max(0).values, self.strengths.shape[1]
        if isinstance(units, str):
            found = [unit for unit in most.argsort(descending=True, stable=True).tolist() if most[unit] > 0]
            if not found:
                raise ValueError(f"no unit of {layer} fires on these photographs: give others")
            return found[:TOP]
        wrong = [unit for unit in units if not 0 <= unit < count]
        if wrong:
            raise ValueError(
                f"`units` names {wrong[0]}, but {layer} has {count}, numbered from 0 to {count - 1}"
            )
        return list(dict.fromkeys(units))


def parse_units(text: str) -> str | tuple[int, ...]:
    """`top`, or `3,0` as (3, 0).

    Raises:
        ValueError: the text is anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    if text.strip() == "top":
        return "top"
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"`units` is {text!r}: expected top, or numbers from 0 and commas, such as 3,0")
    return tuple(int(part) for part in parts)


def find_fired(
    target: Target,
    pixels: UInt8[Tensor, "n 3 h w"],
    layers: Sequence[str],
    batch: int,
    on_progress: OnProgress = silent,
) -> dict[str, Fired]:
    """The strongest activations of all units of these layers, by the layer's name."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}
    widths = dict.fromkeys(layers, 1)
    batch = target.batch or batch
    for start in range(0, len(pixels), batch):
        some = pixels[start : start + batch]
        given = outputs(target, to_float(filled(some, target.batch)), layers)
        for layer, values in given.items():
            widths[layer] = values.shape[-1] if values.ndim == 4 else 1
            # A unit that is one number is a map of one place.
            strengths, places = values[: len(some)].reshape(len(some), values.shape[1], -1).max(2)
            found[layer].append((strengths.float().cpu(), places.cpu()))
        on_progress("units", min(start + batch, len(pixels)), len(pixels), "")
    return {
        layer: Fired(torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs]), widths[layer])
        for layer, pairs in found.items()
    }


def filled(images: Tensor, batch: int | None) -> Tensor:
    """As many images as the model takes, from the first again where there are too few."""
    return images[torch.arange(batch or len(images)) % len(images)]
