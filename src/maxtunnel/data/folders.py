"""Folders of photographs: the image files in them, the classes of these, and their pixels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data.images import read_image
from maxtunnel.data.images import resize as warp
from maxtunnel.data.survey import survey
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import OnProgress, silent


def list_images(folder: str | Path) -> list[Path]:
    """The image files that `list_names` finds, as paths that can be opened."""
    return [Path(folder, name) for name in list_names(folder)]


def list_names(folder: str | Path) -> list[str]:
    """The image files in a folder and below it, as `survey` finds them, relative to the folder and sorted."""
    return survey(folder).images


def label_by_folder(names: Sequence[str]) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """The class of each file: the first folder on its path.

    Args:
        names: what `list_names` gives.

    Returns:
        A number for each file, and the class names that the numbers stand for. Where a file lies in no folder
        there are no classes: every number is -1.
    """
    if not all("/" in name for name in names):
        return np.full(len(names), -1, np.int64), ()
    folders = [name.split("/", 1)[0] for name in names]
    classes = sorted(set(folders))
    number = {name: label for label, name in enumerate(classes)}
    return np.fromiter((number[name] for name in folders), np.int64, len(names)), tuple(classes)


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """Numbers of `limit` of `count` things, evenly spaced; of all where `limit` is None or larger."""
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` is {limit}: give at least 1, or None for all")
    taken = count if limit is None else min(limit, count)
    return [index * count // taken for index in range(taken)]


@dataclass(frozen=True, eq=False)
class Photographs:
    """The pixels of photographs of one size, and the files that could not be read.

    Attributes:
        pixels: one photograph for each of `paths`, in that order.
        paths: the files read.
        skipped: the files not read, each with the reason in one line.
    """

    pixels: UInt8[Tensor, "n 3 h w"]
    paths: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]


def read_folder(
    folder: str | Path,
    size: int | None,
    resize: Resize = "bilinear",
    limit: int | None = None,
    on_progress: OnProgress = silent,
    workers: int | None = None,
) -> Photographs:
    """The photographs that `list_images` finds in a folder, made square; see `read_files`."""
    return read_files(list_images(folder), size, resize, limit, on_progress, folder_name(folder), workers)


def read_files(
    files: Sequence[str | Path],
    size: int | None,
    resize: Resize = "bilinear",
    limit: int | None = None,
    on_progress: OnProgress = silent,
    note: str = "",
    workers: int | None = None,
) -> Photographs:
    """The photographs in a list of files, made square.

    Args:
        files: image files.
        size: side of the square in pixels; None leaves the photographs as they are, all of one size.
        resize: how to warp them to it.
        limit: take this many files, readable or not, evenly spaced over the list, so that every class folder
            of a sorted list has its share.
        on_progress: told, as phase `read`, how many of the files are done; called in the calling thread.
        note: told with it: where the files come from.
        workers: decoding threads; by default a few more than there are cores.

    Raises:
        FormatError: not one file can be read.
        ValueError: `size` is None and two photographs differ in size.
    """
    chosen = [Path(files[number]) for number in evenly_spaced(len(files), limit)]
    pixels = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
    taken: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(partial(_read, size=size, resize=resize), chosen)
        for done, (path, photograph) in enumerate(zip(chosen, found, strict=True), 1):
            if isinstance(photograph, str):
                skipped.append((path, photograph))
            else:
                if not taken:
                    pixels = photograph.new_empty(len(chosen), *photograph.shape)
                _check_size(path, photograph, pixels)
                pixels[len(taken)] = photograph
                taken.append(path)
            on_progress("read", done, len(chosen), note)
    if not taken:
        first = f"; the first: {skipped[0][1]}" if skipped else ""
        raise FormatError(f"no file of {len(chosen)} could be read as an image{first}")
    return Photographs(pixels[: len(taken)], tuple(taken), tuple(skipped))


def folder_name(folder: str | Path) -> str:
    """The last part of the folder's path, that of `.` too."""
    return Path(folder).absolute().name


def _read(path: Path, size: int | None, resize: Resize) -> UInt8[Tensor, "3 h w"] | str:
    """The pixels, or why there are none."""
    try:
        pixels = read_image(path)
    except FormatError as error:
        return str(error)
    return pixels if size is None else warp(pixels, (size, size), resize)


def _check_size(path: Path, photograph: UInt8[Tensor, "3 _ _"], others: UInt8[Tensor, "_ 3 _ _"]) -> None:
    if photograph.shape != others.shape[1:]:
        (height, width), (before_height, before_width) = photograph.shape[1:], others.shape[2:]
        raise ValueError(
            f"{path} is {width}x{height} but the images before it {before_width}x{before_height}: "
            "give a `size` for all"
        )
