"""Weizmann's horses: a folder of images, and a folder of masks of the same names.

A mask has two values, of which the larger one is the horse. Source: Borenstein and Ullman 2002,
"Class-Specific, Top-Down Segmentation"; 327 or 328 images, as copies have them.
"""

from pathlib import Path

import numpy as np
import torch

from maxtunnel.data.dense import DenseSet, Labels, open_picture
from maxtunnel.data.folders import list_images
from maxtunnel.support.files import FormatError

CLASSES = ("background", "horse")
_HALF = 127  # of 255


def read_horses(images: str | Path, masks: str | Path, split: str = "all") -> DenseSet:
    """All images of one folder whose mask lies in the other.

    Args:
        images: the folder of images.
        masks: that of masks; a mask has its image's name, but for the suffix.
        split: what the set is to be called; the horses have no split of their own.

    Raises:
        FormatError: an image has no mask, or two; or there are no images.
    """
    found = list_images(images)
    if not found:
        raise FormatError(f"{images} has no images: give the folder of horses")
    of_name: dict[str, list[Path]] = {}
    for path in list_images(masks):
        of_name.setdefault(path.stem, []).append(path)
    for path in found:
        if len(of_name.get(path.stem, [])) != 1:
            count = len(of_name.get(path.stem, []))
            raise FormatError(f"{path} has {count} masks in {masks}: expected one, called {path.stem}")
    return DenseSet(
        tuple(found), tuple(of_name[path.stem][0] for path in found), CLASSES, None, split, read_two_values
    )


def read_two_values(path: Path) -> Labels:
    """A mask of two values: 1 where the larger one is, and 0; all 0 where there is no value but 0.

    In a JPEG file, as the masks of most copies are, the two are blurred: there 1 is above half.

    Raises:
        FormatError: the file cannot be read, or has more than two grey levels and is no JPEG file.
    """
    picture = open_picture(path)
    values = np.array(picture.convert("L"))
    if picture.format == "JPEG":
        return torch.from_numpy((values > _HALF).astype(np.uint8))[None]
    found = np.unique(values)
    if len(found) > 2 or (len(found) == 2 and found[0] != 0):
        raise FormatError(f"{path} has the grey levels {found[:4].tolist()}: expected 0 and one other")
    return torch.from_numpy((values > 0).astype(np.uint8))[None]
