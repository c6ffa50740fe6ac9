"""The binary files of CIFAR-10, CIFAR-100 and STL-10.

CIFAR (https://www.cs.toronto.edu/~kriz/cifar.html, "binary version"): records of one label (CIFAR-100: a
coarse and a fine one), and 3072 bytes, channel by channel, row by row. STL-10
(https://cs.stanford.edu/~acoates/stl10/): 96x96 pixels channel by channel, column by column; labels from 1 in
files of their own.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data.labelled import UNKNOWN, LabelledSet, Split, check_labels, read_names, read_records
from maxtunnel.support.files import FormatError

_CIFAR_SIDE, _STL_SIDE = 32, 96
# Of each set: files of its splits, how many labels a record begins with, the last of which counts, the number
# of classes, and the file of their names.
_CIFAR = {
    "cifar10": (
        {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]},
        1, 10, "batches.meta.txt",
    ),
    "cifar100": ({"train": ["train.bin"], "test": ["test.bin"]}, 2, 100, "fine_label_names.txt"),
}  # fmt: skip
_STL10: dict[str, tuple[str, ...]] = {
    "train": ("train_X.bin", "train_y.bin"),
    "test": ("test_X.bin", "test_y.bin"),
    "unlabelled": ("unlabeled_X.bin",),
}
_STL_CLASSES, _STL_FOLDS, _STL_FOLD = 10, 10, 1000


def holds_cifar(folder: str | Path, name: str) -> bool:
    """Whether a folder has the binary files of `cifar10` or `cifar100`.

    Raises:
        FormatError: it has the pickled ones instead.
    """
    names = [name for files in _CIFAR[name][0].values() for name in files]
    if any(Path(folder, name).is_file() for name in names):
        return True
    pickled = [
        name for name in (*(Path(name).stem for name in names), "meta") if Path(folder, name).is_file()
    ]
    if pickled:
        raise FormatError(
            f"{Path(folder, pickled[0])} is a pickle, and opening one runs whatever is in it: get the binary "
            "version of the set"
        )
    return False


def cifar_files(name: str, split: Split) -> tuple[str, ...]:
    """Names of the binary files of a split; none of a split that the set has not."""
    return tuple(_CIFAR[name][0].get(split, ()))


def read_cifar(folder: str | Path, name: str, split: Split = "train") -> LabelledSet:
    """The `train` or the `test` images from a folder with the binary files of `cifar10` or `cifar100`.

    Of CIFAR-100 the labels are the fine ones.

    Raises:
        FormatError: a file is missing, cut short or of another kind.
    """
    splits, labels, classes, names = _CIFAR[name]
    if split not in splits:
        raise ValueError(f"`split` is {split!r}: {name} has train and test")
    values = 3 * _CIFAR_SIDE**2
    found = []
    for file in splits[split]:
        path = Path(folder, file)
        records = read_records(path, labels + values, f"{labels} of them labels, as {name} has them")
        check_labels(path, records[:, labels - 1], classes)
        found.append(records)
    whole = np.concatenate(found)
    return LabelledSet(
        torch.from_numpy(whole[:, labels:].copy()).view(-1, 3, _CIFAR_SIDE, _CIFAR_SIDE),
        torch.from_numpy(whole[:, labels - 1].astype(np.int64)),
        read_names(Path(folder, names), classes),
        split,
    )


def holds_stl10(folder: str | Path) -> bool:
    """Whether a folder has STL-10's own files."""
    return any(Path(folder, names[0]).is_file() for names in _STL10.values())


def stl10_files(split: Split) -> tuple[str, ...]:
    """Names of STL-10's own files of a split, images first; none of a split that STL-10 has not."""
    return _STL10.get(split, ())


def read_stl10(folder: str | Path, split: Split = "train") -> LabelledSet:
    """The `train`, `test` or `unlabelled` images from the folder with STL-10's own files.

    The unlabelled ones are 100,000, and take 2.8 GB of memory; their labels are -1.

    Raises:
        FormatError: a file is missing, cut short or of another kind.
        ValueError: there is no memory for so many.
    """
    names = stl10_files(split)
    if not names:
        raise ValueError(f"`split` is {split!r}: STL-10 has train, test and unlabelled")
    path = Path(folder, names[0])
    records = read_records(path, 3 * _STL_SIDE**2, "3 channels of 96x96 pixels")
    # From channel, column, row to channel, row, column.
    pixels = torch.from_numpy(records.reshape(-1, 3, _STL_SIDE, _STL_SIDE).swapaxes(2, 3).copy())
    classes = read_names(Path(folder, "class_names.txt"), _STL_CLASSES)
    if split == "unlabelled":
        return LabelledSet(pixels, torch.full((len(pixels),), UNKNOWN), classes, split)
    return LabelledSet(pixels, _stl10_labels(Path(folder, names[1]), len(pixels)), classes, split)


def stl10_folds(folder: str | Path) -> Int64[Tensor, "10 1000"]:
    """The numbers of the training images of each of STL-10's ten folds.

    Raises:
        FormatError: fold_indices.txt is missing or of another kind.
    """
    path = Path(folder, "fold_indices.txt")
    try:
        lines = path.read_text(encoding="ascii").split("\n")
        folds = [[int(number) for number in line.split()] for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read ({error}): get it again") from None
    if [len(fold) for fold in folds] != [_STL_FOLD] * _STL_FOLDS:
        raise FormatError(f"{path} should have {_STL_FOLDS} lines of {_STL_FOLD} numbers: get it again")
    found = torch.tensor(folds)
    if int(found.min()) < 0 or int(found.max()) >= 5 * _STL_FOLD:
        raise FormatError(f"{path} names an image that is not among the {5 * _STL_FOLD}: get it again")
    return found


def _stl10_labels(path: Path, images: int) -> Int64[Tensor, " n"]:
    labels: UInt8[np.ndarray, " n"] = read_records(path, 1, "a label each")[:, 0]
    if len(labels) != images:
        raise FormatError(f"{path} has {len(labels)} labels, expected {images}: get it again")
    check_labels(path, labels, _STL_CLASSES, first=1)
    return torch.from_numpy(labels.astype(np.int64)) - 1
