"""Which images make up each training batch, and their switches kept so that the encoder runs only once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from maxtunnel.dataset import MappedPixels
from maxtunnel.images import to_float
from maxtunnel.memory import free_memory
from maxtunnel.network import TunnelNetwork

Pixels = UInt8[Tensor, "_ 3 _ _"] | MappedPixels
PIECE = 32  # images that are encoded at a time


@dataclass(frozen=True)
class Order:
    """The images of every batch, as a pure function of the step, so that a resumed run needs no state.

    Attributes:
        images: how many there are.
        batch: images a step, over all processes.
        seed: draws the order.
        reshuffle: draw anew for every pass; otherwise one order is read cyclically, as in the paper.
        flips: mirror each image left to right with probability one half.
        rank: this process among those that share each batch.
        ranks: how many share each batch.
    """

    images: int
    batch: int
    seed: int
    reshuffle: bool
    flips: bool
    rank: int = 0
    ranks: int = 1

    def at(self, step: int) -> tuple[Int64[Tensor, " b"], Bool[Tensor, " b"]]:
        """Numbers of this process's images in batch `step`, and which of them are mirrored."""
        position = torch.arange(step * self.batch + self.rank, (step + 1) * self.batch, self.ranks)
        numbers, mirrored = torch.empty_like(position), torch.zeros_like(position, dtype=torch.bool)
        for epoch in (position // self.images).unique().tolist():
            here = position // self.images == epoch
            order, mirror = _epoch(self.images, self.seed, epoch if self.reshuffle else 0)
            numbers[here] = order[position[here] % self.images]
            mirrored[here] = mirror[position[here] % self.images] & self.flips
        return numbers, mirrored


@lru_cache(maxsize=2)
def _epoch(images: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(images, generator=generator), torch.rand(images, generator=generator) < 0.5


class KeptSwitches:
    """The codes of a fixed set of images, 2 bits each, made once.

    Args:
        network: whose encoder makes them, in float32.
        pixels: the images.
        mirrored: keep those of the mirrored images too.
        on_progress: told the images done and their total.
    """

    def __init__(
        self,
        network: TunnelNetwork,
        pixels: Pixels,
        mirrored: bool = False,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.images = len(pixels)
        total = self.images * (2 if mirrored else 1)
        # Level by level (images, bytes): four codes a byte, a quarter of the level apart.
        self._packed: list[Tensor] = []
        for start in range(0, total, PIECE):
            # A piece may reach from the last images to the first mirrored ones.
            numbers = torch.arange(start, min(start + PIECE, total))
            images = cut(network, pixels, numbers % self.images, numbers >= self.images)
            levels = [level.codes for level in network.encode(images).levels]
            if start == 0:
                self._shapes = [codes.permute(0, 2, 3, 1).shape[1:] for codes in levels]
                self._packed = [
                    torch.empty(total, -(-math.prod(shape) // 4), dtype=torch.uint8, device=network.device)
                    for shape in self._shapes
                ]
            for packed, codes in zip(self._packed, levels, strict=True):
                packed[start : start + PIECE] = pack(codes)
            on_progress(min(start + PIECE, total), total)

    def at(
        self, numbers: Int64[Tensor, " b"], mirrored: Bool[Tensor, " b"]
    ) -> list[UInt8[Tensor, "b c h w"]]:
        """The codes of some images, finest level first, in channels-last memory format."""
        rows = (numbers + mirrored * self.images).to(self._packed[0].device)
        return [unpack(packed[rows], shape) for packed, shape in zip(self._packed, self._shapes, strict=True)]

    @staticmethod
    def fit(network: TunnelNetwork, images: int, size: tuple[int, int]) -> bool:
        """Whether the switches of so many images take at most half of the free memory."""
        need = images * network.architecture.bits_per_pixel(size) * 3 * math.prod(size) / 8
        if network.device.type == "cuda":
            return need < torch.cuda.mem_get_info(network.device)[0] / 2
        return need < free_memory() / 2


def cut(
    network: TunnelNetwork,
    pixels: Pixels,
    numbers: Int64[Tensor, " b"],
    mirrored: Bool[Tensor, " b"],
) -> Float[Tensor, "b 3 h w"]:
    """Some of the images in [0, 1], mirrored where told, on the network's device."""
    if isinstance(pixels, Tensor):
        numbers = numbers.to(pixels.device)
    images = to_float(pixels[numbers].to(network.device))
    if not bool(mirrored.any()):
        return images
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(-1), images)


def pack(codes: UInt8[Tensor, "n c h w"], bits: int = 2) -> UInt8[Tensor, "n bytes"]:
    """Codes below 2^bits, channels last, several in a byte; `bits` divides 8."""
    flat = codes.permute(0, 2, 3, 1).flatten(1)
    part = -(-flat.shape[1] * bits // 8)
    parts = torch.nn.functional.pad(flat, (0, part * 8 // bits - flat.shape[1])).split(part, dim=1)
    return reduce(
        torch.bitwise_or, (codes << shift for codes, shift in zip(parts, range(0, 8, bits), strict=True))
    )


def unpack(packed: UInt8[Tensor, "b bytes"], shape: Sequence[int], bits: int = 2) -> UInt8[Tensor, "b c h w"]:
    """What `pack` was given, in channels-last memory format; `shape` is (h, w, c)."""
    flat = torch.cat([packed >> shift & 2**bits - 1 for shift in range(0, 8, bits)], dim=1)
    return flat[:, : math.prod(shape)].view(-1, *shape).permute(0, 3, 1, 2)
