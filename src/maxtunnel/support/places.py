"""Files and folders at an address: a path, or a URL of any kind that fsspec knows (s3, gs, hf, file, ...)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from maxtunnel.support.files import FormatError, one_line, replacing


def is_address(place: object) -> bool:
    """Whether it is a URL, and no path."""
    return isinstance(place, str) and "://" in place


def without_secrets(text: str) -> str:
    """A text whose addresses show no passwords, nor what signs an address of the web."""
    text = re.sub(r"(\w://[^/\s:@]*):[^/\s]*@", r"\1:***@", text)
    text = re.sub(r"(https?://)[^/\s]*@", r"\1***@", text)
    return re.sub(r"(https?://[^\s?]*\?)[^\s'\")]+", r"\1***", text)


@dataclass(frozen=True)
class Place:
    """A file or a folder.

    Attributes:
        address: a path or a URL.
    """

    address: str

    def __str__(self) -> str:
        """The address as messages and files may show it."""
        return without_secrets(self.address)

    def __truediv__(self, name: str) -> "Place":
        return Place(f"{self.address.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self.address).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.address).stem

    @property
    def suffix(self) -> str:
        """Of the name, such as `.tar`."""
        return PurePosixPath(self.address).suffix

    @property
    def parent(self) -> "Place":
        """The folder that it lies in."""
        return Place(self.address.rstrip("/").rpartition("/")[0])

    def open(self) -> Any:
        """The bytes of a file as a stream, which may be read from any position."""
        with self._reaching() as (system, path):
            return system.open(path, "rb")

    def read_bytes(self) -> bytes:
        """All of a file; FormatError where it cannot be read."""
        with self._reaching() as (system, path):
            return system.cat_file(path)

    def write_bytes(self, data: bytes) -> None:
        """Write a file in one step: who looks finds all of it or none; missing folders are made."""
        with self._reaching() as (system, path):
            if "file" in _kinds(system):
                with replacing(path) as temporary:
                    temporary.write_bytes(data)
            else:
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
                system.pipe_file(path, data)

    def delete(self) -> None:
        """Delete a file, or a folder with all that is in it; nothing happens where there is none."""
        with self._reaching() as (system, path):
            if system.exists(path):
                system.rm(path, recursive=True)

    def is_folder(self) -> bool:
        """Whether there is a folder, or what counts as one where there are only keys."""
        with self._reaching() as (system, path):
            return bool(system.isdir(path))

    def files(self) -> dict[str, tuple[int, str]]:
        """The files in a folder and below it, by their names relative to it, sorted: size and time."""
        with self._reaching() as (system, path):
            found = system.find(path, detail=True) if system.exists(path) else {}
            root = len(str(system._strip_protocol(path)).rstrip("/")) + 1
            return {name[root:]: _stamp(found[name]) for name in sorted(found)}

    def stamp(self) -> tuple[int, str]:
        """Size and time of a file, as far as the place tells."""
        with self._reaching() as (system, path):
            return _stamp(system.info(path))

    @contextmanager
    def _reaching(self) -> Iterator[tuple[Any, str]]:
        """The file system and the path there; its many exceptions become one FormatError."""
        import fsspec

        try:
            yield fsspec.core.url_to_fs(self.address)
        except FormatError:
            raise
        except FileNotFoundError as error:
            raise FormatError(f"{self} is not there: look at the address") from error
        # The file systems of others answer with nearly any exception.
        except Exception as error:
            reason = without_secrets(one_line(error)) or type(error).__name__
            raise FormatError(f"{self} cannot be reached ({reason}): look at address and rights") from error


def as_place(place: str | Path) -> Place:
    """The place at a path or a URL."""
    return Place(str(place))


def open_file(file: Path | Place) -> Any:
    """The bytes of a file as a stream, which may be read from any position."""
    return file.open() if isinstance(file, Place) else file.open("rb")


def _kinds(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _stamp(info: dict[str, Any]) -> tuple[int, str]:
    """Of what a file system tells of a file, its size and the first thing that changes with it."""
    changes = ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "created")
    return int(info.get("size") or 0), next((str(info[key]) for key in changes if info.get(key)), "")
