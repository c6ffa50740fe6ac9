"""What is read where data are asked for: a folder of photographs, or a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data.images import Resize, list_images, read_folder
from maxtunnel.data.store import MappedPixels, Store, is_store, open_store
from maxtunnel.support.memory import free_memory
from maxtunnel.support.progress import OnProgress, counter, silent


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size, in memory or on disk, with their classes where they have any.

    Attributes:
        pixels: on disk (`MappedPixels`) if it is a store that does not fit into half of the free memory.
        labels: a number into `class_names` for each image; None without classes.
        class_names: the name of each label; empty without classes.
        paths: where each image came from; from a store, relative to what was prepared.
        skipped: the images that could not be read, each with the reason.
    """

    pixels: UInt8[Tensor, "n 3 s s"] | MappedPixels
    labels: Int64[Tensor, " n"] | None
    class_names: tuple[str, ...]
    paths: Sequence[str]
    skipped: tuple[tuple[Path, str], ...]


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
        size: side of the square in pixels; a store must have it.
        resize: how to warp; a store must have been made so.
        limit: take this many, evenly spaced over the list.
        on_progress: told the images done and their total.

    Raises:
        FormatError: it is neither, or damaged.
        ValueError: the store was prepared at another size or otherwise.
    """
    if is_store(source):
        return _from_store(open_store(source), size, resize, limit)
    files = list_images(source)
    inside = [file.relative_to(source).parts for file in files]
    names = sorted({parts[0] for parts in inside}) if all(len(parts) > 1 for parts in inside) else []
    number = {name: label for label, name in enumerate(names)}
    found = read_folder(files, size, resize, limit, counter(on_progress, f"read {source}"))
    labels = [number[path.relative_to(source).parts[0]] for path in found.paths] if names else None
    return ImageSet(
        pixels=found.pixels,
        labels=None if labels is None else torch.tensor(labels),
        class_names=tuple(names),
        paths=[str(path) for path in found.paths],
        skipped=found.skipped,
    )


def _from_store(store: Store, size: int, resize: Resize, limit: int | None) -> ImageSet:
    manifest = store.manifest
    # An image that had the size already is the same either way, but a store does not say so.
    if (manifest.size, manifest.resize) != (size, resize):
        raise ValueError(
            f"{store.path} was prepared with --size {manifest.size} --resize {manifest.resize}, but "
            f"--size {size} --resize {resize} is asked for: ask for the former, or prepare it anew"
        )
    if limit is not None and limit < 1:
        raise ValueError(f"the limit is {limit} images: give at least 1, or None for all")
    pixels, labels, paths = store.pixels, store.labels, store.paths
    chosen: Sequence[str] = paths
    if limit is not None and limit < len(pixels):
        numbers = torch.arange(limit) * len(pixels) // limit
        pixels, labels = pixels.select(numbers), labels[numbers]
        chosen = [paths[number] for number in numbers.tolist()]
    return ImageSet(
        pixels=pixels.load() if _fits(pixels) else pixels,
        labels=labels if store.class_names else None,
        class_names=store.class_names,
        paths=chosen,
        skipped=tuple((Path(name), reason) for name, reason in manifest.skipped),
    )


def _fits(pixels: MappedPixels) -> bool:
    return pixels.shape.numel() < free_memory() / 2
