"""What a model pools, with its gradient, and the switches as shares that pass one back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from maxtunnel.models.surrogate import switch
from maxtunnel.switches.codes import SwitchLevel
from maxtunnel.switches.window import Window

Shares = list[Float[Tensor, "n _ 4 _ _"]]


@dataclass(frozen=True, eq=False)
class Pooled:
    """A pooling of one pass.

    Attributes:
        number: among the poolings of the pass, in call order from 1.
        plane: what is pooled, (n, c, h, w) or (c, h, w), with its gradient.
        switches: what pooling makes of it.
    """

    number: int
    plane: Tensor
    switches: SwitchLevel


def shares_of(levels: Sequence[Pooled], temperature: float) -> Shares:
    """One-hot switches whose gradient is that of a softmax over the cells of each window."""
    found = []
    for level in levels:
        plane = level.plane.view((-1, *level.plane.shape[-3:]))
        height, width = level.switches.codes.shape[-2:]
        temperatures = torch.full(plane.shape[1:2], temperature, device=plane.device)
        # Of a side that is odd, the last row or column lies in no window.
        found.append(switch(plane[..., : 2 * height, : 2 * width].float(), temperatures)[1])
    return found


def passes(level: Pooled) -> bool:
    """Whether a gradient passes: the windows are 2x2, beside each other and inside the plane."""
    (height, width), (rows, columns) = level.switches.size, level.switches.codes.shape[-2:]
    inside = 2 * rows <= height and 2 * columns <= width
    return inside and level.switches.window in (Window(), Window(ceil_mode=True))


def check_windows(levels: Sequence[Pooled]) -> None:
    """Refuse levels that an observer sees and no gradient passes.

    Raises:
        ValueError: a window is not 2x2 with stride 2, or has padding.
    """
    for level in levels:
        if not passes(level):
            raise ValueError(
                f"{level.switches.name} (level {level.number}) pools with a {level.switches.window}: "
                "a gradient passes 2x2 windows with stride 2 inside the plane alone; leave it out of `levels`"
            )
