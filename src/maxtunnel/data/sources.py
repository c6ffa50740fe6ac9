"""Where photographs come from: a source lists them without reading them, and then hands them out.

There are three: `FolderSource` here, `TarSource` and `ParquetSource`. Each is a `Listing` with a method
`images`, and can be pickled.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from maxtunnel.data.arrow import ArrowArray, as_arrow
from maxtunnel.data.folders import label_by_folder
from maxtunnel.data.formats import Stream
from maxtunnel.data.images import Missing
from maxtunnel.data.survey import Ignored, Skipped, printable, survey
from maxtunnel.support.files import FormatError, one_line

MAX_CLASSES = 65536

Image = Path | Stream | Missing


@dataclass(frozen=True, eq=False)
class Listing:
    """What is known of the photographs of a source without reading them, in order.

    Attributes:
        keys: the path of each, relative to the source; strings.
        labels: a number into `class_names` for each; -1 for all where there are no classes.
        class_names: the name of each label.
        fingerprint: hash of the names, sizes and times of the source files.
        skipped: what was found besides that cannot be read, each with the reason.
        ignored: what was found besides that is no image, counted by kind.
    """

    keys: ArrowArray
    labels: Int64[np.ndarray, " n"]
    class_names: tuple[str, ...]
    fingerprint: str
    skipped: Skipped
    ignored: Ignored

    @property
    def found(self) -> int:
        """How many files, members or rows the source holds, whatever they are."""
        return len(self.labels) + len(self.skipped) + sum(count for _, count in self.ignored)


@dataclass(frozen=True, eq=False)
class FolderSource(Listing):
    """The photographs in a folder, or in a folder of class folders.

    Attributes:
        root: the folder.
    """

    root: Path

    def images(self, items: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, Image]]:
        """Some of the photographs, given by their numbers: for each its position in `items`, and its file."""
        for position, item in enumerate(items.tolist()):
            yield position, self.root / self.keys[item].as_py()


def list_folder(root: Path) -> FolderSource:
    """The images that `survey` finds; the folders directly in `root` are the classes.

    Where images lie directly in `root` there are no classes.
    """
    found = survey(root)
    names = [name for name in found.images if not misnamed(name)]
    wrong = [(printable(name), misnamed(name)) for name in found.images if misnamed(name)]
    labels, classes = label_by_folder(names)
    return FolderSource(
        keys=as_arrow(names, root),
        labels=labels,
        class_names=classes,
        fingerprint=fingerprint(root, names),
        skipped=(*wrong, *found.skipped),
        ignored=found.ignored,
        root=root,
    )


def misnamed(name: str) -> str:
    """Why a store cannot hold a name, and what to do; empty where it can."""
    return "" if name.isascii() or printable(name) == name else "has a name that is no UTF-8: rename it"


def check_labels(
    labels: list[int | None], names: tuple[str, ...], path: Path
) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """Labels as numbers, and the names of the classes: the numbers as text where `names` is empty.

    Args:
        labels: of every image; None and -1 stand for no label. Either all images have one or none.
        path: where the labels come from, for the error message.
    """
    if all(label in (None, -1) for label in labels):
        return np.full(len(labels), -1, np.int64), ()
    classes = len(names) or MAX_CLASSES
    wrong = [label for label in labels if label is None or not 0 <= label < classes]
    if wrong:
        raise FormatError(
            f"{path} has an image with label {wrong[0]} among others: expected 0..{classes - 1}"
        )
    numbers = np.array(labels, np.int64)
    return numbers, names or tuple(str(label) for label in range(int(numbers.max()) + 1))


def fingerprint(root: Path, names: Iterable[str]) -> str:
    """Hash of the names, sizes and times of the files in a folder."""
    digest = hashlib.sha256()
    for name in names:
        try:
            status = os.stat(os.path.join(root, name))
            size, time = status.st_size, status.st_mtime_ns
        except OSError:
            # A link that leads nowhere, which is skipped when it is read.
            size, time = -1, -1
        digest.update(f"{name}\0{size}\0{time}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns the many exceptions with which readers answer damaged files into one FormatError."""
    try:
        yield
    except FormatError:
        raise
    except (tarfile.TarError, pa.ArrowException, OSError, ValueError, OverflowError, EOFError) as error:
        reason = one_line(error) or type(error).__name__
        raise FormatError(f"{file} cannot be read or is damaged ({reason}): get it again") from None
