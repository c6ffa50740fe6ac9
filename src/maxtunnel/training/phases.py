"""The phases of training: telling classes apart, which is optional, and rebuilding photographs, by a decoder
alone or by encoder and decoder together.

A phase is a module whose `forward` takes a batch and gives its loss; `training.feeds` makes the batches.
"""

import logging
import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.data.batches import PIECE, Pixels, cut
from maxtunnel.models.classifier import Classifier
from maxtunnel.models.mirrored import Codes, MirroredDecoder
from maxtunnel.models.rate import SwitchRate
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.models.surrogate import Temperatures, switch
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.peers import Peers
from maxtunnel.training.recipes import Recipe


class Phase(nn.Module):
    """A module whose parameters are all trained; `forward` gives the loss of a batch and its metric.

    Attributes:
        metric: what the metric is called.
    """

    metric: str

    def summarise(self, mean: float) -> float:
        """The metric of many batches, from the mean of what `forward` gave for each."""
        return mean

    def whole(self, network: TunnelNetwork) -> nn.Module:
        """The network with all that is trained, which is what a run must save to be resumed."""
        return network


class Reconstruction(Phase):
    """A decoder with the paper's loss, sum((y - x)^2) / (2N), on a network's inner scale."""

    metric = "rmse"

    def __init__(self, decoder: MirroredDecoder | StrongDecoder, scale: float) -> None:
        super().__init__()
        self.decoder, self._scale = decoder, scale

    def forward(
        self,
        codes: Codes,
        target: Float[Tensor, "n 3 h w"],
        what: Float[Tensor, "n c _ _"] | None = None,
        missing: tuple[int, ...] = (),
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and mean squared error, values in [0, 1], of one batch.

        Args:
            codes: of every level, finest first.
            target: normalised images.
            what: replaces the bias code.
            missing: numbers of levels that the decoder is not given.
        """
        squares = self.decoder.squared_error(codes, target, what, missing)
        return squares / (2 * len(target)), squares.detach() / (target.numel() * self._scale**2)

    def summarise(self, mean: float) -> float:
        """RMSE from the mean of the batches' squared errors."""
        return math.sqrt(mean)


class Learning(Phase):
    """Encoder and decoder together, with the loss of `Reconstruction`, through the switches (`surrogate`).

    With `rate_weight` w the loss is that of squared errors that grew by w a bit: (n values x scale^2 / 2N) x
    (mean squared error + w x bits per pixel and colour channel), the bits by a model that learns beside
    (`models.rate`).

    Args:
        network: its encoder and decoder.
        recipe: says the temperature and the worth of a bit.
        seed: draws the model of the bits.
    """

    metric = "rmse"

    def __init__(self, network: TunnelNetwork, recipe: Recipe, seed: int = 0) -> None:
        super().__init__()
        widths = network.architecture.widths
        self.encoder, self.decoder = network.encoder, network.decoder
        self.temperatures = Temperatures(widths, recipe.temperature)
        self.rate = SwitchRate(widths, seed) if recipe.rate_weight else None
        self._rectified = not network.architecture.linear
        self._scale, self._rate_weight = network.scale, recipe.rate_weight
        if self.rate is not None and not self._rectified:
            logging.getLogger("maxtunnel").warning(
                "a weight of the rate saves little with %s: an encoder saves bits by leaving windows dark, "
                "which takes a ReLU before the pooling; leave out +linear",
                network.architecture,
            )

    def forward(
        self, target: Float[Tensor, "n 3 h w"], noise: list[Float[Tensor, "n _ 4 _ _"]]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and mean squared error, values in [0, 1], of one batch.

        Args:
            target: normalised images.
            noise: of every level, for its softmax.
        """

        def pooling(block: int, x: Tensor) -> tuple[Tensor, Tensor]:
            return switch(x, self.temperatures(block), noise[block - 1], self._rectified)

        _, shares = self.encoder.relaxed(target, pooling)
        squares = self.decoder.squared_error(shares, target)
        cost = squares
        if self.rate is not None:
            cost = cost + self._rate_weight * self._scale**2 * self.rate(shares)
        return cost / (2 * len(target)), squares.detach() / (target.numel() * self._scale**2)

    def summarise(self, mean: float) -> float:
        """RMSE from the mean of the batches' squared errors."""
        return math.sqrt(mean)

    def whole(self, network: TunnelNetwork) -> nn.Module:
        """With the temperatures and the model of the bits, which are in no network."""
        parts = {"network": network, "temperatures": self.temperatures}
        return nn.ModuleDict(parts if self.rate is None else {**parts, "rate": self.rate})


class Classification(Phase):
    """Encoder and classifier with the softmax loss."""

    metric = "accuracy"

    def __init__(self, network: TunnelNetwork, classifier: Classifier) -> None:
        super().__init__()
        self.encoder, self.classifier = network.encoder, classifier

    def forward(
        self, images: Float[Tensor, "n 3 h w"], labels: Int64[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and share of right answers of one batch."""
        logits = self.classifier(self.encoder(images, check=False)[0]).float()
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()

    def whole(self, network: TunnelNetwork) -> nn.Module:
        """With the classifier, which is in no network."""
        return nn.ModuleDict({"network": network, "classifier": self.classifier})


@torch.no_grad()
def top1(
    task: Classification,
    network: TunnelNetwork,
    pixels: Pixels,
    labels: Int64[Tensor, " n"],
    peers: Peers | None = None,
) -> float:
    """Share of photographs whose class has the largest logit, in float32; `peers` share the work."""
    peers = peers or Peers()
    right = 0
    for numbers in torch.arange(len(pixels)).split(PIECE)[peers.rank :: peers.ranks]:
        images = cut(pixels, numbers, torch.zeros_like(numbers, dtype=torch.bool), network.device)
        logits = task.classifier(task.encoder(network.normalise(images))[0])
        right += int((logits.argmax(1).cpu() == labels[numbers]).sum())
    return int(peers.total(torch.tensor(float(right), dtype=torch.float64))) / len(pixels)
