"""Training of networks that answer for every pixel (`models.dense`): classes, or contours.

    sum over pixels of weight(label) x loss(answer, label) / sum over pixels of weight(label)

- **Classes**: the loss is that of the softmax; all classes weigh the same, or as `weights` says, for instance
  by `data.dense.median_frequency`.
- **Contours**, where the network has one answer a pixel: the logistic loss, and where a contour is the weight
  is 10, as CEDN has it.
- **Void** weighs nothing, and counts in no metric.

Masks go wherever their images go: mirrored, cut at random places, zoomed (`DenseData`). What lies outside an
image is void.

    train_dense(network, DenseData(images, masks, void=11), weights=median_frequency(counts))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maxtunnel.data.batches import Order, Pixels
from maxtunnel.data.dense import UNCOUNTED
from maxtunnel.data.store import MappedPixels
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.window import Pair
from maxtunnel.training.engine import place, start_fabric
from maxtunnel.training.loop import Fit, fit
from maxtunnel.training.phases import Phase
from maxtunnel.training.recipes import DENSE_FAST, Recipe

CONTOUR_WEIGHT = 10.0
_SEEDS = 1_000_003


@dataclass(frozen=True, eq=False)
class DenseData:
    """Images with the answers for them, and how batches are cut from them.

    Attributes:
        images: in memory, or in a store.
        masks: the label of every pixel; of contours 1 where one is, and 0.
        void: the label that is not counted, besides 255, which never is; None for no other.
        crop: (height, width) that is cut from each image at a random place; None for the whole.
        zoom: least and most of a factor, drawn evenly, by which images are enlarged before they are cut, by
            bilinear interpolation; masks take the nearest pixel's label.

    Raises:
        ValueError: images and masks do not fit, there are none, or a factor is not above 0.
    """

    images: Pixels
    masks: UInt8[Tensor, "n h w"] | MappedPixels
    void: int | None = None
    crop: Pair | None = None
    zoom: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        images, masks = tuple(self.images.shape), tuple(self.masks.shape)
        if not len(self.images) or masks != (images[0], *images[2:]):
            raise ValueError(
                f"images are {images} and masks {masks}: expected (n, 3, height, width) and (n, height, "
                "width), one image at least"
            )
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"`zoom` is {self.zoom}: expected two factors above 0, the least first")

    @property
    def size(self) -> Pair:
        """(height, width) of what a batch holds."""
        return (self.images.shape[2], self.images.shape[3]) if self.crop is None else self.crop


def train_dense(
    network: DenseNetwork,
    data: DenseData,
    recipe: Recipe = DENSE_FAST,
    *,
    seed: int = 0,
    weights: Float[Tensor, " classes"] | None = None,
    frozen: bool = False,
    what: bool = True,
    seconds: float | None = None,
    on_progress: OnProgress = silent,
    name: str = "train",
    stop: Callable[[], bool] = lambda: False,
) -> Fit:
    """Train a network in place, in memory; it is left on the best device there is, and in eval mode.

    Args:
        network: of one answer a pixel for contours, otherwise of as many as there are classes.
        data: what it is trained on.
        recipe: `DENSE_FAST`, or one of those that were published: `SEGNET`, `SEGNET_BASIC`, `DECONVNET`,
            `CEDN`.
        seed: of the order, the places of the crops, and dropout.
        weights: of each class; None for 1 each. Of contours: of none, and of one; None for 1 and 10.
        frozen: whether the encoder stays as it is, its statistics too.
        what: whether the decoder is given what the encoder found. Without, it draws from the switches and a
            constant alone, which it learns, from 1 on where it is 0; the encoder, which nothing reaches then,
            stays as it is.
        seconds: bound on the training, in place of the recipe's steps.
        on_progress: told often how far the training is, in steps.
        name: of the training, in progress and errors.
        stop: asked after each step whether to end before its time.

    Raises:
        ValueError: a mask has a label that is no class and not void; `weights` are not one for each class; or
            images are too small for the network.
        TrainingDiverged: the loss became NaN or infinite.
    """
    task = DenseTraining(network, weights, frozen, what)
    place(network, start_fabric(recipe.resolved()).device)
    feed = DenseFeed(network, data, recipe, seed)
    done = fit(task, feed.at, recipe, seconds, on_progress, name, stop)
    network.eval()
    return done


def train_in_stages(
    network: DenseNetwork,
    stages: Sequence[tuple[DenseData, Recipe]],
    *,
    seed: int = 0,
    weights: Float[Tensor, " classes"] | None = None,
    frozen: bool = False,
    on_progress: OnProgress = silent,
    name: str = "train",
) -> tuple[Fit, ...]:
    """One training after the other, as DeconvNet's: first of objects (`data.dense.crop_objects`), then whole.

    Args:
        network: as for `train_dense`, and so is the rest.
        stages: data and recipe of each.
        seed: of the first stage; each of the others has the next number.
    """
    return tuple(
        train_dense(
            network, data, recipe, seed=seed + number, weights=weights, frozen=frozen,
            on_progress=on_progress, name=f"{name}, stage {number + 1}",
        )
        for number, (data, recipe) in enumerate(stages)
    )  # fmt: skip


class DenseTraining(Phase):
    """The weighted loss of a network that answers for every pixel.

    Its metric is the share of pixels found right, void left out; of contours the F-measure at a strength of
    one half, pixel by pixel, without any tolerance.

    Args:
        network: trained in place.
        weights, frozen, what: see `train_dense`.

    Attributes:
        table: the weight of each label, 0 for void.
    """

    table: Tensor

    def __init__(
        self,
        network: DenseNetwork,
        weights: Float[Tensor, " classes"] | None = None,
        frozen: bool = False,
        what: bool = True,
    ) -> None:
        super().__init__()
        self.network, self._what, self._frozen = network, what, frozen or not what
        self._contours = network.shape.classes == 1
        self.metric = "F-measure" if self._contours else "accuracy"
        labels = max(2, network.shape.classes)
        if weights is None:
            weights = torch.tensor([1.0, CONTOUR_WEIGHT]) if self._contours else torch.ones(labels)
        if len(weights) != labels or not bool((weights >= 0).all()):
            raise ValueError(f"`weights` are {weights.tolist()}: expected {labels}, none below 0")
        if not what and not bool(network.decoder.constant.any()):
            # No gradient comes through zeros.
            nn.init.ones_(network.decoder.constant)
        self.register_buffer("table", torch.zeros(UNCOUNTED + 1), persistent=False)
        self.table[:labels] = weights.float()
        self.train()
        self.network.encoder.train(not self._frozen)

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        target: UInt8[Tensor, "n h w"],
        kept: list[Tensor],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and metric of one batch; the decoder's constant follows the features.

        Args:
            images: normalised.
            target: labels, 255 where nothing counts.
            kept: dropout, see `DenseNetwork.draw_kept`; empty for none.
        """
        rest = iter(kept) if kept else None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
            seen = self.network.encoder(images, rest)
        decoder, size = self.network.decoder, (images.shape[2], images.shape[3])
        if self._what:
            decoder.follow(seen.what)
        given = seen.what if self._what else None
        answers = decoder(size, given, seen.where, check=False, kept=rest).image.float()
        return self._contour_loss(answers[:, 0], target) if self._contours else self._loss(answers, target)

    def _loss(
        self, answers: Float[Tensor, "n classes h w"], target: UInt8[Tensor, "n h w"]
    ) -> tuple[Tensor, Tensor]:
        labels, classes = target.long(), answers.shape[1]
        whole = F.cross_entropy(
            answers, labels, self.table[:classes], ignore_index=UNCOUNTED, reduction="sum"
        ) / self.table[labels].sum().clamp(min=1e-6)
        counted = target != UNCOUNTED
        right = ((answers.detach().argmax(1) == labels) & counted).sum()
        return whole, right / counted.sum().clamp(min=1)

    def _contour_loss(
        self, answers: Float[Tensor, "n h w"], target: UInt8[Tensor, "n h w"]
    ) -> tuple[Tensor, Tensor]:
        weight, there = self.table[target.long()], target == 1
        each = F.binary_cross_entropy_with_logits(answers, there.float(), weight, reduction="sum")
        found = (answers.detach() > 0) & (target != UNCOUNTED)
        both = (found & there).sum()
        return each / weight.sum().clamp(min=1e-6), 2 * both / (found.sum() + there.sum()).clamp(min=1)


