"""The one error for files, their names, and the one way to write them."""

import os
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maxtunnel.support.system import is_read_only


class FormatError(ValueError):
    """A file is missing, damaged, hostile or of another kind; the message names it and what is wrong."""


def one_line(error: BaseException) -> str:
    """What an error says, in one line of at most 300 characters; its kind where it says nothing."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def with_kind(error: BaseException) -> str:
    """`RuntimeError: what it says`, in one line; its kind alone where it says nothing."""
    kind, text = type(error).__name__, one_line(error)
    return kind if text == kind else f"{kind}: {text}"


def check_file(path: str | Path, expected: str) -> None:
    """Refuse what is not there and what is empty, in the same words wherever a file is asked for.

    Args:
        path: of the file; a folder is left to the caller.
        expected: ends the message, such as `a .caffemodel`.

    Raises:
        FormatError: there is no such file, or it has 0 bytes.
    """
    place = Path(path)
    try:
        there, empty = place.exists(), place.is_file() and not place.stat().st_size
    except (OSError, ValueError):
        # What cannot be a name on this system names nothing.
        there, empty = False, False
    if not there:
        raise FormatError(f"{path} does not exist: expected {expected}")
    if empty:
        raise FormatError(f"{path} is empty: expected {expected}")


def check_folder(path: str | Path) -> None:
    """Refuse what cannot be a folder to write to, before the work that would be lost.

    Raises:
        ValueError: `path`, or what it lies in, is a file or may not be written to.
    """
    place = Path(path).absolute()
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if not nearest.is_dir():
        raise ValueError(f"{path} cannot be written to, as {nearest} is a file: give a folder")
    if not os.access(nearest, os.W_OK):
        raise ValueError(f"{path} cannot be written to, as {_why_not(nearest)}: give another folder")


def _why_not(folder: Path) -> str:
    """Why a folder may not be written to."""
    if is_read_only(folder):
        return f"{folder} is on a read-only file system"
    return f"this user may not write to {folder}"


class FreeNames:
    """Hands out names, none of them twice, in constant time each (on average over the calls).

    Names that differ in case alone, or in how an accent is written, count as one: some systems keep one file
    for both.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        # Of each name that was asked for: the number that its last ending had.
        self._numbers: dict[str, int] = {}

    def take(self, name: str) -> str:
        """`name`, or the first of name-2, name-3, ... that was not handed out before."""
        number, free = self._numbers.get(name, 1), name
        while _folded(free) in self._taken:
            number += 1
            free = f"{name}-{number}"
        self._numbers[name] = number
        self._taken.add(_folded(free))
        return free


def _folded(name: str) -> str:
    return name if name.isascii() and name.islower() else unicodedata.normalize("NFC", name.casefold())


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, in one step, when the block ends well.

    Missing folders are made. After an exception nothing is left of it, and an older file stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp keeps files private; an ordinary file follows the umask.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
