"""What the two phases train on and towards: rebuilding photographs, and before that, naming what they show.

A phase is a module whose `forward` takes a batch and gives its loss, and a feed that makes the batches.
"""

import math

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.batches import PIECE, KeptSwitches, Order, Pixels, cut
from maxtunnel.network import Classifier, TunnelNetwork
from maxtunnel.progress import OnProgress, counter, silent


class Phase(nn.Module):
    """`forward` gives loss and measure of a batch; `measure` names it, `summarise` turns its mean into it."""

    measure: str

    def summarise(self, mean: float) -> float:
        """The measure of many batches from the mean of theirs."""
        return mean


class Reconstruction(Phase):
    """The decoder with the paper's loss, sum((y - x)^2) / (2N), on the network's inner scale."""

    measure = "rmse"

    def __init__(self, network: TunnelNetwork) -> None:
        super().__init__()
        self.decoder = network.decoder
        self._scale = network.scale

    def forward(
        self, codes: list[UInt8[Tensor, "n _ _ _"]], target: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and mean squared error, values in [0, 1], of one batch."""
        squares = self.decoder.squared_error(codes, target)
        return squares / (2 * len(target)), squares.detach() / (target.numel() * self._scale**2)

    def summarise(self, mean: float) -> float:
        """RMSE from the mean of the batches' squared errors."""
        return math.sqrt(mean)


class Classification(Phase):
    """Encoder and classifier with the softmax loss."""

    measure = "accuracy"

    def __init__(self, network: TunnelNetwork, classifier: Classifier) -> None:
        super().__init__()
        self.encoder, self.classifier = network.encoder, classifier

    def forward(
        self, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and share of right answers of one batch."""
        logits = self.classifier(self.encoder(images, check=False)[0]).float()
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()


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
        images = cut(self._network, self._pixels, numbers, mirrored)
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
        images = self._network.normalise(cut(self._network, self._pixels, numbers, mirrored))
        return images, self._labels[numbers].to(images.device)


Feed = SwitchFeed | LabelFeed


@torch.no_grad()
def top1(
    task: Classification,
    network: TunnelNetwork,
    pixels: Pixels,
    labels: Int64[Tensor, " n"],
) -> float:
    """Share of photographs whose class has the largest logit, in float32."""
    right = 0
    for numbers in torch.arange(len(pixels)).split(PIECE):
        images = cut(network, pixels, numbers, torch.zeros_like(numbers, dtype=torch.bool))
        logits = task.classifier(task.encoder(network.normalise(images))[0])
        right += int((logits.argmax(1).cpu() == labels[numbers]).sum())
    return right / len(pixels)
