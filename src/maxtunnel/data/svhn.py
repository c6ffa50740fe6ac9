"""SVHN's own files of cropped digits: `train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat`.

`X` is (row, column, channel, image), `y` the digit, 10 for a 0: http://ufldl.stanford.edu/housenumbers/.
"""

from pathlib import Path

import numpy as np
import torch

from maxtunnel.data.labelled import LabelledSet, Split, check_labels, check_memory
from maxtunnel.data.matlab import reading_matlab
from maxtunnel.support.files import FormatError

_SIDE, _CLASSES = 32, 10
_SPLITS: tuple[Split, ...] = ("train", "test", "extra")


def holds_svhn(folder: str | Path) -> bool:
    """Whether a folder has SVHN's own files."""
    return any(Path(folder, *svhn_files(split)).is_file() for split in _SPLITS)


def svhn_files(split: Split) -> tuple[str, ...]:
    """Names of SVHN's own files of a split; none of a split that SVHN has not."""
    return (f"{split}_32x32.mat",) if split in _SPLITS else ()


def read_svhn(folder: str | Path, split: Split = "train") -> LabelledSet:
    """The `train`, `test` or `extra` images from the folder with SVHN's own files.

    Raises:
        FormatError: the file is missing, cut short, damaged or of another kind.
        ValueError: SciPy, which reads such files, is not installed, or there is no memory for so many.
    """
    if split not in _SPLITS:
        raise ValueError(f"`split` is {split!r}: SVHN has {', '.join(_SPLITS)}")
    path = Path(folder, *svhn_files(split))
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
    # Shapes and types are looked at before anything is expanded.
    with reading_matlab(path):
        held = {name: (shape, kind) for name, shape, kind in whosmat(path)}
    check_memory(path, 2 * _images(path, held) * 3 * _SIDE**2)
    with reading_matlab(path):
        found = loadmat(path, variable_names=["X", "y"])
        pixels, labels = found["X"], found["y"].reshape(-1)
    if pixels.dtype != np.uint8 or labels.dtype.kind not in "ui":
        raise FormatError(f"{path} holds {pixels.dtype} and {labels.dtype}: expected bytes")
    return pixels, labels.clip(0, 255).astype(np.uint8)


def _images(path: Path, held: dict[str, tuple[tuple[int, ...], str]]) -> int:
    """How many images a file holds that has variables of these shapes and types."""
    (pixels, kind), (labels, _) = (held.get(name, ((), "nothing")) for name in "Xy")
    if len(pixels) != 4 or pixels[:3] != (_SIDE, _SIDE, 3) or labels not in ((pixels[3], 1), (1, pixels[3])):
        raise FormatError(
            f"{path} holds X {pixels} and y {labels}: expected (32, 32, 3, n) and (n, 1), as SVHN has them"
        )
    if kind != "uint8":
        raise FormatError(f"{path} holds X as {kind}: expected uint8, as SVHN has it")
    return pixels[3]
