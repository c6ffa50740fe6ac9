"""What makes the batches of each phase; switches are kept, so that the encoder runs only once."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from maxtunnel.data.batches import PIECE, Order, Pixels, cut
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.memory import free_memory
from maxtunnel.support.progress import OnProgress, counter, silent
from maxtunnel.switches.packing import pack, unpack


class SwitchFeed:
    """Codes and targets for `Reconstruction`.

    The encoder runs once over the photographs where that is less work than running it every step and memory
    allows; otherwise every step, in float32 too.
    """

    def __init__(
        self,
        network: TunnelNetwork,
        pixels: Pixels,
        order: Order,
        steps: int,
        on_progress: OnProgress = silent,
    ) -> None:
        self._network, self._pixels, self._order = network, pixels, order
        distinct = len(pixels) * (2 if order.flips else 1)
        size = pixels.shape[-2], pixels.shape[-1]
        pays = steps * order.batch // order.ranks > distinct
        self._kept = (
            KeptSwitches(network, pixels, order.flips, counter(on_progress, "encode"))
            if pays and KeptSwitches.fit(network, distinct, size)
            else None
        )

    def at(self, step: int) -> tuple[list[Tensor], Tensor]:
        """Codes (finest level first) and normalised images."""
        numbers, mirrored = self._order.at(step)
        images = cut(self._pixels, numbers, mirrored, self._network.device)
        target = self._network.normalise(images)
        if self._kept is not None:
            return self._kept.at(numbers, mirrored), target
        return [level.codes for level in self._network.encode(images).levels], target


class LabelFeed:
    """Normalised images and labels for `Classification`."""

    def __init__(
        self,
        network: TunnelNetwork,
        pixels: Pixels,
        labels: Int64[Tensor, " n"],
        order: Order,
    ) -> None:
        self._network, self._pixels, self._labels, self._order = network, pixels, labels, order

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Normalised images and the numbers of their classes."""
        numbers, mirrored = self._order.at(step)
        images = self._network.normalise(cut(self._pixels, numbers, mirrored, self._network.device))
        return images, self._labels[numbers].to(images.device)


Feed = SwitchFeed | LabelFeed


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
            images = cut(pixels, numbers % self.images, numbers >= self.images, network.device)
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