class DenseFeed:
    """Batches for `DenseTraining`: a function of seed and step alone.

    On a GPU, images and masks lie there where they take at most a quarter of its memory.

    Args:
        network: normalises the images, and says which planes have dropout; on the device of the training.
        data: what to cut from.
        recipe: its batch, and whether images are mirrored.
        seed: of all that is drawn.

    Raises:
        ValueError: a mask in memory has a label that is no class and not void, or images are too small for
            the network.
    """

    def __init__(self, network: DenseNetwork, data: DenseData, recipe: Recipe, seed: int) -> None:
        network.shape.sizes(data.size)
        self._network, self._data, self._seed = network, data, seed
        self._order = Order(len(data.images), recipe.batch, seed, recipe.reshuffle, recipe.flips)
        device = network.mean.device
        self._images = _near(data.images, device)
        self._masks = _near(_with_void(data, max(2, network.shape.classes)), device)

    def at(self, step: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Normalised images, their labels, and dropout."""
        device = self._network.mean.device
        numbers, mirrored = self._order.at(step)
        rows, columns = (each.to(device, non_blocking=True) for each in self._places(step, mirrored))
        images, masks = (_some(each, numbers, device) for each in (self._images, self._masks))
        target = _cut_masks(masks, rows, columns)
        if isinstance(self._masks, MappedPixels) and self._data.void is not None:
            target = torch.where(target == self._data.void, UNCOUNTED, target)
        cut = _cut_images(images, rows, columns, whole=self._data.zoom == (1.0, 1.0))
        generator = torch.Generator(device).manual_seed(self._seed * _SEEDS + step)
        kept = self._network.draw_kept(len(numbers), self._data.size, generator)
        return self._network.normalise(cut), target, kept

    def _places(self, step: int, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns of each image that a batch is cut from, (n, height) and (n, width)."""
        data, drawn = self._data, torch.Generator().manual_seed(self._seed * _SEEDS + step)
        shares = torch.rand(3, len(mirrored), generator=drawn)
        zoom = data.zoom[0] + (data.zoom[1] - data.zoom[0]) * shares[0]
        whole = tuple(data.images.shape[2:])
        rows, columns = (
            _along(share, side, length, zoom if data.zoom != (1.0, 1.0) else None)
            for share, side, length in zip(shares[1:], data.size, whole, strict=True)
        )
        return rows, torch.where(mirrored[:, None], columns.flip(1), columns)


def _along(
    share: Float[Tensor, " n"], side: int, length: int, zoom: Float[Tensor, " n"] | None
) -> Float[Tensor, "n side"]:
    """Places along an axis of so many pixels, at which `side` of them are read; whole ones without zoom."""
    if zoom is None:
        # As many places to begin at as there are; of a larger crop, before the image's first pixel.
        first = (share * (abs(length - side) + 1)).floor().clamp(max=abs(length - side))
        return (first if length >= side else -first)[:, None] + torch.arange(side)
    reach = side / zoom
    first = share * (length - reach)
    return first[:, None] + (torch.arange(side) + 0.5) / zoom[:, None] - 0.5


def _cut_masks(
    masks: UInt8[Tensor, "n h w"], rows: Float[Tensor, "n H"], columns: Float[Tensor, "n W"]
) -> UInt8[Tensor, "n H W"]:
    """The labels of the nearest pixels, void outside."""
    height, width = masks.shape[1:]
    down, right = rows.round().long(), columns.round().long()
    inside = ((down >= 0) & (down < height))[:, :, None] & ((right >= 0) & (right < width))[:, None]
    which = torch.arange(len(masks), device=masks.device)[:, None, None]
    down, right = down.clamp(0, height - 1), right.clamp(0, width - 1)
    return torch.where(inside, masks[which, down[:, :, None], right[:, None]], UNCOUNTED)


def _cut_images(
    images: UInt8[Tensor, "n c h w"],
    rows: Float[Tensor, "n H"],
    columns: Float[Tensor, "n W"],
    whole: bool,
) -> Float[Tensor, "n c H W"]:
    """Images in [0, 1] at these places, by bilinear interpolation where they are no whole numbers."""
    height, width = images.shape[2:]
    which = torch.arange(len(images), device=images.device)[:, None, None]

    def read(down: Tensor, right: Tensor) -> Tensor:
        down, right = down.long().clamp(0, height - 1), right.long().clamp(0, width - 1)
        return images[which, :, down[:, :, None], right[:, None]].float() / 255

    if whole:
        return read(rows, columns).permute(0, 3, 1, 2)
    top, left = rows.floor(), columns.floor()
    below, beside = (rows - top)[:, :, None, None], (columns - left)[:, None, :, None]
    above = torch.lerp(read(top, left), read(top, left + 1), beside)
    under = torch.lerp(read(top + 1, left), read(top + 1, left + 1), beside)
    return torch.lerp(above, under, below).permute(0, 3, 1, 2)


def _some(given: Tensor | MappedPixels, numbers: Int64[Tensor, " b"], device: torch.device) -> Tensor:
    if isinstance(given, Tensor):
        numbers = numbers.to(given.device, non_blocking=True)
    return given[numbers].to(device, non_blocking=True)


def _near(given: Tensor | MappedPixels, device: torch.device) -> Tensor | MappedPixels:
    """The same on a GPU, where that has room for it."""
    if device.type != "cuda" or not isinstance(given, Tensor):
        return given
    return given.to(device) if given.numel() < torch.cuda.mem_get_info(device)[0] / 4 else given


def _with_void(data: DenseData, labels: int) -> Tensor | MappedPixels:
    """Masks in memory whose void is 255, their labels looked at; those of a store as they are."""
    masks = data.masks
    if not isinstance(masks, Tensor):
        return masks
    if data.void is not None:
        masks = torch.where(masks == data.void, UNCOUNTED, masks)
    found = torch.bincount(masks.flatten(), minlength=UNCOUNTED + 1)
    strange = found[labels:UNCOUNTED].nonzero()
    if len(strange):
        raise ValueError(
            f"a mask has a label {labels + int(strange[0])}: expected 0 to {labels - 1}, or void"
        )
    return masks
