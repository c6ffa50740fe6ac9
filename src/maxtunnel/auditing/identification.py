"""Whether a reconstruction gives away which photograph it came from."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.evaluation.intervals import Interval, bootstrap

CELLS, DIRECTIONS = 8, 9
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Identification:
    """How often the photograph nearest to a reconstruction is the right one.

    Attributes:
        by: what is compared: `pixels` or `edges`.
        among: photographs to choose from, the right one included.
        found: share of right choices, over all photographs and all draws of the others.
        chance: that share for a blind guess.
    """

    by: str
    among: int
    found: float
    found_ci95: Interval
    chance: float


def identify(rebuilt: Float[Tensor, "n 3 h w"], originals: Float[Tensor, "n 3 h w"]) -> list[Identification]:
    """Search for each reconstruction's photograph among 100 and among 1,000, or as many as there are."""
    sizes = sorted({min(among, len(originals)) for among in (100, 1000)})
    ways: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda images: images.flatten(1), "edges": edges}
    found = []
    for by, describe in ways.items():
        rank = ranks(describe(rebuilt.clamp(0, 1)), describe(originals))
        found += [_identification(by, among, rank) for among in sizes]
    return found


def ranks(found: Float[Tensor, "n d"], wanted: Float[Tensor, "n d"]) -> Int64[Tensor, " n"]:
    """For each of `found`, how many wrong ones of `wanted` are at least as near to it as the right one."""
    distance = (
        torch.cdist(found.double(), wanted.double(), compute_mode="donot_use_mm_for_euclid_dist")
        if found.shape[1] < 4096
        else torch.cdist(found, wanted)
    )
    return (distance <= distance.diagonal()[:, None]).sum(1) - 1


def share_found(rank: Int64[Tensor, " n"], among: int) -> Tensor:
    """For each rank, the probability that the right one is nearest when `among` - 1 others are drawn."""
    others = len(rank) - 1
    ways = math.comb(others, among - 1)
    found = [math.comb(others - behind, among - 1) / ways for behind in rank.tolist()]
    return torch.tensor(found, dtype=torch.float64)


def edges(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    """A histogram of edge directions in each of 8x8 cells, of unit length.

    It ignores colour, brightness and contrast, so that what is compared are the shapes.

    Source: Dalal and Triggs, Histograms of Oriented Gradients, with blocks of one cell.
    """
    grey = (images * images.new_tensor(GREY)[:, None, None]).sum(1)
    side = grey.shape[-2] // CELLS, grey.shape[-1] // CELLS
    down, right = torch.zeros_like(grey), torch.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    right[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    angle = torch.rad2deg(torch.atan2(down, right)) % 180
    which = (angle * DIRECTIONS / 180).long().clamp(max=DIRECTIONS - 1)
    strength = F.one_hot(which, DIRECTIONS).permute(0, 3, 1, 2) * torch.hypot(down, right)[:, None]
    cells = F.avg_pool2d(strength[..., : CELLS * side[0], : CELLS * side[1]], side)
    return F.normalize(cells, dim=1).flatten(1)


def _identification(by: str, among: int, rank: Tensor) -> Identification:
    share = share_found(rank, among)
    return Identification(by, among, float(share.mean()), bootstrap(share), 1 / among)
