"""Where images come from: folders and WebDataset tar shards, listed without being read."""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from maxtunnel.data.images import SUFFIXES, Stream
from maxtunnel.support.files import FormatError

MAX_CLASSES = 65536


@dataclass(frozen=True, eq=False)
class Source:
    """The images of a source, in order.

    Attributes:
        keys: the path of each, relative to the source; an Arrow array, a third the size of a list.
        labels: a number into `class_names` for each, -1 for all where there are no classes.
        class_names: the name of each label.
        fingerprint: hash of the names, sizes and times of the source files.
        images: given numbers of images, yields each one's place among these numbers, and its file or a
            stream of its bytes; in the order that reads fastest.
    """

    keys: Any
    labels: Int64[np.ndarray, " n"]
    class_names: tuple[str, ...]
    fingerprint: str
    images: Callable[[Int64[np.ndarray, " b"]], Iterator[tuple[int, Path | Stream]]]


class NamedBytes(io.BytesIO):
    """A stream that errors can name."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def list_folder(root: Path) -> Source:
    """The images that `list_images` lists; the folders directly in `root` are the classes.

    Images directly in `root` have no class, and so then has none.
    """
    # As strings: a million paths are half a gigabyte.
    keys = sorted(_walk(root))
    if not keys:
        raise FormatError(f"{root} holds no image: images end in {', '.join(SUFFIXES)}")
    if all("/" in key for key in keys):
        classes = [key.split("/", 1)[0] for key in keys]
        names = sorted(set(classes))
        number = {name: label for label, name in enumerate(names)}
        labels = np.fromiter((number[name] for name in classes), np.int64, len(keys))
    else:
        names, labels = [], np.full(len(keys), -1, np.int64)
    stored = as_arrow(keys, root)

    def images(items: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, Path | Stream]]:
        for position, item in enumerate(items.tolist()):
            yield position, root / stored[item].as_py()

    return Source(stored, labels, tuple(names), fingerprint(root, keys), images)


def list_tars(files: list[Path]) -> Source:
    """The images of WebDataset shards: members that share a name up to the first dot are a sample.

    The member whose suffix is that of an image is the image, `.cls` its label as text. Nothing is ever
    written under a member's name.
    """
    keys: list[str] = []
    labels: list[int | None] = []
    places: list[tuple[int, int, int]] = []
    for number, file in enumerate(files):
        with reading(file), tarfile.open(file, "r:") as tar:
            for key, offset, size, label in _samples(tar, file):
                keys.append(key)
                labels.append(label)
                places.append((number, offset, size))
    if not keys:
        raise FormatError(f"{files[0]} holds no image: expected members that end in {', '.join(SUFFIXES)}")
    where = np.array(places, np.int64)
    stored = as_arrow(keys, files[0])

    def images(items: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, Path | Stream]]:
        order = np.argsort(items, kind="stable")
        for number in np.unique(where[items, 0]).tolist():
            with open(files[number], "rb") as file:
                for position in order[where[items[order], 0] == number].tolist():
                    _, offset, size = where[items[position]].tolist()
                    file.seek(offset)
                    yield position, NamedBytes(file.read(size), stored[int(items[position])].as_py())

    numbers, names = check_labels(labels, (), files[0])
    return Source(stored, numbers, names, fingerprint(files[0].parent, [f.name for f in files]), images)


def check_labels(
    labels: list[int | None], names: tuple[str, ...], path: Path
) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """Labels as numbers, and the names of the classes: their numbers, where there are no names.

    Args:
        labels: None or -1, for all images or for none, is no label.
        path: what an error names.
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


def as_arrow(keys: list[str], path: Path) -> Any:
    """The names in a third of a list's memory."""
    try:
        return pa.array(keys, pa.large_string())
    except UnicodeEncodeError as error:
        raise FormatError(f"{path} holds a name that is no UTF-8, {error.object!a}: rename it") from None


def fingerprint(root: Path, keys: Iterable[str]) -> str:
    """Hash of the names, sizes and times of files."""
    digest = hashlib.sha256()
    for key in keys:
        status = os.stat(os.path.join(root, key))
        digest.update(f"{key}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turns what readers say of damaged files into one FormatError."""
    try:
        yield
    except FormatError:
        raise
    except (tarfile.TarError, pa.ArrowException, OSError, ValueError, OverflowError, EOFError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"{file} cannot be read or is damaged ({reason}): get it again") from None


def _walk(root: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise FormatError(f"{error.filename} cannot be read ({error.strerror}): give a folder") from None

    for place, folders, files in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = os.path.relpath(place, root).replace(os.sep, "/")
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower().lstrip(".") in SUFFIXES:
                yield name if inside == "." else f"{inside}/{name}"


def _samples(tar: tarfile.TarFile, file: Path) -> Iterator[tuple[str, int, int, int | None]]:
    """Name, offset and size of every image, and its label."""
    sample: dict[str, tarfile.TarInfo] = {}
    current = None
    while True:
        member = tar.next()
        # It remembers every member, a kilobyte each.
        tar.members.clear()  # type: ignore[attr-defined]
        if member is not None and member.size < 0:
            # Going on would come back to this header for ever.
            raise FormatError(f"{file} holds {member.name!r} of {member.size} bytes: get it again")
        if member is not None and (not member.isreg() or member.issparse()):
            continue
        place, _, base = (member.name if member else "").rpartition("/")
        stem, _, suffix = base.partition(".")
        if current is not None and (member is None or (place, stem) != current):
            yield from _sample(sample, tar, file)
            sample = {}
        if member is None:
            return
        current = place, stem
        if suffix.lower() in sample:
            raise FormatError(f"{file} holds {member.name!r} twice: expected one of each kind in a sample")
        sample[suffix.lower()] = member


def _sample(
    members: dict[str, tarfile.TarInfo], tar: tarfile.TarFile, file: Path
) -> Iterator[tuple[str, int, int, int | None]]:
    images = [members[suffix] for suffix in SUFFIXES if suffix in members]
    if len(images) > 1:
        names = " and ".join(repr(image.name) for image in images)
        raise FormatError(f"{file} holds {names} in one sample: expected one image in each")
    for image in images:
        label = _label(members["cls"], tar, file) if "cls" in members else None
        yield image.name, image.offset_data, image.size, label


def _label(member: tarfile.TarInfo, tar: tarfile.TarFile, file: Path) -> int:
    stream = tar.extractfile(member)
    text = stream.read(20) if stream is not None else b""
    try:
        return int(text)
    except ValueError:
        raise FormatError(
            f"{file} holds {text!r} in {member.name!r}: expected the number of a class"
        ) from None
