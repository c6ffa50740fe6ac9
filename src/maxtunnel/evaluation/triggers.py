"""What a switch says of a photograph: the mean patch around the windows in which one cell held the maximum.

The method is the spike-triggered average of neuroscience (de Boer and Kuyper 1968), with a switch in the
place of a spike. Of a random encoder the patches show what its draw happens to look at; of a learned one,
what was worth telling.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.models.tunnel import TunnelNetwork

_PIECE = 16  # images at a time


@dataclass(frozen=True, eq=False)
class Triggers:
    """The mean patches of one level.

    Attributes:
        level: from 1, the finest.
        patches: of each channel and cell, less the mean patch around all windows; values in [-1, 1]. A cell
            that never held a maximum has a patch of zeros.
        share: how often each cell held the maximum.
    """

    level: int
    patches: Float[Tensor, "channels cells 3 side side"]
    share: Float64[Tensor, "channels cells"]

    @property
    def bits(self) -> Float64[Tensor, " channels"]:
        """Entropy of a switch of each channel, at most 2."""
        return torch.special.entr(self.share).sum(1) / torch.tensor(2.0, dtype=torch.float64).log()

    @property
    def colourfulness(self) -> Float64[Tensor, " channels"]:
        """Share of the patches' energy that is not grey, from 0 to 1; NaN where there is no energy."""
        grey = self.patches.mean(2, keepdim=True)
        return 1 - _energy(grey.expand_as(self.patches)) / _energy(self.patches)

    @property
    def directions(self) -> Float64[Tensor, "channels 3"]:
        """How the energy is shared by left against right, top against bottom, and the two diagonals.

        Each is that of the mean patch of two cells less that of the other two. NaN where there is no energy.
        """
        a, b, c, d = self.patches.unbind(1)
        sides = (a - b + c - d, a + b - c - d, a - b - c + d)
        energies = torch.stack([_energy(difference) for difference in sides], 1)
        return energies / energies.sum(1, keepdim=True)


@torch.no_grad()
def find_triggers(network: TunnelNetwork, images: Float[Tensor, "n 3 h w"], level: int = 1) -> Triggers:
    """The mean patch of every channel and cell of a level: four windows wide, in the middle its own.

    Args:
        network: of whose encoder.
        images: photographs, values in [0, 1], sides multiples of the network's.
        level: from 1, the finest.

    Raises:
        ValueError: there is no such level, no image, or one of another size.
    """
    count = len(network.architecture.widths)
    if not 1 <= level <= count:
        raise ValueError(f"`level` is {level}: {network.architecture} has levels 1 to {count}")
    if len(images) == 0:
        raise ValueError("there are no images to look at")
    height, width = images.shape[-2:]
    if height % network.multiple or width % network.multiple:
        raise ValueError(
            f"the images have {width}x{height} pixels: sides must be multiples of {network.multiple}"
        )
    step = 2**level
    if min(height, width) < 2 * step:
        raise ValueError(
            f"the images have {width}x{height} pixels: level {level} takes sides of at least {2 * step}"
        )
    side, channels, cells = 4 * step, network.architecture.widths[level - 1], 4
    sums = torch.zeros(channels * cells, 3 * side**2)
    hits = torch.zeros(channels * cells, dtype=torch.float64)
    whole, windows = torch.zeros(3 * side**2), 0
    for piece in images.split(_PIECE):
        codes = network.encode(piece.to(network.device)).levels[level - 1].codes.cpu()
        centred = F.pad(piece, (side // 2 - step // 2,) * 4, mode="reflect")
        around = F.unfold(centred, side, stride=step)
        for image, code in zip(around, codes, strict=True):
            chosen = F.one_hot(code.flatten(1).long(), cells).transpose(1, 2).flatten(0, 1).float()
            sums += chosen @ image.T
            hits += chosen.sum(1)
            whole += image.sum(1)
            windows += image.shape[1]
    means = sums / hits.clamp(min=1).float()[:, None] - whole / windows
    means[hits == 0] = 0
    shape = (channels, cells)
    return Triggers(level, means.view(*shape, 3, side, side), (hits / windows).view(shape))


def _energy(patches: Float[Tensor, "channels ..."]) -> Float64[Tensor, " channels"]:
    return patches.double().square().flatten(1).sum(1)


def paint(triggers: Triggers, channel: int) -> Float[Tensor, "cells 3 side side"]:
    """The patches of a channel as pictures around mid-grey, the strongest value of the channel at an end."""
    patches = triggers.patches[channel]
    return 0.5 + patches / (2 * patches.abs().max().clamp(min=1e-6))
