"""Where photographs come from: a source lists them without reading them, and then hands them out.

There are three: `FolderSource` here, `TarSource` and `ParquetSource`. Each is a `Listing` with the methods
`images` and `part`, and can be pickled.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from maxtunnel.data.arrow import ArrowArray, as_arrow
from maxtunnel.data.folders import label_by_folder
from maxtunnel.data.formats import Stream
from maxtunnel.data.images import Missing
from maxtunnel.data.survey import (
    HIDDEN,
    Ignored,
    Skipped,
    count_kinds,
    is_image,
    kind_of,
    no_image,
    printable,
    survey,
)
from maxtunnel.support.files import FormatError, one_line
from maxtunnel.support.places import Place, is_address

MAX_CLASSES = 65536

Image = Path | Place | Stream | Missing
File = Path | Place


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

    def where(self, key: str) -> str:
        """What messages call the photograph of a key."""
        return key

    def reports(self) -> list[tuple[Path, str]]:
        """What is known beforehand not to be read: its path, and the reason as a sentence that begins so."""
        return [(Path(self.where(key)), f"{self.where(key)} {reason}") for key, reason in self.skipped]

    @property
    def found(self) -> int:
        """How many files, members or rows the source holds, whatever they are."""
        return len(self.labels) + len(self.skipped) + sum(count for _, count in self.ignored)


@dataclass(frozen=True, eq=False)
class FolderSource(Listing):
    """The photographs in a folder, or in a folder of class folders; or files that somebody named.

    Attributes:
        root: the folder; None where the keys are paths and addresses by themselves.
    """

    root: File | None

    def images(self, items: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, Image]]:
        """Some of the photographs, given by their numbers: for each its position in `items`, and its file.

        Raises:
            FormatError: the folder is not there, as on a machine that does not share the disk: one photograph
                after the other would be skipped.
        """
        if isinstance(self.root, Path) and not self.root.is_dir():
            raise FormatError(
                f"{self.root} is not there: expected the folder that was listed, on every machine"
            )
        for position, item in enumerate(items.tolist()):
            yield position, self.file(self.keys[item].as_py())

    def file(self, key: str) -> File:
        """Where the photograph of a key lies."""
        if self.root is None:
            return Place(key) if is_address(key) else Path(key)
        return self.root / key

    def where(self, key: str) -> str:
        """What messages call the photograph of a key."""
        return str(self.file(key))

    def part(self, items: Int64[np.ndarray, " b"]) -> "FolderSource":
        """A source of some of the photographs alone, in that order."""
        return replace(self, keys=self.keys.take(items), labels=self.labels[items], skipped=(), ignored=())


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


def list_remote(root: Place) -> FolderSource:
    """The images in a folder at an address, and below it; hidden ones are ignored."""
    files = root.files()
    names = [name for name in files if is_image(name) and not hidden(name)]
    others = [name for name in files if not is_image(name) or hidden(name)]
    ignored = count_kinds(HIDDEN if hidden(name) else kind_of(name) for name in others)
    if not names:
        raise FormatError(no_image(str(root), ignored))
    labels, classes = label_by_folder(names)
    stamps = "".join(f"{name}\0{files[name]}\n" for name in names)
    return FolderSource(
        keys=as_arrow(names, root),
        labels=labels,
        class_names=classes,
        fingerprint=hashlib.sha256(stamps.encode()).hexdigest(),
        skipped=(),
        ignored=ignored,
        root=root,
    )


def hidden(name: str) -> bool:
    """Whether a file, or a folder on its way, is one."""
    return any(part.startswith(".") and part.strip(".") for part in name.split("/"))


def used_files(
    files: tuple[File, ...], places: Int64[np.ndarray, "n k"]
) -> tuple[tuple[File, ...], Int64[np.ndarray, "n k"]]:
    """The files that places name by their number, the first value of each, and the places renumbered."""
    used, numbers = np.unique(places[:, 0], return_inverse=True)
    return tuple(files[number] for number in used), np.column_stack([numbers, places[:, 1:]])


def misnamed(name: str) -> str:
    """Why a store cannot hold a name, and what to do; empty where it can."""
    return "" if name.isascii() or printable(name) == name else "has a name that is no UTF-8: rename it"


def check_labels(
    labels: list[int | None], names: tuple[str, ...], path: File
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


def fingerprint(root: File, names: Iterable[str]) -> str:
    """Hash of the names, sizes and times of the files in a folder."""
    digest = hashlib.sha256()
    for name in names:
        if isinstance(root, Place):
            digest.update(f"{name}\0{(root / name).stamp()}\n".encode())
            continue
        try:
            status = os.stat(os.path.join(root, name))
            size, time = status.st_size, status.st_mtime_ns
        except OSError:
            # A link that leads nowhere, which is skipped when it is read.
            size, time = -1, -1
        digest.update(f"{name}\0{size}\0{time}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


@contextmanager
def reading(file: File) -> Iterator[None]:
    """Turns the many exceptions with which readers answer damaged files into one FormatError."""
    try:
        yield
    except FormatError:
        raise
    except (tarfile.TarError, pa.ArrowException, OSError, ValueError, OverflowError, EOFError) as error:
        reason = one_line(error)
        raise FormatError(f"{file} cannot be read or is damaged ({reason}): get it again") from None
