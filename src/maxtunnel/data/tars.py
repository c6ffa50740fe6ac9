"""WebDataset tar shards as a source."""

import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from maxtunnel.data.arrow import as_arrow
from maxtunnel.data.images import NamedBytes
from maxtunnel.data.sources import (
    File,
    Image,
    Listing,
    check_labels,
    fingerprint,
    hidden,
    misnamed,
    reading,
    used_files,
)
from maxtunnel.data.survey import HIDDEN, Ignored, count_kinds, is_image, kind_of, no_image, printable
from maxtunnel.support.files import FormatError
from maxtunnel.support.places import open_file

_LABEL = ".cls"


@dataclass(frozen=True, eq=False)
class TarSource(Listing):
    """The photographs in tar files.

    Attributes:
        files: the tar files.
        places: where each photograph lies: the number of its file, its offset there, and its size in bytes.
    """

    files: tuple[File, ...]
    places: Int64[np.ndarray, "n 3"]

    def images(self, items: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, Image]]:
        """Some of the photographs, given by their numbers: for each its position in `items`, and its bytes.

        They come file by file, each file read onward, not in the order of `items`.
        """
        order = np.lexsort((self.places[items, 1], self.places[items, 0]))
        for number in np.unique(self.places[items, 0]).tolist():
            with open_file(self.files[number]) as file:
                for position in order[self.places[items[order], 0] == number].tolist():
                    _, offset, size = self.places[items[position]].tolist()
                    file.seek(offset)
                    yield position, NamedBytes(file.read(size), self.keys[int(items[position])].as_py())

    def part(self, items: Int64[np.ndarray, " b"]) -> "TarSource":
        """A source of some of the photographs alone, in that order; of the files, those that hold them."""
        files, places = used_files(self.files, self.places[items])
        return replace(
            self,
            keys=self.keys.take(items),
            labels=self.labels[items],
            skipped=(),
            ignored=(),
            files=files,
            places=places,
        )


def list_tars(files: Sequence[File], beside: Ignored = ()) -> TarSource:
    """The images of WebDataset shards: members with an image's suffix, and their labels in `.cls` members.

    A `.cls` member holds a number as text. Its name without `.cls` is that of its image up to one of the
    dots: `a.1.png` has the label of `a.1.cls`, or else that of `a.cls`. One that stands beside the image
    comes before one elsewhere in the tar file. Beside `a.png`, the image `a.mask.png` is another part of the
    same sample, and is ignored. No file is ever written under a member's name.

    Args:
        files: of one folder.
        beside: what else is in that folder.
    """
    images: list[tuple[int, _Labelled]] = []
    skipped: list[tuple[str, str]] = []
    ignored = Counter(dict(beside))
    for number, file in enumerate(files):
        with reading(file):
            for image in _read_tar(file, ignored):
                reason = misnamed(image.member.name)
                if reason:
                    skipped.append((printable(image.member.name), reason))
                else:
                    images.append((number, image))
    if not images:
        raise FormatError(no_image(files[0], count_kinds(ignored)))
    numbers, classes = check_labels([image.label for _, image in images], (), files[0])
    return TarSource(
        keys=as_arrow([image.member.name for _, image in images], files[0]),
        labels=numbers,
        class_names=classes,
        fingerprint=fingerprint(files[0].parent, [file.name for file in files]),
        skipped=tuple(skipped),
        ignored=count_kinds(ignored),
        files=tuple(files),
        places=np.array([(number, image.member.offset, image.member.size) for number, image in images]),
    )


class _Member(NamedTuple):
    """A file in a tar file: its name, where its bytes begin, how many there are, and a label's text."""

    name: str
    offset: int
    size: int
    text: bytes

    @property
    def stem(self) -> str:
        """The name without its last dot and what follows."""
        return self.name.rpartition(".")[0]


@dataclass
class _Labelled:
    """An image and, once it is found, its label."""

    member: _Member
    label: int | None = None


