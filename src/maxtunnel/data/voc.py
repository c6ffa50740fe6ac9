"""Pascal VOC in its own layout: `JPEGImages`, `SegmentationClass`, `ImageSets/Segmentation/train.txt`.

Twenty classes and the background; a border of void lies around every object, label 255. Labels are colours of
VOC's palette: bit by bit a label's bits 0, 3 and 6 are the highest bits of red, 1, 4 and 7 those of green, 2
and 5 those of blue. Masks in grey levels are labels as they are.

Source: Everingham and others 2010, "The Pascal Visual Object Classes (VOC) Challenge"; the development kit.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from maxtunnel.data.dense import DenseSet, Labels, open_picture, read_lines
from maxtunnel.support.files import FormatError

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
VOID = 255
_UNKNOWN = 254  # a label that no class has, and no void


def read_voc(folder: str | Path, split: str = "train") -> DenseSet:
    """The images of one list, from a folder such as `VOC2012`.

    Args:
        folder: holds JPEGImages, SegmentationClass and ImageSets.
        split: the name of a list in ImageSets/Segmentation: `train`, `val`, `trainval`.

    Raises:
        FormatError: there is no such list, or one of its lines is no name.
    """
    listed = Path(folder, "ImageSets", "Segmentation", f"{split}.txt")
    names = read_lines(listed)
    for name in names:
        if Path(name).name != name:
            raise FormatError(f"{listed} has the line {name[:100]!r}: expected a name such as 2007_000032")
    images = tuple(Path(folder, "JPEGImages", f"{name}.jpg") for name in names)
    masks = tuple(Path(folder, "SegmentationClass", f"{name}.png") for name in names)
    return DenseSet(images, masks, CLASSES, VOID, split, read_voc_mask)


def palette() -> UInt8[np.ndarray, "256 3"]:
    """VOC's colour of every label: red, green and blue."""
    labels = np.arange(256)
    channels = [
        sum((labels >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)
    ]
    return np.stack(channels, 1).astype(np.uint8)


def read_voc_mask(path: Path) -> Labels:
    """The labels that a mask's colours stand for.

    Raises:
        FormatError: the file cannot be read, or has a colour that is in no mask of VOC's.
    """
    picture = open_picture(path)
    if picture.mode == "L":
        return torch.from_numpy(np.array(picture))[None]
    colours = np.array(picture.convert("RGB")).astype(np.int64)
    numbers = colours @ (1 << np.array([16, 8, 0]))
    labels = _labels()[numbers]
    if (labels == _UNKNOWN).any():
        wrong = colours[labels == _UNKNOWN][0].tolist()
        raise FormatError(
            f"{path} has the colour {wrong}, which is none of VOC's palette: expected its colours"
        )
    return torch.from_numpy(labels)[None]


@lru_cache(maxsize=1)
def _labels() -> UInt8[np.ndarray, " colours"]:
    """The label of every colour: of the 21 classes and void."""
    found = np.full(1 << 24, _UNKNOWN, np.uint8)
    known = [*range(len(CLASSES)), VOID]
    found[palette()[known].astype(np.int64) @ (1 << np.array([16, 8, 0]))] = known
    return found
