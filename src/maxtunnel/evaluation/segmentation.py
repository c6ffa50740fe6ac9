"""How well classes of pixels were found: mean intersection over union, and accuracies, of a whole set.

A set's numbers are of its pixels together, and so no means over images; their intervals come from drawing
images with replacement, and adding up the pixels of those drawn. Void is not counted anywhere: neither where
a class was to be found, nor where one was found.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.evaluation.intervals import Interval, bootstrap


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Pixels of every class, image by image, void left out.

    Attributes:
        hits: found as what they are.
        there: that are of the class.
        found: that were said to be of the class.
    """

    hits: Int64[Tensor, "n classes"]
    there: Int64[Tensor, "n classes"]
    found: Int64[Tensor, "n classes"]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.hits)

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        """These images, and then the others."""
        mine, theirs = ((each.hits, each.there, each.found) for each in (self, other))
        return PixelCounts(*(torch.cat(pair) for pair in zip(mine, theirs, strict=True)))


@dataclass(frozen=True)
class SegmentationScore:
    """What a set came to, each with its 95 % interval over images.

    Attributes:
        global_accuracy: share of all pixels that were found as what they are.
        class_accuracy: the same share of every class, mean over classes that are there.
        mean_iou: intersection over union, mean over classes that are there or were found.
        class_iou: that of each class; NaN for one that is neither.
    """

    global_accuracy: float
    class_accuracy: float
    mean_iou: float
    class_iou: tuple[float, ...]
    global_interval: Interval
    class_interval: Interval
    iou_interval: Interval


def count_pixels(
    found: Int64[Tensor, "n h w"],
    labels: UInt8[Tensor, "_ _ _"] | Int64[Tensor, "_ _ _"],
    classes: int,
    void: int | None = None,
) -> PixelCounts:
    """The counts of images.

    Args:
        found: the class that was said of each pixel, as `argmax` gives it.
        labels: the class of each pixel, or void.
        classes: how many there are.
        void: the label that is not counted; None where there is none.

    Raises:
        ValueError: shapes differ, or a label is neither a class nor void.
    """
    labels = labels.long()
    if found.shape != labels.shape:
        raise ValueError(f"`found` is {tuple(found.shape)}: expected {tuple(labels.shape)}, as the labels")
    counted = torch.ones_like(labels, dtype=torch.bool) if void is None else labels != void
    for name, values in (("found", found), ("labels", labels[counted])):
        strange = values[(values < 0) | (values >= classes)]
        if len(strange):
            raise ValueError(f"`{name}` has {int(strange[0])}: expected 0 to {classes - 1}")

    def each(values: Tensor, where: Tensor) -> Tensor:
        # What is not counted goes to a class of its own, which is cut off.
        numbers = torch.where(where, values, classes).flatten(1)
        return torch.stack([torch.bincount(row, minlength=classes + 1)[:classes] for row in numbers])

    return PixelCounts(each(labels, counted & (found == labels)), each(labels, counted), each(found, counted))


def score(counts: PixelCounts, draws: int = 2000, seed: int = 0) -> SegmentationScore:
    """Accuracies and mean IoU of a set.

    Args:
        counts: of its images.
        draws: how often images are drawn for the intervals.
        seed: of the draws.

    Raises:
        ValueError: no pixel of any image is counted.
    """
    if not bool(counts.there.any()):
        raise ValueError("all pixels are void: give images with labels")
    rows = torch.stack([counts.hits, counts.there, counts.found]).double().permute(0, 2, 1)
    whole = rows.sum(-1, keepdim=True)
    drawn = [
        bootstrap(rows, _drawn(measure), draws, seed)
        for measure in (global_accuracy, class_accuracy, mean_iou)
    ]
    return SegmentationScore(
        float(global_accuracy(whole)[0]),
        float(class_accuracy(whole)[0]),
        float(mean_iou(whole)[0]),
        tuple(class_iou(whole)[:, 0].tolist()),
        *drawn,
    )


def per_image(counts: PixelCounts) -> Float64[Tensor, " n"]:
    """Mean IoU of every image by itself, over classes that are there or were found; NaN where all is void."""
    return mean_iou(torch.stack([counts.hits, counts.there, counts.found]).double().permute(0, 2, 1))


def near_borders(
    labels: UInt8[Tensor, "n h w"] | Int64[Tensor, "n h w"], band: int, void: int | None = None
) -> Bool[Tensor, "n h w"]:
    """Which pixels lie at most `band` pixels, along rows and columns, from one beside another class.

    Borders with void are none. Source: Kohli, Ladicky, Torr 2009, "Robust Higher Order Potentials for
    Enforcing Label Consistency", whose trimaps are bands of several widths; the square shape is ours.

    Args:
        labels: the class of each pixel, or void.
        band: how far, in pixels, at least 1: the pixels on both sides of a border are 1 from it.
        void: the label that is not counted; None where there is none.
    """
    labels = labels.long()
    border = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (1, 2):
        size = labels.shape[axis] - 1
        one, other = labels.narrow(axis, 0, size), labels.narrow(axis, 1, size)
        differ = one != other
        if void is not None:
            differ &= (one != void) & (other != void)
        border.narrow(axis, 0, size).logical_or_(differ)
        border.narrow(axis, 1, size).logical_or_(differ)
    near = F.max_pool2d(border[:, None].float(), 2 * band - 1, 1, band - 1)[:, 0] > 0
    return near if void is None else near & (labels != void)


# Each takes hits, pixels there and pixels found, a column an image or a set of them.


def global_accuracy(rows: Float64[Tensor, "3 classes n"]) -> Float64[Tensor, " n"]:
    """Share of all pixels."""
    return rows[0].sum(0) / rows[1].sum(0)


def class_accuracy(rows: Float64[Tensor, "3 classes n"]) -> Float64[Tensor, " n"]:
    """Share of the pixels of each class, mean over those that are there."""
    return (rows[0] / rows[1]).nanmean(0)


def class_iou(rows: Float64[Tensor, "3 classes n"]) -> Float64[Tensor, "classes n"]:
    """Pixels that are of the class and were found so, by those that are or were; NaN where there are none."""
    return rows[0] / (rows[1] + rows[2] - rows[0])


def mean_iou(rows: Float64[Tensor, "3 classes n"]) -> Float64[Tensor, " n"]:
    """Mean over classes that are there or were found."""
    return class_iou(rows).nanmean(0)


def _drawn(measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The measure of means over images: of shares, as good as of sums."""
    return lambda means: measure(means).nan_to_num(0.0)
