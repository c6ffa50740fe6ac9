"""Training of what-where autoencoders: classes from few labels, and reconstruction from all images.

    L = L_NLL + w_L2rec L_L2rec + w_L2M L_L2M

- L_NLL: the mean negative log-likelihood of the labelled images' classes;
- L_L2rec: the mean squared difference of the image from what the decoder made of it, on the network's inner
  scale, of labelled and unlabelled images;
- L_L2M: the same of every plane that the encoder passes on, but for the deepest, from what the decoder made
  of it on its way; added up over the planes.

Each of these is a mean over values, so that a weight means the same at every size. The paper's are norms, and
its weights could not be read: numbers cannot be compared.

Source: Zhao, Mathieu, Goroshin, LeCun 2015 (arXiv 1506.02351), as others quote its loss. That gradients of
L_L2M flow into encoder and decoder follows from "the gradient contributions from the Deconvnet can be
interpreted as an information preserving regularizer"; with `detach` the encoder's planes are goals alone.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.batches import Order, cut, resident
from maxtunnel.data.images import to_float
from maxtunnel.models.all_conv import AllConv
from maxtunnel.models.swwae import Swwae
from maxtunnel.training.phases import Phase
from maxtunnel.training.recipes import Recipe

_PIECE = 250  # images that are measured at a time
_OTHER = 500_000  # added to a seed for an order of its own
Pixels = UInt8[Tensor, "_ _ _ _"]


class WhatWhere(Phase):
    """The three-part loss of a what-where autoencoder.

    A weight of 0 leaves its term out; where both L2 weights are 0 the unlabelled images are not looked at and
    the decoder is not run.

    Args:
        network: encoder, classifier and decoder, all of which are trained.
        nll: weight of the classes.
        l2rec: weight of the images.
        l2m: weight of the planes in between: one for all, or one a plane, finest first. Each layer but the
            last has a plane; a penalty block by block has weights above 0 where a pooling is.
        detach: whether no gradient of L_L2M enters the encoder as what it is compared with.
        layerwise: whether each block of the decoder begins from the encoder's own pooled plane, not from what
            the block before it made (Zhang, Lee, Lee 2016, arXiv 1606.06582).

    Raises:
        ValueError: a weight is negative or no number, all are 0, or there are not as many as planes.
    """

    metric = "accuracy"

    def __init__(
        self,
        network: Swwae,
        nll: float = 1.0,
        l2rec: float = 0.0,
        l2m: float | Sequence[float] = 0.0,
        detach: bool = False,
        layerwise: bool = False,
    ) -> None:
        super().__init__()
        between = len(network.layout.convolutions) - 1
        weights = (float(l2m),) * between if isinstance(l2m, int | float) else tuple(map(float, l2m))
        if len(weights) != between:
            raise ValueError(
                f"`l2m` has {len(weights)} weights: {network.layout} has {between} planes in between"
            )
        if not all(0 <= weight < float("inf") for weight in (nll, l2rec, *weights)):
            raise ValueError(f"the weights are {nll}, {l2rec} and {l2m}: expected numbers of at least 0")
        if not any((nll, l2rec, *weights)):
            raise ValueError(
                "all weights are 0: there is nothing to train (a layout of one layer has no plane in between)"
            )
        self.network, self.detach, self.layerwise = network, detach, layerwise
        self._nll, self._l2rec, self._l2m = nll, l2rec, weights
        self._rebuilds = bool(l2rec) or any(weights)
        self.train()

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        labels: Int64[Tensor, " labelled"],
        kept: list[Float[Tensor, "labelled _"]],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss, and share of right answers among the labelled images, of one batch.

        Args:
            images: normalised, the labelled ones first.
            labels: of these.
            kept: dropout, see `SwwaeClassifier`.
        """
        seen = self.network.encoder(images if self._rebuilds else images[: len(labels)])
        self.network.decoder.follow(seen.what)
        loss, accuracy = seen.what.new_zeros(()), seen.what.new_zeros(())
        if self._nll:
            logits = self.network.classifier(seen.what[: len(labels)], kept).float()
            loss = loss + self._nll * F.cross_entropy(logits, labels)
            accuracy = (logits.detach().argmax(1) == labels).float().mean()
        if not self._rebuilds:
            return loss, accuracy
        planes = seen.planes if self.layerwise else None
        drawn = self.network.decoder(seen.what, seen.where, planes, check=False)
        if self._l2rec:
            loss = loss + self._l2rec * _mean_square(drawn.image, images)
        for weight, plane, made in zip(self._l2m, seen.planes[:-1], drawn.planes, strict=True):
            if weight:
                goal = plane.detach() if self.detach else plane
                loss = loss + weight * _mean_square(made, goal)
        return loss, accuracy


