"""What a visualisation found: pictures of units, and how much of them the switches drew."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from maxtunnel.switches.window import Pair
from maxtunnel.visualising.config import VisualisingConfig
from maxtunnel.visualising.controls import Share

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class UnitPictures:
    """A unit of a layer, and the photographs on which it fires most strongly.

    Attributes:
        unit: its number, from 0.
        photographs: their numbers among those given, the strongest first; none where it is silent on all.
        strengths: of its strongest activation on each.
        places: (row, column) of it in the unit's map.
        pictures: what it becomes at the pixels of each; of `occlusion`, by how much of it covering a pixel
            lowers the sum of the unit's map, the same in all three channels.
        boxes: top, left, bottom and right of the pixels that can have a say in it.
        controls: by name, the pictures in `pictures`' place, of the strongest photograph alone.
        shares: by name of the control, the share of each picture's energy that is in the control's.
    """

    unit: int
    photographs: tuple[int, ...]
    strengths: tuple[float, ...]
    places: tuple[Pair, ...]
    pictures: Float[Tensor, "n 3 h w"]
    boxes: tuple[Box, ...]
    controls: Mapping[str, Float[Tensor, "3 h w"]]
    shares: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Tunnel:
    """How much of the pictures of a layer the switches drew.

    Attributes:
        of: `unit`, a unit's strongest activation; `layer`, all activations of the layer together.
        lost_other: share of the energy that is lost where the switches are another photograph's.
        lost_random: the same with random switches.
        without_feature: share that is there where the feature is a constant and the switches are its own.
            None of these is known where no pooling lies below the layer.
    """

    of: str
    lost_other: Share | None
    lost_random: Share | None
    without_feature: Share | None


@dataclass(frozen=True, eq=False)
class LayerPictures:
    """A layer.

    Attributes:
        name: of it.
        channels: how many units it has.
        poolings: how many lie below it; not known for `occlusion`, which does not look.
        units: that are pictured.
        tunnel: of a unit, and of the whole layer; none for `occlusion`.
    """

    name: str
    channels: int
    poolings: int | None
    units: tuple[UnitPictures, ...]
    tunnel: tuple[Tunnel, ...]


@dataclass(frozen=True, eq=False)
class Visualisation:
    """Units of layers, as `visualise` pictures them.

    Attributes:
        target: name of the model.
        config: how.
        photographs: how many were looked at.
        size: (height, width) of them.
        layers: in the order in which they were asked for.
    """

    target: str
    config: VisualisingConfig
    photographs: int
    size: Pair
    layers: tuple[LayerPictures, ...]

    @property
    def unpooled(self) -> str:
        """A sentence that names the layers whose pictures no switch could have drawn; empty without any."""
        names = [layer.name for layer in self.layers if layer.poolings == 0 and layer.tunnel]
        if not names:
            return ""
        return f"No pooling lies below {', '.join(names)}: there no switch draws, so nothing is compared."
