"""SVHN's own files of cropped digits: `train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat`.

`X` is (row, column, channel, image), `y` the digit, 10 for a 0: http://ufldl.stanford.edu/housenumbers/.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from maxtunnel.data.labelled import LabelledSet, Split, check_labels
from maxtunnel.support.files import FormatError, one_line
from maxtunnel.support.memory import free_memory

_SIDE, _CLASSES = 32, 10
_SPLITS = ("train", "test", "extra")


def holds_svhn(folder: str | Path) -> bool:
    """Whether a folder has SVHN's own files."""
    return any(Path(folder, f"{split}_32x32.mat").is_file() for split in _SPLITS)


def read_svhn(folder: str | Path, split: Split = "train") -> LabelledSet:
    """The `train`, `test` or `extra` images from the folder with SVHN's own files.

    Raises:
        FormatError: the file is missing, cut short, damaged or of another kind.
        ValueError: SciPy, which reads such files, is not installed, or there is no memory for so many.
    """
    if split not in _SPLITS:
        raise ValueError(f"`split` is {split!r}: SVHN has {', '.join(_SPLITS)}")
    path = Path(folder, f"{split}_32x32.mat")
    pixels, labels = _load(path)
    check_labels(path, labels, _CLASSES, first=1)
    return LabelledSet(
        torch.from_numpy(np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))),
        torch.from_numpy(labels.astype(np.int64)) % _CLASSES,
        tuple(map(str, range(_CLASSES))),
        split,
    )


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """X as it is, and y flat."""
    try:
        from scipy.io import loadmat, whosmat
    except ImportError:
        raise ValueError(f"{path} is read by SciPy: pip install scipy") from None
    if not path.is_file():
        raise FormatError(f"{path} is missing: give the folder with SVHN's own files")
    # The shapes are looked at before anything is expanded.
    with _reading(path):
        shapes = {name: shape for name, shape, _ in whosmat(path)}
    images = _images(path, shapes)
    if 2 * images * 3 * _SIDE**2 > free_memory():
        raise ValueError(f"{path} has {images:,} images, for which no memory is free here")
    with _reading(path):
        found = loadmat(path, variable_names=["X", "y"])
        pixels, labels = found["X"], found["y"].reshape(-1)
    if pixels.dtype != np.uint8 or labels.dtype.kind not in "ui":
        raise FormatError(f"{path} holds {pixels.dtype} and {labels.dtype}: expected bytes")
    return pixels, labels.clip(0, 255).astype(np.uint8)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """SciPy's reader answers damage with nearly any exception."""
    try:
        yield
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise FormatError(
            f"{path} is cut short, damaged or of another kind ({reason}): get it again"
        ) from error


def _images(path: Path, shapes: dict[str, tuple[int, ...]]) -> int:
    """How many images a file holds that has variables of these shapes."""
    pixels, labels = shapes.get("X", ()), shapes.get("y", ())
    if len(pixels) != 4 or pixels[:3] != (_SIDE, _SIDE, 3) or labels not in ((pixels[3], 1), (1, pixels[3])):
        raise FormatError(
            f"{path} holds X {pixels} and y {labels}: expected (32, 32, 3, n) and (n, 1), as SVHN has them"
        )
    return pixels[3]
