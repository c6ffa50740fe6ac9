"""Images with their classes, as the sets have them that learning with few labels is measured on."""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.support.files import FormatError
from maxtunnel.support.memory import free_memory

# `extra` is SVHN's second set to train on, `unlabelled` STL-10's.
Split = Literal["train", "test", "extra", "unlabelled"]
UNKNOWN = -1  # the label of an image whose class nobody says


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """The images of one split, in memory.

    Attributes:
        pixels: grey images have one channel, others red, green and blue.
        labels: a number into `class_names` for each image; -1 where no class is known.
        class_names: the name of each label.
        split: which part of the set it is.
    """

    pixels: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    class_names: tuple[str, ...]
    split: Split

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[2], self.pixels.shape[3]

    def part(self, numbers: Int64[Tensor, " m"]) -> "LabelledSet":
        """Some of its images, in the order of their numbers here."""
        return LabelledSet(self.pixels[numbers], self.labels[numbers], self.class_names, self.split)


def labels_for(labels: Int64[Tensor, " n"], count: int, seed: int) -> Int64[Tensor, " count"]:
    """The numbers of the images that are to count as labelled, in ascending order: as many of each class.

    What a seed draws for fewer labels is among what it draws for more.

    Args:
        labels: of all images; those that are -1 are never drawn.
        count: how many to draw; all others count as unlabelled.
        seed: of the draw.

    Raises:
        ValueError: `count` cannot be shared evenly among the classes, or a class has fewer images.
    """
    sizes = torch.bincount(labels[labels != UNKNOWN])
    classes = sizes.nonzero().flatten().tolist()
    if not classes:
        raise ValueError("no image has a label: give a set with classes")
    each = labels_each(count, len(classes))
    fewest = int(sizes[classes].min())
    if each > fewest:
        raise ValueError(
            f"{count} labels are {each} a class, but a class has {fewest} images only: give at most "
            f"{fewest * len(classes)}"
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    drawn = [order[labels[order] == number][:each] for number in classes]
    return torch.cat(drawn).sort().values


def labels_each(count: int, classes: int) -> int:
    """How many of `count` labels each class has; ValueError where they cannot be shared evenly."""
    each, left = divmod(count, classes)
    if count < 1 or left:
        raise ValueError(
            f"{count} labels cannot be shared evenly among {classes} classes: give a multiple of it"
        )
    return each


def held_out(labels: Int64[Tensor, " n"], share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of the images to train on, and of the share of every class that is kept from it."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for number in labels.unique().tolist():
        members = order[labels[order] == number]
        kept[members[: round(share * len(members))]] = True
    return (~kept).nonzero().flatten(), kept.nonzero().flatten()


def check_pair(trained: LabelledSet, tested: LabelledSet) -> None:
    """Refuse images to test on that do not go with those to train on.

    Raises:
        ValueError: the two name other classes, so that a label would not mean the same in both, or most
            images to test on are among those to train on.
    """
    if tested.class_names != trained.class_names:
        names = zip_longest(trained.class_names, tested.class_names)
        one, other = next(pair for pair in names if pair[0] != pair[1])
        raise ValueError(
            f"class {one} of the images to train on stands where {other} does among the test images: give "
            "both of one set"
        )
    # Numbers in the place of images, which would be in memory twice.
    known = {hash(image.tobytes()) for image in trained.pixels.numpy()}
    seen = sum(hash(image.tobytes()) in known for image in tested.pixels.numpy())
    # A few are twice in sets as they were published.
    if 2 * seen > len(tested):
        raise ValueError(
            f"{seen:,} of the {len(tested):,} images to test on are among those to train on: give a test set "
            "that was not trained on"
        )


def read_records(path: Path, length: int, what: str) -> UInt8[np.ndarray, "n length"]:
    """A file of records of one length, as it lies on disk; nothing is read before it is asked for.

    Raises:
        FormatError: the file is missing, empty, or its size is no whole number of records.
        ValueError: there is no memory for what it holds.
    """
    size = path.stat().st_size if path.is_file() else None
    if not size or size % length:
        found = "is missing" if size is None else f"has {size:,} bytes"
        raise FormatError(f"{path} {found}: expected whole records of {length:,} bytes each, {what}")
    check_memory(path, size)
    return np.memmap(path, np.uint8, "r").reshape(-1, length)


def check_memory(path: Path, size: int) -> None:
    """Refuse what takes more than the free memory, in bytes, before it is taken."""
    if size > free_memory():
        raise ValueError(f"{path} takes {size / 1e9:.1f} GB of memory, which is not free here")


def check_labels(path: Path, labels: UInt8[np.ndarray, " n"], classes: int, first: int = 0) -> None:
    """Refuse labels outside `first` .. `first` + `classes` - 1."""
    low, high = int(labels.min(initial=first)), int(labels.max(initial=first))
    if low < first or high >= first + classes:
        wrong = low if low < first else high
        raise FormatError(
            f"{path} has a label {wrong}, expected {first} to {first + classes - 1}: "
            "it is damaged or of another kind"
        )


def read_names(path: Path, count: int) -> tuple[str, ...]:
    """A file of class names, one a line, exactly `count`; `0`, `1`, ... where there is no such file.

    Raises:
        FormatError: it cannot be read, or holds another number of names.
    """
    if not path.exists():
        return tuple(map(str, range(count)))
    try:
        names = tuple(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read ({error}): get it again, or delete it") from None
    if len(names) != count:
        raise FormatError(f"{path} has {len(names)} names, expected {count}: get it again, or delete it")
    return names
