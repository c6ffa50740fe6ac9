"""BSDS500: photographs, and the contours that each of several annotators drew in them.

`images/{train,val,test}/*.jpg` and `groundTruth/{train,val,test}/*.mat` of 200, 100 and 200 photographs of
481 x 321 pixels or 321 x 481. A file's `groundTruth` has a cell an annotator, with `Segmentation` and
`Boundaries`, of which the latter are read.

Source: Arbelaez, Maire, Fowlkes, Malik 2011 (IEEE TPAMI 33(5)); github.com/BIDS/BSDS500, folder BSDS500/data.
"""

from pathlib import Path

import numpy as np
import torch

from maxtunnel.data.dense import DenseSet, Labels
from maxtunnel.data.matlab import reading_matlab
from maxtunnel.support.files import FormatError

CLASSES = ("no contour", "contour")
_SPLITS = ("train", "val", "test")


def read_bsds(folder: str | Path, split: str = "train") -> DenseSet:
    """The photographs of one split from the folder with `images` and `groundTruth`, sorted by name.

    Raises:
        FormatError: there are no such photographs. Of a missing or damaged annotation, when it is read.
    """
    if split not in _SPLITS:
        raise ValueError(f"`split` is {split!r}: BSDS500 has {', '.join(_SPLITS)}")
    images = tuple(sorted(Path(folder, "images", split).glob("*.jpg")))
    if not images:
        raise FormatError(
            f"{folder} has no images/{split} with photographs: give BSDS500's folder data, in which images "
            "and groundTruth lie"
        )
    masks = tuple(Path(folder, "groundTruth", split, f"{path.stem}.mat") for path in images)
    return DenseSet(images, masks, CLASSES, None, split, read_contours, contours=True)


def read_contours(path: Path) -> Labels:
    """Where each annotator drew a contour: 1 there, 0 elsewhere.

    Raises:
        FormatError: the file is missing, damaged, or holds no contours of one size.
        ValueError: SciPy, which reads such files, is not installed.
    """
    if not path.is_file():
        raise FormatError(f"{path} is missing: expected the annotations of a photograph")
    with reading_matlab(path):
        from scipy.io import loadmat

        found = loadmat(path, variable_names=["groundTruth"])["groundTruth"]
        contours = [np.asarray(each["Boundaries"][0, 0]) for each in found.reshape(-1)]
        stacked = np.stack(contours)
    if stacked.ndim != 3 or stacked.dtype.kind not in "ub" or stacked.max(initial=0) > 1:
        raise FormatError(
            f"{path} holds contours of shape {stacked.shape} and type {stacked.dtype}: expected planes of 0 "
            "and 1"
        )
    return torch.from_numpy(stacked.astype(np.uint8))
