"""Which photographs make up each training batch, and how they are read."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from maxtunnel.data.images import to_float
from maxtunnel.data.store import MappedPixels

Pixels = UInt8[Tensor, "_ 3 _ _"] | MappedPixels
PIECE = 32  # photographs that are encoded at a time


@dataclass(frozen=True)
class Order:
    """The images of every batch, as a pure function of the step, so that a resumed run needs no state.

    Attributes:
        images: how many there are.
        batch: images a step, over all processes.
        seed: of the random order; None for that in which they lie, none mirrored.
        reshuffle: draw a new order for every pass; otherwise one order is read cyclically, as in the paper.
        flips: mirror each image left to right with probability one half.
        rank: number of this process among those that share each batch.
        ranks: how many processes share each batch.
    """

    images: int
    batch: int
    seed: int | None
    reshuffle: bool
    flips: bool
    rank: int = 0
    ranks: int = 1

    def at(self, step: int) -> tuple[Int64[Tensor, " b"], Bool[Tensor, " b"]]:
        """The numbers of this process's images in batch `step`, and which of them are mirrored."""
        position = torch.arange(step * self.batch + self.rank, (step + 1) * self.batch, self.ranks)
        numbers, mirrored = torch.empty_like(position), torch.zeros_like(position, dtype=torch.bool)
        for epoch in (position // self.images).unique().tolist():
            here = position // self.images == epoch
            order, mirror = _epoch(self.images, self.seed, epoch if self.reshuffle else 0)
            numbers[here] = order[position[here] % self.images]
            mirrored[here] = mirror[position[here] % self.images] & self.flips
        return numbers, mirrored


@lru_cache(maxsize=2)
def _epoch(images: int, seed: int | None, epoch: int) -> tuple[Tensor, Tensor]:
    if seed is None:
        return torch.arange(images), torch.zeros(images, dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(images, generator=generator), torch.rand(images, generator=generator) < 0.5


def cut(
    pixels: UInt8[Tensor, "_ c h w"] | MappedPixels,
    numbers: Int64[Tensor, " b"],
    mirrored: Bool[Tensor, " b"],
    device: torch.device,
) -> Float[Tensor, "b c h w"]:
    """Some pictures as images in [0, 1] on a device, those of `mirrored` flipped left to right."""
    if isinstance(pixels, Tensor):
        numbers = numbers.to(pixels.device, non_blocking=True)
    images = to_float(pixels[numbers].to(device, non_blocking=True))
    if not bool(mirrored.any()):
        return images
    return torch.where(mirrored.to(device, non_blocking=True)[:, None, None, None], images.flip(-1), images)


def resident(
    pixels: UInt8[Tensor, "n c h w"] | MappedPixels, device: torch.device
) -> UInt8[Tensor, "n c h w"] | MappedPixels:
    """The pictures on a GPU where they take at most a quarter of its free memory; else as they are."""
    if device.type != "cuda" or math.prod(pixels.shape) > torch.cuda.mem_get_info(device)[0] / 4:
        return pixels
    return pixels[:].to(device)
