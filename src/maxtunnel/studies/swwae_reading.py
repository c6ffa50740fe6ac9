"""What a fresh decoder rebuilds from a network's features, from its switches, and from both.

It is the same decoder for every network, and trained alike: the encoder stays as it is, a third of each batch
is given what and where, a third the where alone, and a third the what alone. So only the encoders differ, and
those are read too that were trained without a decoder, or with one that knows no switches. What it rebuilds
is a lower bound of what is there to read.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maxtunnel.data.batches import Order, cut, resident
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.models.family import Seen
from maxtunnel.models.swwae import Swwae, SwwaeDecoder
from maxtunnel.training.phases import Phase
from maxtunnel.training.recipes import Recipe

# What the decoder is given, in the order of tables. `another's switches` come with the image's own features.
GIVEN = ("both", "switches", "features", "another's switches")
PIECE = 250  # images that are measured at a time
SHOWN = 10
Pixels = UInt8[Tensor, "n c h w"]


class Reading(Phase):
    """A fresh decoder of known switches on an encoder that stays as it is.

    Args:
        network: whose encoder is read; it is put into eval mode and not trained.
        images: some normalised images, by which the features are scaled to mean square 1, so that no network
            is read more easily for the size of its numbers.
        seed: draws the decoder.
    """

    metric = "rmse"

    def __init__(self, network: Swwae, images: Float[Tensor, "n c h w"], seed: int) -> None:
        super().__init__()
        self.decoder = SwwaeDecoder(
            network.layout, network.channels, (network.size[0], network.size[1]), "switches", False,
            torch.Generator().manual_seed(seed),
        )  # fmt: skip
        # As large as the features are: of a constant 0 nothing would come through the layers' ReLU.
        nn.init.ones_(self.decoder.constant)
        network.eval()
        # In a tuple, so that it is no part of this module: its parameters are not to be trained.
        self._network = (network,)
        with torch.no_grad():
            self._scale = float(network.encoder(images).what.square().mean().sqrt().clamp(min=1e-6))

    def see(self, images: Float[Tensor, "n c h w"]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scaled what, and where, of normalised images."""
        with torch.no_grad():
            seen: Seen = self._network[0].encoder(images)
        return seen.what / self._scale, seen.where

    def forward(self, images: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss, and mean squared error with values in [0, 1], of one batch of normalised images."""
        what, where = self.see(images)
        drawn, third = [], -(-len(images) // 3)
        for number, start in enumerate(range(0, len(images), third)):
            part = slice(start, start + third)
            drawn.append(
                self.decoder(
                    None if number == 2 else what[part],
                    None if number == 1 else [level[part] for level in where],
                    check=False,
                ).image
            )
        difference = torch.cat(drawn).float() - images
        deviation = self._network[0].deviation[:, None, None]
        return difference.square().mean(), (difference.detach() * deviation).square().mean()

    def summarise(self, mean: float) -> float:
        """RMSE from the mean of the batches' squared errors."""
        return math.sqrt(mean)

    @torch.no_grad()
    def rebuild(self, images: Float[Tensor, "n c h w"]) -> dict[str, Float[Tensor, "n c h w"]]:
        """Images in [0, 1], not clipped, for each of GIVEN, from images in [0, 1].

        Another's switches are those of the image half the batch further on, so that of sorted images it is
        one of another class.
        """
        network = self._network[0]
        what, where = self.see(network.normalise(images))
        others = [level.roll(len(images) // 2, 0) for level in where]
        given = ((what, where), (None, where), (what, None), (what, others))
        return {
            name: network.denormalise(self.decoder(*each, check=False).image)
            for name, each in zip(GIVEN, given, strict=True)
        }


class ReadingFeed:
    """Normalised images for `Reading`.

    Args:
        network: normalises them.
        pixels: of the images.
        recipe: says how many a step.
        seed: of their order.
    """

    def __init__(self, network: Swwae, pixels: Pixels, recipe: Recipe, seed: int) -> None:
        self._network, self._pixels = network, resident(pixels, network.mean.device)
        self._order = Order(len(pixels), recipe.batch, seed, recipe.reshuffle, False)

    def at(self, step: int) -> tuple[Tensor]:
        """The images of a step."""
        images = cut(self._pixels, *self._order.at(step), self._network.mean.device)
        return (self._network.normalise(images),)


def as_images(network: Swwae, pixels: Pixels) -> Float[Tensor, "n c h w"]:
    """0..255 as 0..1, where the network lies."""
    return to_float(pixels.to(network.mean.device))


def measure_rebuilt(reading: Reading, network: Swwae, pixels: Pixels) -> dict[str, float]:
    """The RMSE of the images of `pixels`, by what the decoder is given; values in [0, 1]."""
    squares: dict[str, float] = dict.fromkeys(GIVEN, 0.0)
    # A piece has images of all classes where the images are sorted by class.
    pieces = -(-len(pixels) // PIECE)
    for piece in range(pieces):
        images = as_images(network, pixels[piece::pieces])
        for name, rebuilt in reading.rebuild(images).items():
            squares[name] += float((rebuilt - images).double().square().sum())
    return {name: math.sqrt(total / pixels.numel()) for name, total in squares.items()}


def measure_own(network: Swwae, pixels: Pixels) -> float:
    """The RMSE of what the network's own decoder makes of its own what and where."""
    total = 0.0
    for some in pixels.split(PIECE):
        images = as_images(network, some)
        total += float((network.rebuild(images) - images).double().square().sum())
    return math.sqrt(total / pixels.numel())


def draw(reading: Reading, network: Swwae, pixels: Pixels) -> UInt8[Tensor, "3 H W"]:
    """The first images, and below each what is rebuilt of it: a row for each of GIVEN."""
    images = as_images(network, pixels[:: max(1, len(pixels) // SHOWN)][:SHOWN])
    rows: Mapping[str, Tensor] = {"image": images, **reading.rebuild(images)}
    lines = [torch.cat(list(row), -1) for row in rows.values()]
    return to_uint8(torch.cat(lines, -2).cpu().expand(3, -1, -1))
