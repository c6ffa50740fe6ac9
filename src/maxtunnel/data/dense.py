"""Images with an answer for every pixel: a class, or whether a contour is there.

| set | where it is read | classes |
|---|---|---|
| CamVid | `data.camvid` | 11, and void |
| VOC | `data.voc` | 21, the background among them, and void |
| Weizmann's horses | `data.horses` | 2 |
| BSDS500 | `data.bsds` | 2: a contour or none, by several annotators |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.images import read_image, resize
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError, one_line
from maxtunnel.switches.window import Pair, sides

Labels = UInt8[Tensor, "k h w"]  # of one image, by each of k annotators
UNCOUNTED = 255  # the label of pixels that are not counted, whatever a set's own void is


@dataclass(frozen=True, eq=False)
class DenseSet:
    """One split of a set; its images and masks may differ in size, and are read when asked for.

    Attributes:
        images: their files.
        masks: the file of each image's labels.
        class_names: the name of each label.
        void: the label of pixels that are not counted; None where there is no such label.
        split: which part of the set it is.
        read: the labels that a file of masks holds.
        contours: whether labels are contours one pixel wide, which several annotators may have drawn.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    class_names: tuple[str, ...]
    void: int | None
    split: str
    read: Callable[[Path], Labels]
    contours: bool = False

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    def image(self, number: int) -> UInt8[Tensor, "3 h w"]:
        """The pixels of an image; FormatError where it cannot be read."""
        return read_image(self.images[number])

    def labels(self, number: int) -> Labels:
        """The labels of an image, by each of its annotators.

        Raises:
            FormatError: the file is missing or damaged, or has a label that is neither a class nor void.
        """
        path = self.masks[number]
        found = self.read(path)
        known = torch.zeros(256, dtype=torch.bool)
        known[: len(self.class_names)] = True
        if self.void is not None:
            known[self.void] = True
        strange = found[~known[found.long()]]
        if len(strange):
            also = "" if self.void is None else f", or {self.void} for void"
            raise FormatError(
                f"{path} has a label {int(strange[0])}: expected 0 to {len(self.class_names) - 1}{also}"
            )
        return found

    def pair(self, number: int) -> tuple[UInt8[Tensor, "3 h w"], Labels]:
        """Image and labels; FormatError where one cannot be read, or they differ in size."""
        image, labels = self.image(number), self.labels(number)
        if image.shape[1:] != labels.shape[1:]:
            raise FormatError(
                f"{self.masks[number]} is of {sides(_size(labels))}: expected {sides(_size(image))}, as its "
                "image"
            )
        return image, labels

    def part(self, numbers: Sequence[int]) -> "DenseSet":
        """Some of its images, in the order of their numbers here."""
        images, masks = (tuple(files[number] for number in numbers) for files in (self.images, self.masks))
        return replace(self, images=images, masks=masks)

    def load(
        self, size: Pair | None = None, method: Resize = "bilinear"
    ) -> tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "n h w"]]:
        """All images and masks in memory, at one size.

        Args:
            size: (height, width) that they are brought to, the aspect ratio not kept: images as
                `images.resize` does, of masks the nearest pixel's label. None where they have one already.
            method: of the images.

        Raises:
            FormatError: as `pair`.
            ValueError: images differ in size, or have several annotators.
        """
        images, masks = [], []
        for number in range(len(self)):
            image, labels = self.pair(number)
            if len(labels) != 1:
                raise ValueError(
                    f"{self.masks[number]} has {len(labels)} annotators: take them one by one, with `labels`"
                )
            images.append(image if size is None else resize(image, size, method))
            masks.append(labels[0] if size is None else resize_labels(labels, size)[0])
            if images[-1].shape != images[0].shape:
                raise ValueError(
                    f"{self.images[number]} is of {sides(_size(image))}, another of "
                    f"{sides(_size(images[0]))}: give a `size` for all"
                )
        return torch.stack(images), torch.stack(masks)


def resize_labels(labels: UInt8[Tensor, "k h w"], size: Pair) -> UInt8[Tensor, "k H W"]:
    """Labels at (height, width) `size`: that of the pixel whose centre is nearest."""
    return F.interpolate(labels[None], size, mode="nearest-exact")[0]


