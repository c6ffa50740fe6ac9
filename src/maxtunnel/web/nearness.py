"""How near a picture comes to a photograph, where it fails, and what the mean image reaches."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maxtunnel.evaluation.metrics import rmse
from maxtunnel.models.tunnel import TunnelNetwork

Levels = tuple[int, ...]


def mean_picture(network: TunnelNetwork, images: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
    """The network's mean image, as large as these: what a decoder that is told nothing can paint at best."""
    height, width = images.shape[-2:]
    padded = network.architecture.padded_size((height, width))
    return network.denormalise(torch.zeros(1, 3, *padded, device=network.device), (height, width)).cpu()


def mean_rmse(network: TunnelNetwork, images: Float[Tensor, "1 3 h w"]) -> float:
    """RMSE of the mean image."""
    return rmse(mean_picture(network, images), images)


def beside_mean(error: float, mean: float) -> str:
    """An RMSE in words, and beside it that of the mean image."""
    return f"RMSE {error:.3f} (mean image {mean:.3f})"


@dataclass(frozen=True)
class Nearness:
    """The squared error of a picture, in three parts that add up to it.

    Attributes:
        colour: that of each channel's mean.
        contrast: what multiplying the picture's contrasts by `best_contrast` would remove.
        drawing: what is left then.
        best_contrast: the factor by which the picture would come nearest.
    """

    colour: float
    contrast: float
    drawing: float
    best_contrast: float

    @property
    def rmse(self) -> float:
        """Root of the whole."""
        return math.sqrt(self.colour + self.contrast + self.drawing)


def nearness(picture: Float[Tensor, "1 3 h w"], images: Float[Tensor, "1 3 h w"]) -> Nearness:
    """How near a picture, not clipped, comes to a photograph."""
    painted, true = (x.double() - x.double().mean((2, 3), keepdim=True) for x in (picture, images))
    offset = (picture.double() - images.double()).mean((2, 3))
    strength, common = float(painted.square().mean()), float((painted * true).mean())
    factor = common / strength if strength > 0 else 0.0
    return Nearness(
        colour=float(offset.square().mean()),
        contrast=(1 - factor) ** 2 * strength,
        drawing=max(0.0, float(true.square().mean()) - factor * common),
        best_contrast=factor,
    )


def name_levels(levels: Levels) -> str:
    """Levels in words, the deepest first."""
    numbers = ", ".join(map(str, reversed(levels)))
    return f"levels {numbers}" if len(levels) > 1 else f"level {numbers} alone"


def explain(found: Mapping[Levels, Nearness], mean: float) -> str:
    """What the errors of a photograph from several sets of levels say: which is nearest, and why.

    Args:
        found: for each set of levels, how near it came; the largest set holds all levels.
        mean: RMSE of the mean image.
    """
    everything = max(found, key=len)
    # Compared as they are shown; of equals, all levels.
    order = sorted(found, key=lambda levels: (round(found[levels].rmse, 3), -len(levels)))
    best, whole = found[order[0]], found[everything]
    if order[0] == everything:
        said = f"All levels together come nearest to this photograph (RMSE {whole.rmse:.3f})."
        if len(order) > 1:
            said += f" Next is {name_levels(order[1])} ({found[order[1]].rmse:.3f})."
    else:
        name = name_levels(order[0])
        verb = "comes" if len(order[0]) == 1 else "without the rest come"
        said = (
            f"{name.capitalize()} {verb} nearer to this photograph (RMSE {best.rmse:.3f}) than all levels "
            f"together ({whole.rmse:.3f}). {_reason(name, best, whole)}"
        )
    useless = [name_levels(levels) for levels in found if round(found[levels].rmse, 3) >= round(mean, 3)]
    if useless:
        said += f" No nearer than the mean image ({mean:.3f}): {' and '.join(useless)}."
    return said


def _reason(name: str, best: Nearness, whole: Nearness) -> str:
    """In which part of the error a set of levels gains most on all of them."""
    gains = {part: getattr(whole, part) - getattr(best, part) for part in ("colour", "contrast", "drawing")}
    match max(gains, key=lambda part: gains[part]):
        case "colour":
            said = (
                "Most of the difference is in the mean colour, which all levels together miss by "
                f"{math.sqrt(whole.colour):.3f} and {name} by {math.sqrt(best.colour):.3f}."
            )
        case "contrast":
            said = (
                "Most of the difference is in how strong the contrasts are: those of all levels together "
                f"would come nearest multiplied by {whole.best_contrast:.2f}, those of {name} by "
                f"{best.best_contrast:.2f}."
            )
        case _:
            said = "Most of the difference is in what is drawn, not in the mean colour or in the contrasts."
    left = [math.sqrt(part.drawing) for part in (whole, best)]
    verdict = (
        "the other levels do tell something, and the decoder paints it wrongly"
        if round(left[0], 3) < round(left[1], 3)
        else "here the other levels add nothing"
    )
    ends = f"all levels together would come to {left[0]:.3f} and {name} to {left[1]:.3f}"
    return f"{said} With mean colour and contrasts set right, {ends}: {verdict}."