def _read_tar(file: File, ignored: Counter[str]) -> list[_Labelled]:
    """The images of a tar file; what else is in it is added to `ignored`."""
    images: list[_Labelled] = []
    apart: dict[str, _Member] = {}
    for sample in _samples(file, ignored):
        here = [_Labelled(member) for member in _choose_images(sample, file, ignored)]
        labels = {member.stem: member for member in sample if kind_of(member.name) == _LABEL}
        unused = _give_labels(here, labels, file)
        ignored[_LABEL] += len(unused.keys() & apart.keys())
        apart.update(unused)
        images += here
    ignored[_LABEL] += len(_give_labels(images, apart, file))
    return images


def _samples(file: File, ignored: Counter[str]) -> Iterator[list[_Member]]:
    """Members that stand side by side and have the same name up to the first dot."""
    sample: list[_Member] = []
    seen: set[tuple[str, str]] = set()
    for member in _members(file, ignored):
        if sample and _key(member.name) != _key(sample[0].name):
            yield sample
            sample, seen = [], set()
        kind = member.stem, kind_of(member.name)
        if kind in seen:
            raise FormatError(f"{file} holds {member.name!r} twice: expected one of each kind in a sample")
        seen.add(kind)
        sample.append(member)
    if sample:
        yield sample


def _members(file: File, ignored: Counter[str]) -> Iterator[_Member]:
    """The files in a tar file that are not hidden."""
    with open_file(file) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        while (member := tar.next()) is not None:
            # It remembers every member, a kilobyte each.
            tar.members.clear()  # type: ignore[attr-defined]
            if member.size < 0:
                # Going on would come back to this header for ever.
                raise FormatError(f"{file} holds {member.name!r} of {member.size} bytes: get it again")
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                ignored["link or special file"] += 1
            elif hidden(member.name):
                ignored[HIDDEN] += 1
            else:
                label = tar.extractfile(member) if kind_of(member.name) == _LABEL else None
                text = b"" if label is None else label.read(20)
                yield _Member(member.name, member.offset_data, member.size, text)


def _key(name: str) -> str:
    """The name up to the first dot of its last part."""
    place, slash, base = name.rpartition("/")
    return place + slash + base.partition(".")[0]


def _choose_images(sample: list[_Member], file: File, ignored: Counter[str]) -> list[_Member]:
    """The images of a sample; what else is in it, but for labels, is added to `ignored`."""
    found: dict[str, _Member] = {}
    for member in sample:
        kind = kind_of(member.name)
        if not is_image(member.name):
            ignored[kind] += kind != _LABEL
        elif member.stem in found:
            names = f"{found[member.stem].name!r} and {member.name!r}"
            raise FormatError(f"{file} holds {names} in one sample: expected one image in each")
        else:
            found[member.stem] = member
    key = _key(sample[0].name)
    for stem in [stem for stem in found if key in found and stem != key]:
        part = stem.removeprefix(key)
        # `.mask` is a part of a sample, and `.0 final` the rest of a name.
        if all(word.isidentifier() for word in part[1:].split(".")):
            ignored[part + kind_of(found.pop(stem).name)] += 1
    return list(found.values())


def _give_labels(images: list[_Labelled], labels: dict[str, _Member], file: File) -> dict[str, _Member]:
    """Give the images without a label theirs; the labels that are no image's are left."""
    used = set()
    for image in images:
        stem = _label_of(image.member.stem, labels) if image.label is None else None
        if stem is not None:
            used.add(stem)
            image.label = _number(labels[stem], file)
    return {stem: label for stem, label in labels.items() if stem not in used}


def _label_of(stem: str, labels: dict[str, _Member]) -> str | None:
    """The longest name of a label that is `stem`, or `stem` up to a dot of its last part."""
    key = _key(stem)
    while stem not in labels:
        if stem == key:
            return None
        stem = stem.rpartition(".")[0]
    return stem


def _number(label: _Member, file: File) -> int:
    try:
        return int(label.text)
    except ValueError:
        raise FormatError(
            f"{file} holds {label.text!r} in {label.name!r}: expected the number of a class"
        ) from None
