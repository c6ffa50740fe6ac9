"""Photographs as every command takes them: from a folder or from a store."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from maxtunnel.data.batches import Pixels
from maxtunnel.data.folders import evenly_spaced, folder_name, label_by_folder, read_files
from maxtunnel.data.manifest import MANIFEST, Manifest, is_store
from maxtunnel.data.store import MappedPixels, Store, open_store
from maxtunnel.data.survey import Ignored, Skipped, survey
from maxtunnel.support.choices import Resize
from maxtunnel.support.memory import free_memory
from maxtunnel.support.numbers import counted
from maxtunnel.support.progress import OnProgress, silent

_COPIES = 0.01  # of the photographs measured on: so many are found twice in collections that are kept apart


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Photographs of one size, in memory or on disk, with their classes where they have any.

    Attributes:
        pixels: (n, 3, side, side), on disk (`MappedPixels`) if a store would take more than half of the free
            memory.
        labels: a number into `class_names` for each photograph; None without classes.
        class_names: the name of each label; empty without classes.
        paths: where each photograph came from; for a store, relative to what was prepared.
        skipped: the files that could not be read, each with the reason in a sentence that names it.
        ignored: the files that are no images, counted by kind, such as (".txt", 3).
    """

    pixels: Pixels
    labels: Int64[Tensor, " n"] | None
    class_names: tuple[str, ...]
    paths: Sequence[str]
    skipped: tuple[tuple[Path, str], ...]
    ignored: Ignored

    def warn_of_skipped(self) -> None:
        """Tell of every photograph that could not be read, one line each."""
        for _, reason in self.skipped:
            logging.getLogger("maxtunnel").warning("skipped: %s", reason)


def read_photographs(
    source: str | Path,
    size: int,
    resize: Resize = "bilinear",
    limit: int | None = None,
    on_progress: OnProgress = silent,
) -> ImageSet:
    """The photographs of a folder, made square, or those of a store.

    Args:
        source: the folder (its folders are the classes) or the store.
        size: side of the square in pixels; a store must have been prepared at it.
        resize: how to warp; a store must have been prepared so.
        limit: take this many, evenly spaced over the list.
        on_progress: told, as phase `read`, how many of a folder's files are done, and the folder's name.

    Raises:
        FormatError: it is neither, or damaged.
        ValueError: the store was prepared at another size or otherwise.
    """
    if is_store(source):
        return _from_store(open_store(source), size, resize, limit)
    inside = survey(source)
    files = [Path(source, name) for name in inside.images]
    labels, classes = label_by_folder(inside.images)
    found = read_files(files, size, resize, limit, on_progress, note=folder_name(source))
    label_of = dict(zip(files, labels.tolist(), strict=True))
    return ImageSet(
        pixels=found.pixels,
        labels=torch.tensor([label_of[path] for path in found.paths]) if classes else None,
        class_names=classes,
        paths=[str(path) for path in found.paths],
        skipped=found.skipped + _told(Path(source), inside.skipped),
        ignored=inside.ignored,
    )


def check_prepared(store: Store, size: int, resize: Resize) -> None:
    """Refuse a store that was prepared at another size, or warped otherwise; ValueError says which."""
    manifest = store.manifest
    # A photograph that had the size already is the same either way, but a store does not say so.
    if (manifest.size, manifest.resize) != (size, resize):
        raise ValueError(
            f"{store.path} was prepared with `size` {manifest.size} and `resize` {manifest.resize}, but "
            f"`size` {size} and `resize` {resize} are asked for: give `size` {manifest.size} and `resize` "
            f"{manifest.resize}, or prepare it anew"
        )


def refuse_trained_on(
    trained: str | Path, measured: str | Path, names: tuple[str, str] = ("data", "val")
) -> None:
    """Refuse to measure on photographs that are trained on, before any is read.

    Args:
        trained, measured: a folder or a store each.
        names: the arguments that they came in, for the error.

    Raises:
        ValueError: both are one place, one folder lies in the other, or both are stores of one content.
    """
    one, two = Path(trained).resolve(), Path(measured).resolve()
    contents = [_content(place) for place in (one, two)]
    if one == two or contents[0] == contents[1] is not None:
        which = f"is `{names[0]}` too"
    elif contents == [None, None] and (one.is_relative_to(two) or two.is_relative_to(one)):
        which = f"shares photographs with `{names[0]}`"
    else:
        return
    raise ValueError(
        f"`{names[1]}` is {measured}, which {which}: measure on photographs that were not trained on"
    )


def refuse_copies(trained: Pixels, measured: Pixels, names: tuple[str, str] = ("data", "holdout")) -> None:
    """Refuse to measure on copies of photographs that are trained on, wherever their files lie.

    Args:
        trained, measured: photographs of one size.
        names: the arguments that they came in, for the error.

    Raises:
        ValueError: more than one, and more than one in a hundred, that are measured are among the others,
            pixel by pixel.
    """
    known = {digest: number for number, digest in enumerate(_digests(trained), 1)}
    copies = [(number, known[x]) for number, x in enumerate(_digests(measured), 1) if x in known]
    if len(copies) > max(1, _COPIES * len(measured)):
        raise ValueError(
            f"{len(copies):,} of the {counted(len(measured), 'photograph')} of `{names[1]}` are in "
            f"`{names[0]}` too, pixel by pixel (number {copies[0][0]} is number {copies[0][1]} there): "
            "remove them from either, as what was trained on must not be measured on"
        )


def _digests(pixels: Pixels) -> Iterator[bytes]:
    for number in range(len(pixels)):
        yield hashlib.blake2b(pixels[number : number + 1].contiguous().numpy().data, digest_size=16).digest()


def _content(place: Path) -> str | None:
    """The hash of what a store holds; None of a folder."""
    return Manifest.load(place / MANIFEST).content_sha256 if is_store(place) else None


def _from_store(store: Store, size: int, resize: Resize, limit: int | None) -> ImageSet:
    check_prepared(store, size, resize)
    manifest = store.manifest
    pixels, labels, paths = store.pixels, store.labels, store.paths
    chosen: Sequence[str] = paths
    numbers = evenly_spaced(len(pixels), limit)
    if len(numbers) < len(pixels):
        which = torch.tensor(numbers)
        pixels, labels = pixels.select(which), labels[which]
        chosen = [paths[number] for number in numbers]
    return ImageSet(
        pixels=pixels.load() if _fits(pixels) else pixels,
        labels=labels if store.class_names else None,
        class_names=store.class_names,
        paths=chosen,
        skipped=_told(Path(), manifest.skipped),
        ignored=manifest.ignored,
    )


def _told(folder: Path, skipped: Skipped) -> tuple[tuple[Path, str], ...]:
    """Each path, and the reason as a sentence that begins with it."""
    return tuple((folder / name, f"{folder / name} {reason}") for name, reason in skipped)


def _fits(pixels: MappedPixels) -> bool:
    return pixels.shape.numel() < free_memory() / 2
