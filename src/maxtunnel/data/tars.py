"""WebDataset tar shards as a source."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from maxtunnel.data.arrow import as_arrow
from maxtunnel.data.images import SUFFIXES, NamedBytes, Stream
from maxtunnel.data.sources import Listing, check_labels, fingerprint, reading
from maxtunnel.support.files import FormatError


@dataclass(frozen=True, eq=False)
class TarSource(Listing):
    """The photographs in tar files.

    Attributes:
        files: the tar files.
        places: where each photograph lies: the number of its file, its offset there, and its size in bytes.
    """

    files: tuple[Path, ...]
    places: Int64[np.ndarray, "n 3"]

    def images(self, items: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, Path | Stream]]:
        """Some of the photographs, given by their numbers: for each its position in `items`, and its bytes.

        They come file by file, each file read onward, not in the order of `items`.
        """
        order = np.argsort(items, kind="stable")
        for number in np.unique(self.places[items, 0]).tolist():
            with open(self.files[number], "rb") as file:
                for position in order[self.places[items[order], 0] == number].tolist():
                    _, offset, size = self.places[items[position]].tolist()
                    file.seek(offset)
                    yield position, NamedBytes(file.read(size), self.keys[int(items[position])].as_py())


def list_tars(files: list[Path]) -> TarSource:
    """The images of WebDataset shards, where members with the same name up to the first dot are one sample.

    The member of a sample with the suffix of an image is the image, and `.cls` is its label as text. No file
    is ever written under a member's name.
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
    numbers, names = check_labels(labels, (), files[0])
    return TarSource(
        keys=as_arrow(keys, files[0]),
        labels=numbers,
        class_names=names,
        fingerprint=fingerprint(files[0].parent, [file.name for file in files]),
        files=tuple(files),
        places=np.array(places, np.int64),
    )


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
