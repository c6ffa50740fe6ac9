"""Training of the all-convolutional networks and of those with max pooling beside them, as classifiers."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.batches import Order
from maxtunnel.models.all_conv import AllConv
from maxtunnel.training.phases import Phase
from maxtunnel.training.recipes import Recipe

_PIECE = 250  # images that are measured at a time
_SHIFTS = 700_000  # added to a seed for what is drawn of shifts


class AllConvClassification(Phase):
    """A network with the softmax loss of its classes; all of it is trained."""

    metric = "accuracy"

    def __init__(self, network: AllConv) -> None:
        super().__init__()
        self.network = network
        self.train()

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        kept: list[Float[Tensor, "n _ _ _"]],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss, and share of right answers, of one batch of normalised images; `kept` as of `AllConv`."""
        logits = self.network(images, kept).float()
        return F.cross_entropy(logits, labels), (logits.detach().argmax(1) == labels).float().mean()


class AllConvFeed:
    """Batches for `AllConvClassification`, as a function of seed and step, so that nothing else decides them.

    Args:
        network: normalises the images, and says where dropout is.
        pixels: of the images, uint8 (n, c, h, w).
        labels: the number of each one's class.
        recipe: says how many a step, and whether half of them are mirrored.
        seed: of order, dropout and shifts.
        dropout: whether there is any.
        shift: pixels by which images are moved at most, up or down and left or right; what comes in is the
            mean colour.

    Raises:
        ValueError: labels and pixels are not as many, or a label is none of the network's classes.
    """

    def __init__(
        self,
        network: AllConv,
        pixels: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " _"],
        recipe: Recipe,
        seed: int,
        dropout: bool = True,
        shift: int = 0,
    ) -> None:
        if len(pixels) != len(labels) or not len(pixels):
            raise ValueError(f"there are {len(pixels)} images and {len(labels)} labels: expected as many")
        classes = network.settings.classes
        if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"labels go from {int(labels.min())} to {int(labels.max())}: the network has classes 0 to "
                f"{classes - 1}"
            )
        self._network, self._seed, self._shift = network, seed, shift
        self._pixels, self._labels = pixels, labels
        self._dropped = network.dropped((pixels.shape[2], pixels.shape[3])) if dropout else ()
        self._order = Order(len(pixels), recipe.batch, seed, recipe.reshuffle, recipe.flips)

    def at(self, step: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Normalised images, their labels, and dropout."""
        device = self._network.mean.device
        if self._pixels.device != device:
            # All of them once, and not a batch every step.
            self._pixels, self._labels = self._pixels.to(device), self._labels.to(device)
        numbers, mirrored = (part.to(device) for part in self._order.at(step))
        images = self._pixels[numbers].float() / 255
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        images = self._network.normalise(images)
        if self._shift:
            generator = torch.Generator().manual_seed((self._seed + _SHIFTS) * 1_000_003 + step)
            most = self._shift
            offsets = torch.randint(-most, most + 1, (2, len(numbers)), generator=generator)
            images = shifted(images, offsets.to(device))
        images = images.contiguous(memory_format=torch.channels_last)
        return images, self._labels[numbers], self._kept(len(numbers), step, device)

    def _kept(self, count: int, step: int, device: torch.device) -> list[Tensor]:
        """What is multiplied by: 0, or 1 / (1 - share)."""
        generator = torch.Generator(device).manual_seed(self._seed * 1_000_003 + step)
        return [_mask(count, share, shape, generator) for share, shape in self._dropped]


def _mask(
    count: int, share: float, shape: Sequence[int], generator: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """A mask in channels-last memory format, as the planes are."""
    channels, height, width = shape
    drawn = torch.rand(count, height, width, channels, generator=generator, device=generator.device)
    return ((drawn >= share).float() / (1 - share)).permute(0, 3, 1, 2)


def shifted(images: Float[Tensor, "n c h w"], offsets: Int64[Tensor, "2 n"]) -> Float[Tensor, "n c h w"]:
    """Images moved by rows down and columns to the right, 0 where nothing came from; no value decides shapes.

    Args:
        images: normalised.
        offsets: rows and columns of each image.
    """
    n, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - offsets[0][:, None]
    columns = torch.arange(width, device=images.device) - offsets[1][:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    which = torch.arange(n, device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[
        which, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    return (moved * inside[..., None]).permute(0, 3, 1, 2)


def wrong_answers(
    network: AllConv, pixels: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"]
) -> Bool[Tensor, " n"]:
    """Which images are taken for another class, in eval mode; the mean of it is the error rate.

    Args:
        network: is left in the mode that it is in.
        pixels: of the images.
        labels: the number of each one's class.
    """
    wrong = []
    with network.measuring():
        for some, right in zip(pixels.split(_PIECE), labels.split(_PIECE), strict=True):
            images = network.normalise(some.to(network.mean.device).float() / 255)
            answers = network(images.contiguous(memory_format=torch.channels_last)).argmax(1)
            wrong.append(answers.cpu() != right.cpu())
    return torch.cat(wrong)
