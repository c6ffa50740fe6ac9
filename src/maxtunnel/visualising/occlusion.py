"""What units lose where a grey square covers the photograph (Zeiler and Fergus 2014, section 4.2)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.auditing.targets import Target
from maxtunnel.data.images import to_float
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.window import Pair
from maxtunnel.visualising.config import VisualisingConfig
from maxtunnel.visualising.outcome import UnitPictures
from maxtunnel.visualising.passes import outputs
from maxtunnel.visualising.units import Fired, filled

GREY = 0.5


@dataclass(frozen=True)
class Square:
    """A square that is moved over a photograph by half of its side, as far as each border.

    Attributes:
        side: in pixels.
        size: (height, width) of the photograph.
    """

    side: int
    size: Pair

    def places(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns that are covered, one place after the other."""
        for top in self._starts(self.size[0]):
            for left in self._starts(self.size[1]):
                yield slice(top, top + self.side), slice(left, left + self.side)

    def _starts(self, length: int) -> list[int]:
        last = max(length - self.side, 0)
        return sorted({*range(0, last, max(1, self.side // 2)), last})


def occlude_units(
    target: Target,
    pixels: UInt8[Tensor, "n 3 h w"],
    layer: str,
    units: Sequence[int],
    fired: Fired,
    config: VisualisingConfig,
    on_progress: OnProgress = silent,
) -> tuple[UnitPictures, ...]:
    """Units on the photographs where they fire most strongly: by how much covering a pixel lowers each.

    What is lowered is the sum of the unit's map without what is negative, as in the paper, and by which share
    of it; a pixel has the mean of all squares that cover it.
    """
    height, width = pixels.shape[-2:]
    square = Square(config.square or max(1, min(height, width) // 8), (height, width))
    strongest = {unit: fired.strongest(unit) for unit in units}
    numbers = sorted({number for shown in strongest.values() for number in shown})
    maps: dict[int, Tensor] = {}
    for done, number in enumerate(numbers, 1):
        image = to_float(pixels[number : number + 1])
        maps[number] = _lowered(target, image, layer, units, square, config)
        on_progress("pictures", done, len(numbers), layer)
    return tuple(
        UnitPictures(
            unit,
            tuple(shown),
            tuple(float(fired.strengths[number, unit]) for number in shown),
            tuple(fired.place(number, unit) for number in shown),
            torch.stack([maps[number][index].expand(3, -1, -1) for number in shown])
            if shown
            else torch.zeros(0, *pixels.shape[1:]),
            ((0, 0, height, width),) * len(shown),
            {},
            {},
        )
        for index, (unit, shown) in enumerate(strongest.items())
    )


def _lowered(
    target: Target,
    image: Tensor,
    layer: str,
    units: Sequence[int],
    square: Square,
    config: VisualisingConfig,
) -> Float[Tensor, "units h w"]:
    places = list(square.places())
    whole = _sums(target, image, layer, units)[0]
    lowered = torch.zeros(len(units), *image.shape[-2:])
    covered = torch.zeros(image.shape[-2:])
    size = target.batch or config.batch
    for start in range(0, len(places), size):
        some = places[start : start + size]
        images = image.repeat(len(some), 1, 1, 1)
        for number, (rows, columns) in enumerate(some):
            images[number, :, rows, columns] = GREY
        for (rows, columns), left in zip(some, _sums(target, images, layer, units), strict=True):
            # A unit that is silent loses nothing.
            share = torch.where(whole > 0, 1 - left / whole.clamp(min=1e-30), 0.0)
            lowered[:, rows, columns] += share[:, None, None]
            covered[rows, columns] += 1
    return lowered / covered


def _sums(target: Target, images: Tensor, layer: str, units: Sequence[int]) -> Float[Tensor, "n units"]:
    found = outputs(target, filled(images, target.batch), [layer])[layer][: len(images), list(units)]
    return found.clamp(min=0).reshape(*found.shape[:2], -1).sum(2).float().cpu()
