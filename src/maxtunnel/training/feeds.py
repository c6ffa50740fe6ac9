"""The batches of each phase; switches are kept where memory allows, so that the encoder runs only once."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from maxtunnel.data.batches import PIECE, Order, Pixels, cut
from maxtunnel.models.surrogate import CELLS, gumbel
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.memory import free_memory
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.packing import pack, packed_size, unpack
from maxtunnel.training.peers import Peers

ENDLESS = 10**9  # batches, where nobody knows yet how many will be asked for
_BITS = 2  # of a switch of a 2x2 window


class SwitchFeed:
    """Codes and targets for `Reconstruction`.

    The encoder runs once over the photographs where that is less work than running it every step and the
    memory of all processes allows; otherwise every step, in float32 too.

    Args:
        network: whose encoder makes the codes.
        pixels: the photographs.
        order: which of them make up each batch.
        steps: how many batches will be asked for, at most.
        on_progress: told how far the encoder is, in images.
        frozen: whether the encoder stays as it is; if not, no switches are kept.
        peers: the processes of the training; they keep the switches together if they share the batches of
            `order` too, otherwise each keeps those of its own photographs.
    """

    def __init__(
        self,
        network: TunnelNetwork,
        pixels: Pixels,
        order: Order,
        steps: int,
        on_progress: OnProgress = silent,
        frozen: bool = True,
        peers: Peers | None = None,
    ) -> None:
        self._network, self._pixels, self._order = network, pixels, order
        peers = Peers() if peers is None else peers
        beside = 1 if network.device.type == "cuda" else peers.beside
        peers = Peers() if order.ranks == 1 else peers
        distinct = len(pixels) * (2 if order.flips else 1)
        size = pixels.shape[-2], pixels.shape[-1]
        self._kept: KeptSwitches | None = None
        # A process that kept none would not know what they look like.
        saves_work = frozen and steps * order.batch > distinct and len(pixels) >= peers.ranks
        # Whether they fit is one decision: all processes run the encoder every step, or none.
        here = -(-distinct // peers.ranks) * beside
        if saves_work and peers.all(KeptSwitches.fit(network, here, size)):
            self._kept = KeptSwitches(network, pixels, order.flips, on_progress, peers)

    @property
    def values(self) -> int:
        """Values of an image: pixels times colour channels."""
        return math.prod(self._pixels.shape[1:])

    def at(self, step: int) -> tuple[list[Tensor], Tensor]:
        """Codes (finest level first) and normalised images."""
        numbers, mirrored = self._order.at(step)
        images = cut(self._pixels, numbers, mirrored, self._network.device)
        target = self._network.normalise(images)
        if self._kept is not None and self._order.ranks > 1:
            orders = [replace(self._order, rank=rank) for rank in range(self._order.ranks)]
            return self._kept.shared_at([order.at(step) for order in orders]), target
        if self._kept is not None:
            return self._kept.at(numbers, mirrored), target
        return [level.codes for level in self._network.encode(images).levels], target


class WithholdingFeed:
    """Batches of codes for `Reconstruction`, of some of which the decoder is given the coarsest levels alone.

    How many it is given is a function of seed and step: a resumed run needs no state for it, and all
    processes of a training agree.

    Args:
        feed: gives codes and targets.
        levels: how many there are.
        share: of the batches of which levels are withheld; how many is drawn, from one up to all but one.
        seed: draws both.
    """

    def __init__(self, feed: SwitchFeed, levels: int, share: float, seed: int) -> None:
        self._feed, self._levels, self._share, self._seed = feed, levels, share, seed

    def at(self, step: int) -> tuple[list[Tensor], Tensor, None, tuple[int, ...]]:
        """Codes (finest level first), normalised images, no features, and the numbers of missing levels."""
        codes, target = self._feed.at(step)
        drawn = random.Random(self._seed * 1_000_003 + step)
        withheld = drawn.randint(1, self._levels - 1) if drawn.random() < self._share else 0
        return codes, target, None, tuple(range(1, withheld + 1))


class LearningFeed:
    """Normalised images and noise for `Learning`.

    The noise is a function of seed, step and process, so that a resumed run needs no state for it.

    Args:
        network: normalises the images.
        pixels: the photographs.
        order: which of them make up each batch.
        seed: draws the noise.
        amount: of noise in each step.
    """

    def __init__(
        self,
        network: TunnelNetwork,
        pixels: Pixels,
        order: Order,
        seed: int,
        amount: Callable[[int], float],
    ) -> None:
        self._network, self._pixels, self._order = network, pixels, order
        self._seed, self._amount = seed, amount

    def at(self, step: int) -> tuple[Tensor, list[Tensor]]:
        """Normalised images, and the noise of every level; zeros where there is none any more."""
        numbers, mirrored = self._order.at(step)
        target = self._network.normalise(cut(self._pixels, numbers, mirrored, self._network.device))
        (n, _, h, w), amount = target.shape, self._amount(step)
        shapes = [
            (n, c, CELLS, h >> level, w >> level)
            for level, c in enumerate(self._network.architecture.widths, 1)
        ]
        if not amount:
            return target, [target.new_zeros(()).expand(shape) for shape in shapes]
        generator = torch.Generator(target.device)
        generator.manual_seed((self._seed * 1_000_003 + step) * self._order.ranks + self._order.rank)
        return target, [amount * gumbel(shape, generator) for shape in shapes]


class LabelFeed:
    """Normalised images and labels for `Classification`.

    Args:
        network: normalises the images.
        pixels: the photographs.
        labels: the number of each photograph's class.
        order: which of them make up each batch.
    """

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


class KeptSwitches:
    """The codes of a fixed set of images, 2 bits each, made once.

    Of several processes each makes and keeps those of every so many images, from its own number on, and
    passes on what the others' batches need: a process of four keeps a quarter.

    Args:
        network: whose encoder makes them, in float32.
        pixels: the images.
        mirrored: keep those of the mirrored images too.
        on_progress: told how far the encoder is, in images that are kept here.
        peers: the processes that keep them together; None for this one alone.
    """

    def __init__(
        self,
        network: TunnelNetwork,
        pixels: Pixels,
        mirrored: bool = False,
        on_progress: OnProgress = silent,
        peers: Peers | None = None,
    ) -> None:
        self._peers = peers = Peers() if peers is None else peers
        self.images = len(range(peers.rank, len(pixels), peers.ranks))
        total = self.images * (2 if mirrored else 1)
        device = network.device
        # Level by level, (images, bytes), the codes channels last.
        self._packed: list[Tensor] = []
        for start in range(0, total, PIECE):
            # A piece may reach from the last images to the first mirrored ones.
            rows = torch.arange(start, min(start + PIECE, total))
            numbers = rows % self.images * peers.ranks + peers.rank
            images = cut(pixels, numbers, rows >= self.images, device)
            levels = [level.codes.permute(0, 2, 3, 1) for level in network.encode(images).levels]
            if start == 0:
                self._shapes = [codes.shape[1:] for codes in levels]
                self._packed = [
                    torch.empty(total, packed_size(math.prod(shape), _BITS), dtype=torch.uint8, device=device)
                    for shape in self._shapes
                ]
            for packed, codes in zip(self._packed, levels, strict=True):
                packed[start : start + PIECE] = pack(codes, _BITS)
            on_progress("encode", min(start + PIECE, total), total, "")

    def at(
        self, numbers: Int64[Tensor, " b"], mirrored: Bool[Tensor, " b"]
    ) -> list[UInt8[Tensor, "b c h w"]]:
        """The codes of some images, finest level first, in channels-last memory format; all are kept here."""
        return self._unpack(self._rows(numbers, mirrored))

    def shared_at(
        self, batches: Sequence[tuple[Int64[Tensor, " b"], Bool[Tensor, " b"]]]
    ) -> list[UInt8[Tensor, "b c h w"]]:
        """As `at`, the images of this process's batch, whoever keeps them.

        Args:
            batches: what each process asks for in this step; all of them call this in the same step.
        """
        rank, ranks = self._peers.rank, self._peers.ranks
        sent = []
        for numbers, mirrored in batches:
            ours = numbers % ranks == rank
            sent.append(torch.cat(self._rows(numbers[ours] // ranks, mirrored[ours]), dim=1))
        keepers = batches[rank][0] % ranks
        counts = [int((keepers == keeper).sum()) for keeper in range(ranks)]
        found = self._peers.exchange(sent, counts)
        # They come keeper by keeper; back to the order of the batch.
        order = torch.argsort(keepers, stable=True).to(found.device)
        rows = torch.empty_like(found).index_copy_(0, order, found)
        return self._unpack(rows.split([packed.shape[1] for packed in self._packed], dim=1))

    def _rows(self, rows: Int64[Tensor, " b"], mirrored: Bool[Tensor, " b"]) -> list[UInt8[Tensor, "b _"]]:
        """The packed codes of some of the images that are kept here, level by level."""
        chosen = (rows + mirrored * self.images).to(self._packed[0].device, non_blocking=True)
        return [packed[chosen] for packed in self._packed]

    def _unpack(self, rows: Sequence[UInt8[Tensor, "b _"]]) -> list[UInt8[Tensor, "b c h w"]]:
        return [
            unpack(packed.contiguous(), shape, _BITS).permute(0, 3, 1, 2)
            for packed, shape in zip(rows, self._shapes, strict=True)
        ]

    @staticmethod
    def fit(network: TunnelNetwork, images: int, size: tuple[int, int]) -> bool:
        """Whether the switches of so many images take at most half of the free memory."""
        need = images * network.architecture.bits_per_pixel(size) * 3 * math.prod(size) / 8
        if network.device.type == "cuda":
            return need < torch.cuda.mem_get_info(network.device)[0] / 2
        return need < free_memory() / 2
