"""MNIST's own files: `train-images-idx3-ubyte` and its like, as they are or gzipped (.gz).

A file is a head of big-endian words (0x0803 for images, 0x0801 for labels, then the sizes) and the values,
one byte each: http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from maxtunnel.data.labelled import LabelledSet, Split, check_labels, check_memory
from maxtunnel.support.files import FormatError

_IMAGES, _LABELS = 0x0803, 0x0801
_NAMES = {"train": "train", "test": "t10k"}
_CLASSES = 10
_MOST = 2**31  # bytes of one file, uncompressed: MNIST has 47 million


def holds_mnist(folder: str | Path) -> bool:
    """Whether a folder has MNIST's own files."""
    return (
        _find(Path(folder), "train", _IMAGES) is not None or _find(Path(folder), "test", _IMAGES) is not None
    )


def mnist_files(split: Split) -> tuple[str, ...]:
    """Names of MNIST's own files of a split; none of a split that MNIST has not."""
    return tuple(_file_name(split, kind, "-") for kind in (_IMAGES, _LABELS)) if split in _NAMES else ()


def read_mnist(folder: str | Path, split: Split = "train") -> LabelledSet:
    """The `train` or the `test` images from the folder with MNIST's own files.

    Raises:
        FormatError: a file is missing, cut short, damaged or of another kind.
    """
    if split not in _NAMES:
        raise ValueError(f"`split` is {split!r}: MNIST has train and test")
    images, labels = (_path(Path(folder), split, kind) for kind in (_IMAGES, _LABELS))
    pixels, numbers = read_idx(images, _IMAGES), read_idx(labels, _LABELS)
    if len(pixels) != len(numbers):
        raise FormatError(f"{images} has {len(pixels)} images, but {labels} {len(numbers)} labels")
    check_labels(labels, numbers, _CLASSES)
    return LabelledSet(
        torch.from_numpy(pixels)[:, None],
        torch.from_numpy(numbers.astype(np.int64)),
        tuple(map(str, range(_CLASSES))),
        split,
    )


def read_idx(path: str | Path, magic: int) -> UInt8[np.ndarray, "..."]:
    """The bytes of an idx file, in the shape that its head says.

    Args:
        path: the file, gzipped if its name ends in .gz.
        magic: the word that it must begin with; its last byte is the number of sizes.

    Raises:
        FormatError: the file is missing, begins otherwise, or is longer or shorter than its head says.
        ValueError: there is no memory for what its head says.
    """
    path, sizes = Path(path), magic & 0xFF
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4 * (sizes + 1))
            if len(head) < 4 * (sizes + 1):
                raise FormatError(f"{path} ends within its head: get it again")
            found, *shape = struct.unpack(f">{sizes + 1}I", head)
            expected = math.prod(shape)
            if found != magic or not 0 < expected <= _MOST:
                raise FormatError(
                    f"{path} begins with {found:#x} and sizes {shape}: expected {magic:#06x}, as MNIST's own "
                    "files do"
                )
            # A small file may say that it is large; its values lie here twice meanwhile.
            check_memory(path, 2 * expected)
            # One byte more than there should be: a file that goes on is never expanded to its end.
            data = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path} cannot be read ({error}): get it again") from None
    if len(data) != expected:
        more = "more" if len(data) > expected else f"{len(data):,}"
        raise FormatError(f"{path} should hold {expected:,} bytes after its head, and holds {more}")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)


def _path(folder: Path, split: Split, kind: int) -> Path:
    found = _find(folder, split, kind)
    if found is None:
        name = _file_name(split, kind, "-")
        raise FormatError(f"{folder} has no {name} or {name}.gz: give the folder with MNIST's own files")
    return found


def _find(folder: Path, split: Split, kind: int) -> Path | None:
    """The file of a split; some copies have a point in its name."""
    names = [_file_name(split, kind, sign) + suffix for sign in "-." for suffix in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _file_name(split: Split, kind: int, sign: str) -> str:
    what = "images" if kind == _IMAGES else "labels"
    return f"{_NAMES[split]}-{what}{sign}idx{kind & 0xFF}-ubyte"