class WhatWhereFeed:
    """Batches for `WhatWhere`: labelled images, then unlabelled ones, each in an order of its own.

    What is left out by dropout is a function of seed and step too, so that a resumed training needs no state.

    Args:
        network: normalises the images, and says how much is left out.
        pixels: of the labelled images, uint8 (n, channels, h, w).
        labels: the number of each one's class.
        unlabelled: pixels of the others; None for none.
        recipe: its `batch` is the number of labelled images a step; whether images are mirrored.
        seed: of both orders and of dropout.
        unlabelled_batch: unlabelled images a step; by default as many as labelled ones.

    Raises:
        ValueError: labels and pixels are not as many, or a label is none of the network's classes.
    """

    def __init__(
        self,
        network: Swwae,
        pixels: Pixels,
        labels: Int64[Tensor, " n"],
        unlabelled: Pixels | None,
        recipe: Recipe,
        seed: int,
        unlabelled_batch: int | None = None,
    ) -> None:
        if len(pixels) != len(labels) or not len(pixels):
            raise ValueError(
                f"there are {len(pixels)} labelled images and {len(labels)} labels: expected as many"
            )
        if not 0 <= int(labels.min()) <= int(labels.max()) < network.classes:
            raise ValueError(
                f"labels go from {int(labels.min())} to {int(labels.max())}: "
                f"the network has classes 0 to {network.classes - 1}"
            )
        self._network, self._seed, self._labels = network, seed, labels
        device = network.mean.device
        self._pixels = resident(pixels, device)
        self._unlabelled = None if unlabelled is None else resident(unlabelled, device)
        self._order = Order(len(pixels), recipe.batch, seed, recipe.reshuffle, recipe.flips)
        self._others: Order | None = None
        if unlabelled is not None:
            batch = recipe.batch if unlabelled_batch is None else unlabelled_batch
            # Of as many images one seed draws one order, and the streams would be each other's copies.
            seed = seed + _OTHER if len(unlabelled) == len(pixels) else seed
            self._others = Order(len(unlabelled), batch, seed, recipe.reshuffle, recipe.flips)

    def at(self, step: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Normalised images, the labels of the first of them, and dropout."""
        device = self._network.mean.device
        numbers, mirrored = self._order.at(step)
        images = [cut(self._pixels, numbers, mirrored, device)]
        if self._unlabelled is not None and self._others is not None:
            images.append(cut(self._unlabelled, *self._others.at(step), device))
        labels = self._labels[numbers].to(device)
        return self._network.normalise(torch.cat(images)), labels, self._kept(len(numbers), step)

    def _kept(self, count: int, step: int) -> list[Tensor]:
        """What the inputs of each fully connected layer are multiplied by: 0, or 1 / (1 - dropout)."""
        share = self._network.dropout
        if not share:
            return []
        device = self._network.mean.device
        generator = torch.Generator(device).manual_seed(self._seed * 1_000_003 + step)
        drawn = (
            torch.rand(count, width, generator=generator, device=device)
            for width in self._network.classifier.widths
        )
        return [(each >= share).float() / (1 - share) for each in drawn]


def standardise(network: Swwae | AllConv, pixels: Pixels) -> None:
    """Have a network normalise images by the mean and the deviation of each channel of `pixels`."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    for channel in range(pixels.shape[1]):
        counts = torch.bincount(pixels[:, channel].flatten(), minlength=256).double()
        share = counts / counts.sum()
        mean = (share * levels).sum()
        network.mean[channel] = mean
        # A channel of one grey level has no deviation to divide by.
        network.deviation[channel] = (share * (levels - mean) ** 2).sum().sqrt().clamp(min=1 / 255)


def wrong_answers(network: Swwae, pixels: Pixels, labels: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which images are taken for another class, in eval mode; the mean of it is the error rate.

    Args:
        network: is left in the mode that it is in.
        pixels: uint8, (n, channels, h, w).
        labels: the number of each one's class.
    """
    wrong = []
    with network.measuring():
        for some, right in zip(pixels.split(_PIECE), labels.split(_PIECE), strict=True):
            images = network.normalise(to_float(some.to(network.mean.device)))
            answers = network.classifier(network.encoder(images).what).argmax(1)
            wrong.append(answers.cpu() != right.cpu())
    return torch.cat(wrong)


def _mean_square(made: Float[Tensor, "n c h w"], goal: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """The mean of (made - goal)^2.

    Gradients of `mse_loss` and `mean` are contiguous, whatever the planes are, and the ReLU before them then
    takes eight times as long.
    """
    return (made.float() - goal.float()).square().sum() / made.numel()