def resize_contours(contours: UInt8[Tensor, "k h w"], size: Pair) -> UInt8[Tensor, "k H W"]:
    """Contours at (height, width) `size`: 1 where one lies anywhere in the area that a new pixel covers.

    The nearest pixel's label, as for classes, would tear lines that are one pixel wide.
    """
    return F.adaptive_max_pool2d(contours[None].float(), size)[0].to(torch.uint8)


def consensus(
    contours: UInt8[Tensor, "k h w"], least: float = 0.5, void: int = UNCOUNTED
) -> UInt8[Tensor, "h w"]:
    """What several annotators say together: 1 where many drew a contour, 0 where nobody did.

    Args:
        contours: of each annotator.
        least: the share of them that has to have drawn one.
        void: the label where some did, but too few, which are neither a contour nor none.

    Raises:
        ValueError: the share is not above 0, or above 1.
    """
    if not 0 < least <= 1:
        raise ValueError(f"`least` is {least}: expected a share above 0, at most 1")
    drew = contours.sum(0)
    many = drew >= least * len(contours)
    return torch.where(many, 1, torch.where(drew > 0, void, 0)).to(torch.uint8)


def load_contours(
    dense: DenseSet, size: Pair, least: float = 0.5, method: Resize = "antialias"
) -> tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "n h w"]]:
    """All images of a set of contours and their annotators' consensus in memory, at one size.

    Args:
        dense: the set.
        size: (height, width) they are brought to, the aspect ratio not kept. An image that is upright where
            the size is not, or the other way round, is turned by 90 degrees first (`turned`).
        least: see `consensus`; of contours at the new size.
        method: of the images, see `images.resize`.

    Raises:
        FormatError: as `DenseSet.pair`.
    """
    images, targets = [], []
    for number in range(len(dense)):
        image, labels = (turned(planes, size) for planes in dense.pair(number))
        images.append(resize(image, size, method))
        targets.append(consensus(resize_contours(labels, size), least))
    return torch.stack(images), torch.stack(targets)


def turned(planes: UInt8[Tensor, "c h w"], size: Pair) -> UInt8[Tensor, "c _ _"]:
    """The planes, turned by 90 degrees where they are upright and (height, width) `size` is not, or so."""
    (height, width), (high, wide) = _size(planes), size
    return planes.rot90(1, (1, 2)) if (height > width) != (high > wide) and height != width else planes


def crop_objects(
    images: UInt8[Tensor, "n 3 h w"],
    masks: UInt8[Tensor, "n h w"],
    size: Pair,
    void: int | None = None,
    *,
    background: int = 0,
    margin: float = 1.2,
    least: int = 8,
) -> tuple[UInt8[Tensor, "m 3 H W"], UInt8[Tensor, "m H W"]]:
    """A cut-out round each object, in which everything else is background: DeconvNet's first stage.

    An object is all that an image has of one class: masks of classes do not tell one from another of its
    kind.

    Args:
        images, masks: those that objects are looked for in.
        size: (height, width) of the cut-outs, the aspect ratio not kept.
        void: the label that is not counted; it stays where it is.
        background: the class that is no object.
        margin: sides of a cut-out by those of the object, as far as the image goes.
        least: pixels of the shorter side below which an object is left out.

    Raises:
        ValueError: no object is that large.
    """
    found: list[tuple[Tensor, Tensor]] = []
    for image, mask in zip(images, masks, strict=True):
        for label in mask.unique().tolist():
            if label in (background, void, UNCOUNTED):
                continue
            rows, columns = (mask == label).nonzero().unbind(1)
            if min(int(axis.max() - axis.min()) + 1 for axis in (rows, columns)) < least:
                continue
            box = _around(rows, margin, mask.shape[0]), _around(columns, margin, mask.shape[1])
            kept = (mask == label) | (mask == UNCOUNTED) | (mask == (UNCOUNTED if void is None else void))
            alone = torch.where(kept, mask, background)
            found.append(
                (resize(image[:, *box], size, "antialias"), resize_labels(alone[None, *box], size)[0])
            )
    if not found:
        raise ValueError(f"no object has {least} pixels a side: give masks with larger ones")
    cut_images, cut_masks = zip(*found, strict=True)
    return torch.stack(cut_images), torch.stack(cut_masks)


