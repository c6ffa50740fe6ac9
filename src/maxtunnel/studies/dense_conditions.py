"""What networks that answer for every pixel are trained with, and what they are given when they are read.

The studies of segmentation and of contours ask what comes through the switches. Some conditions need a
network that was trained so; others are ways to read one that was trained with known switches.

| condition | network | decoder is given |
|---|---|---|
| known switches | trained so | features and switches |
| fixed switches | trained so: features only | features; every value goes to its window's first cell |
| bilinear upsampling | trained so, with as many parameters | features; planes are widened by interpolation |
| switches alone | decoder trained so, on the first network's encoder | switches, a learned constant |
| switches of an untrained encoder alone | decoder trained so | switches of random weights, a constant |
| read with fixed switches | the first one | features, every switch fixed |
| read with another image's switches | the first one | features, the switches of another image |
| read with mean features | the first one | switches, the mean of its features in their place |

The constant of the paper's bias layer is read both ways: learnt by a decoder that never saw a feature
(switches alone), and put in the features' place of a decoder that learnt with them (mean features).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.measuring import measuring
from maxtunnel.support.choices import DenseGiven, DenseUnpooling

# How a network is trained: whole, its decoder unpooling so; or its decoder alone, on switches alone, the
# encoder being that of a network trained with known switches, or as it was drawn.
Trained = Literal["switches", "fixed", "bilinear", "alone", "untrained"]
UNPOOLINGS: dict[Trained, DenseUnpooling] = {
    "switches": "switches",
    "fixed": "fixed",
    "bilinear": "bilinear",
    "alone": "switches",
    "untrained": "switches",
}
# Whose decoder is trained on switches alone (`training.dense.train_dense` with `what` False).
ALONE: tuple[Trained, ...] = ("alone", "untrained")
_PIECE = 16  # images that go through at a time


@dataclass(frozen=True)
class Condition:
    """A network, and what its decoder is given.

    Attributes:
        name: in tables and pictures.
        trained: how the network was trained.
        given: what its decoder is given where it is read.
        so: whether it was trained with what it is given, or is only read so.
    """

    name: str
    trained: Trained
    given: DenseGiven
    so: bool = True

    @property
    def key(self) -> str:
        """Of it in rows and files: `switches-known`."""
        return f"{self.trained}-{self.given}"


CONDITIONS = (
    Condition("known switches", "switches", "known"),
    Condition("fixed switches", "fixed", "known"),
    Condition("bilinear upsampling", "bilinear", "known"),
    Condition("switches alone", "alone", "constant"),
    Condition("switches of an untrained encoder alone", "untrained", "constant"),
    Condition("known switches, read with fixed ones", "switches", "fixed", so=False),
    Condition("known switches, read with another image’s", "switches", "other", so=False),
    Condition("known switches, read with mean features", "switches", "constant", so=False),
)


def conditions_of(trained: Trained) -> tuple[Condition, ...]:
    """The conditions under which a network trained so is read."""
    return tuple(condition for condition in CONDITIONS if condition.trained == trained)


def draw_network(
    trained: Trained, draw: Callable[[DenseUnpooling], DenseNetwork], known: DenseNetwork | None = None
) -> DenseNetwork:
    """The network of a condition before it is trained.

    Args:
        trained: how it is to be trained.
        draw: an untrained network with this unpooling; the seed is the caller's.
        known: the one trained with known switches, whose encoder `alone` takes.

    Raises:
        ValueError: `alone` is given no such network.
    """
    network = draw(UNPOOLINGS[trained])
    if trained == "alone":
        if known is None:
            raise ValueError("`known` is None: switches alone are those of an encoder that was trained")
        network.encoder.load_state_dict(known.encoder.state_dict())
        network.mean.copy_(known.mean)
        network.deviation.copy_(known.deviation)
    return network


def answer(
    network: DenseNetwork,
    images: Float[Tensor, "n c h w"],
    given: DenseGiven = "known",
    others: Float[Tensor, "n c h w"] | None = None,
) -> Float[Tensor, "n classes h w"]:
    """The answers of a network under a condition, in eval mode and without gradients.

    Args:
        network: answers.
        images: values in [0, 1].
        given: `known`: their features and switches; `fixed`: their features, every value in its window's
            first cell; `other`: their features with the switches of `others`; `constant`: their switches,
            the network's constant in the features' place.
        others: as many images of the same size.

    Raises:
        ValueError: there are no others where they are needed; and as `DenseNetwork.answer`.
    """
    if given != "other":
        return network.answer(images, what=given != "constant", where=given != "fixed")
    if others is None:
        raise ValueError("`others` is None: give the images whose switches are to be read")
    return network.answer(images, switches_of=others)


def others_of(count: int) -> Tensor:
    """The number of the image whose switches each of `count` images gets: half of them further on.

    In a set that is sorted, by scenes or classes, that is one of another kind.
    """
    return torch.arange(count).roll(-(count // 2))


def keep_mean(network: DenseNetwork, pixels: UInt8[Tensor, "n c h w"]) -> None:
    """Make the constant of a network the mean of its features over images and places, channel by channel."""
    total, places = torch.zeros_like(network.decoder.constant, dtype=torch.float64), 0
    with measuring(network):
        for some in pixels.split(_PIECE):
            what = network.encoder(network.normalise(as_images(network, some))).what
            total += what.sum((0, 2, 3), dtype=torch.float64)
            places += what.numel() // what.shape[1]
        network.decoder.constant.copy_(total / places)


def as_images(network: DenseNetwork, pixels: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """0..255 as 0..1, where the network lies."""
    return pixels.to(network.mean.device).float() / 255
