"""What photographs there are where a person points to."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from maxtunnel.data.arrow import as_arrow
from maxtunnel.data.parquet import ParquetSource, holds_images, list_parquet
from maxtunnel.data.sources import FolderSource, fingerprint, list_folder, list_remote
from maxtunnel.data.survey import HIDDEN, Ignored, count_kinds, kind_of
from maxtunnel.data.tars import TarSource, list_tars
from maxtunnel.support.files import FormatError
from maxtunnel.support.places import Place, is_address

Source = FolderSource | TarSource | ParquetSource
_File = TypeVar("_File", Path, Place)


def find_source(place: str | Path) -> Source:
    """What is in a folder or file, listed; a string with `://` is an address that fsspec opens.

    A folder with `.parquet` or with `.tar` files directly in it is read as these, any other as images.
    Parquet files without images beside `.tar` files are img2dataset's lists of addresses, and ignored.
    """
    if is_address(place):
        return _find_remote(Place(str(place)))
    path = Path(place)
    entries = sorted(path.iterdir()) if path.is_dir() else [path]
    archives = _find_archives(path, entries)
    if archives is not None:
        return archives
    if path.exists() and not path.is_dir():
        raise FormatError(f"{path} is no source: expected a folder, a .parquet file or a .tar file")
    return list_folder(path)


def find_sources(places: Sequence[str | Path]) -> list[Source]:
    """What is in each of several folders and files; image files that stand side by side are one source.

    Raises:
        FormatError: a folder or an archive is missing, damaged or empty. Whether an image file can be read,
            only reading shows.
    """
    found: list[Source] = []
    loose: list[str] = []
    for place in places:
        if _is_source(place):
            found += [*_loose_files(loose), find_source(place)]
            loose = []
        else:
            loose.append(str(place))
    return [*found, *_loose_files(loose)]


def _is_source(place: str | Path) -> bool:
    if is_address(place):
        # Whoever names one image at an address names the file; whether that is a folder would be asked of it.
        return kind_of(str(place)) in (".tar", ".parquet") or Place(str(place)).is_folder()
    return Path(place).is_dir() or (kind_of(str(place)) in (".tar", ".parquet") and Path(place).exists())


def _loose_files(names: list[str]) -> list[Source]:
    """Image files that somebody named, as a source; none where there are none."""
    if not names:
        return []
    keys = as_arrow(names, Path(names[0]))
    labels = np.full(len(names), -1, np.int64)
    return [FolderSource(keys, labels, (), fingerprint(Path(), names), (), (), None)]


def _find_remote(place: Place) -> Source:
    if not place.is_folder():
        entries = [place]
    else:
        entries = [place / name for name in place.files() if "/" not in name]
    archives = _find_archives(place, entries)
    return list_remote(place) if archives is None else archives


def _find_archives(place: Path | Place, entries: Sequence[_File]) -> Source | None:
    """What is in the archives among some files; None where there are none."""
    parquet, tars = (_with_suffix(entries, suffix) for suffix in (".parquet", ".tar"))
    if tars and any(holds_images(file) for file in parquet):
        raise FormatError(f"{place} holds .parquet and .tar files with images: give a folder of one kind")
    if tars:
        return list_tars(tars, _beside(entries, tars))
    if parquet:
        return list_parquet(parquet, _beside(entries, parquet))
    return None


def _with_suffix(entries: Sequence[_File], suffix: str) -> list[_File]:
    return [entry for entry in entries if entry.suffix.lower() == suffix and not entry.name.startswith(".")]


def _beside(entries: Sequence[_File], used: Sequence[_File]) -> Ignored:
    """What else lies in a folder of Parquet files or of tar files."""
    others = [entry for entry in entries if entry not in set(used)]
    return count_kinds(
        HIDDEN
        if other.name.startswith(".")
        else "folder"
        if isinstance(other, Path) and other.is_dir()
        else kind_of(other.name)
        for other in others
    )
