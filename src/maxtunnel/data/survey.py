"""What lies in a folder of photographs: the image files, and everything else, so that nothing goes untold."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.data.formats import SUFFIXES
from maxtunnel.data.images import dangling
from maxtunnel.support.files import FormatError
from maxtunnel.support.places import Place

# How many of each kind, such as (".txt", 3), and names with the rest of a sentence that says why.
Ignored = tuple[tuple[str, int], ...]
Skipped = tuple[tuple[str, str], ...]

_MOST_KINDS = 20
HIDDEN = "hidden"


@dataclass(frozen=True, eq=False)
class Survey:
    """What a folder and the folders below it hold.

    Attributes:
        images: the image files, relative to the folder, with slashes, sorted. As strings: a million `Path`s
            are half a gigabyte.
        skipped: what cannot be entered or read, each with the reason.
        ignored: what is no image, counted by kind.
    """

    images: list[str]
    skipped: Skipped
    ignored: Ignored


def survey(folder: str | Path) -> Survey:
    """What is in a folder and below it; image files are told by their suffix (any case).

    Hidden files and folders (.name) are passed over. Links to folders are followed; each folder is entered
    once, and none that holds the folder asked for. A link to an image that is not there counts as an image:
    whoever opens it is told.

    Raises:
        FormatError: there is no such folder, it cannot be read, or no image file is in it.
    """
    walk = _Walk(os.fspath(folder))
    try:
        walk.all()
    except OSError as error:
        raise FormatError(f"{error.filename} cannot be read ({error.strerror}): give a folder") from None
    ignored = count_kinds(walk.ignored)
    if not walk.images:
        reason = f"; {walk.skipped[0][0]} {walk.skipped[0][1]}" if walk.skipped else ""
        raise FormatError(no_image(folder, ignored, reason))
    return Survey(sorted(walk.images), tuple(sorted(walk.skipped)), ignored)


def no_image(place: str | Path | Place, ignored: Ignored, reason: str = "") -> str:
    """That a folder or an archive holds no image, what it holds, and which names are looked for."""
    others = f", only {tell(ignored)}" if ignored else " and nothing else"
    return f"{place} holds no image{others}{reason}: give one with files that end in {', '.join(SUFFIXES)}"


def is_image(name: str) -> bool:
    """Whether a file of this name is looked at as an image."""
    return kind_of(name).lstrip(".") in SUFFIXES


def kind_of(name: str) -> str:
    """What files of this name are counted as: their suffix in small letters."""
    return os.path.splitext(name)[1].lower() or "without suffix"


def count_kinds(kinds: Iterable[str] | Counter[str]) -> Ignored:
    """How many there are of each kind; the rarest of very many kinds together as `other`."""
    counts = +Counter(kinds)
    common = dict(counts.most_common(_MOST_KINDS))
    rest = counts.total() - sum(common.values())
    return tuple(sorted((common | ({"other": rest} if rest else {})).items()))


def tell(ignored: Ignored) -> str:
    """`3 .txt, 1 hidden`."""
    return ", ".join(f"{count:,} {kind}" for kind, count in ignored)


def printable(name: str) -> str:
    """The name with what is no UTF-8 in it spelt out."""
    return name.encode("utf-8", "backslashreplace").decode()


class _Walk:
    """Every file below a folder, sorted into images, what is skipped and what is ignored.

    Args:
        root: the folder.
    """

    def __init__(self, root: str) -> None:
        self.images: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.ignored: Counter[str] = Counter()
        self._root = root
        # Links wait until all that lies here in its own place is read.
        self._links: list[str] = []
        self._entered = {_identity(folder) for folder in Path(os.path.realpath(root)).parents}

    def all(self) -> None:
        """Read the folder; OSError where it cannot be read itself."""
        self._enter("")
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._enter(link)

    def _enter(self, start: str) -> None:
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            try:
                place = os.path.join(self._root, folder) if folder else self._root
                identity, entries = _identity(place), list(os.scandir(place))
            except OSError as error:
                if not folder:
                    raise
                reason = f"cannot be read ({error.strerror}): allow it, or move the folder away"
                self.skipped.append((printable(folder), reason))
                continue
            if identity in self._entered:
                self.ignored["link to a folder that is read already"] += 1
                continue
            self._entered.add(identity)
            waiting += self._folders_among(entries, f"{folder}/" if folder else "")

    def _folders_among(self, entries: list[os.DirEntry[str]], prefix: str) -> Iterator[str]:
        """The folders that lie here; files are noted, and links to folders too."""
        for entry in entries:
            name, kind = prefix + entry.name, _kind(entry)
            if entry.name.startswith("."):
                self.ignored[HIDDEN] += 1
            elif kind == "folder":
                yield name
            elif kind == "link":
                self._links.append(name)
            elif is_image(name) and kind != "special":
                self.images.append(name)
            elif kind == "file":
                self.ignored[kind_of(name)] += 1
            elif kind == "dangling":
                self.skipped.append((printable(name), dangling(entry.path)))
            else:
                self.skipped.append((printable(name), "is neither a file nor a folder: delete it"))


def _kind(entry: os.DirEntry[str]) -> str:
    """`folder`, `link` (to a folder), `file`, `dangling` or `special`; a link to a file is a file."""
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        if entry.is_file():
            return "file"
        return "dangling" if entry.is_symlink() and not os.path.exists(entry.path) else "special"
    except OSError:
        # A ring of links, or one that leads through a folder that must not be read.
        return "dangling"


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