def _around(places: Int64[Tensor, " p"], margin: float, length: int) -> slice:
    """From the first to the last of some places along an axis, and a margin around."""
    first, last = int(places.min()), int(places.max()) + 1
    more = (margin - 1) / 2 * (last - first)
    return slice(max(0, round(first - more)), min(length, round(last + more)))


def read_label_image(path: Path) -> Labels:
    """The labels of an image file whose grey levels, or numbers of colours, they are.

    Raises:
        FormatError: the file is missing, no image, or of several channels.
    """
    picture = open_picture(path)
    if picture.mode not in ("L", "P", "1"):
        raise FormatError(
            f"{path} has pixels of mode {picture.mode}: expected labels in one channel of 8 bits"
        )
    return torch.from_numpy(np.array(picture, dtype=np.uint8))[None]


def open_picture(path: Path) -> Image.Image:
    """An image file of masks, decoded; FormatError where that cannot be done."""
    try:
        with Image.open(path, formats=("PNG", "BMP", "JPEG", "GIF", "TIFF")) as picture:
            picture.load()
            return picture
    except FileNotFoundError:
        raise FormatError(f"{path} is missing: expected the mask of an image") from None
    except UnidentifiedImageError:
        raise FormatError(f"{path} is no image of masks: expected a PNG file") from None
    # Pillow's decoders answer damage with nearly any exception: SyntaxError, struct.error, ...
    except Exception as error:
        raise FormatError(f"{path} cannot be read ({one_line(error)}): get it again") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a list of images, empty ones left out; FormatError where there are none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read ({one_line(error)}): it lists the images") from None
    if not any(lines):
        raise FormatError(f"{path} is empty: it lists the images")
    return [line for line in lines if line]


def _size(planes: Tensor) -> Pair:
    return planes.shape[-2], planes.shape[-1]


def count_labels(dense: DenseSet) -> Int64[Tensor, "n classes"]:
    """How many pixels of each class every image has, void left out; of several annotators, all together."""
    counts = [torch.bincount(dense.labels(number).flatten(), minlength=256) for number in range(len(dense))]
    if dense.void is not None and dense.void < len(dense.class_names):
        raise ValueError(f"`void` is {dense.void}, which is a class too: expected another number")
    return torch.stack(counts)[:, : len(dense.class_names)]


def count_masks(masks: UInt8[Tensor, "n h w"], classes: int) -> Int64[Tensor, "n classes"]:
    """How many pixels of each class every mask in memory has; other labels, such as void, are left out."""
    return torch.stack([torch.bincount(mask.flatten(), minlength=256) for mask in masks])[:, :classes]


def median_frequency(counts: Int64[Tensor, "n classes"]) -> Float64[Tensor, " classes"]:
    """Weights that balance classes: the median of their frequencies by each one's own.

        frequency of a class = its pixels / pixels of all images in which it occurs

    Void has no frequency, and its pixels count nowhere.

    Source: Eigen and Fergus 2015 (arXiv 1411.4734), as SegNet's paper uses it. The weights in the authors'
    files (`segnet_train.prototxt`) are not these: for CamVid's 367 images these are 2 to 20 % larger, but for
    signs, 3.85 to 9.6446. With void as a twelfth class in the median all but signs come within 10 %.

    Args:
        counts: pixels of every class in each image (`count_labels`, `count_masks`).

    Raises:
        ValueError: a class occurs in no image.
    """
    present = counts > 0
    if not bool(present.any(0).all()):
        missing = int((~present.any(0)).nonzero()[0])
        raise ValueError(f"class {missing} occurs in no image: give images with every class")
    whole = (counts.sum(1, keepdim=True) * present).sum(0)
    frequency = counts.sum(0).double() / whole
    return frequency.quantile(0.5) / frequency


def balance_classes(masks: UInt8[Tensor, "n h w"], classes: int) -> Float[Tensor, " classes"]:
    """Weights by `median_frequency` over masks in memory; 0 for a class that is in none of them."""
    counts = count_masks(masks, classes)
    there = counts.sum(0) > 0
    weights = torch.zeros(classes)
    weights[there] = median_frequency(counts[:, there]).float()
    return weights
