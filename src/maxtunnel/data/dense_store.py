"""Images with an answer for every pixel to a store, the masks beside the pixels in each shard."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.dense import UNCOUNTED, DenseSet, Labels, consensus, resize_contours, resize_labels
from maxtunnel.data.images import resize as warp
from maxtunnel.data.manifest import MANIFEST, Manifest, Shard, hash_of, is_store
from maxtunnel.data.store import open_store, shard_name, write_mean, write_shard
from maxtunnel.support.choices import Resize
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import Json
from maxtunnel.switches.window import Pair

SHARD_BYTES = 2**28


def prepare_dense(
    dense: DenseSet,
    store: str | Path,
    *,
    size: int = 224,
    resize: Resize = "antialias",
    padded: bool = True,
    agreed: float = 0.5,
    on_progress: OnProgress = silent,
) -> Manifest:
    """Decode images and masks once, bring them to a square, and keep them where training reads them.

    The store appears in one step when all is done; what was interrupted begins anew. If it is there already,
    made with the same settings from the same files, nothing is done.

    Args:
        dense: one split of a set.
        store: the folder to make; `open_store(store).masks` are the masks.
        size: side of the square in pixels.
        resize: how images are brought to it. Of masks the nearest pixel's label counts; of contours a pixel
            is one where one lies anywhere in its area.
        padded: keep the proportions: what is left of the square, evenly on both sides, is black, and void in
            the mask. Otherwise images are warped, as photographs are.
        agreed: of contours, the share of annotators that has to have drawn one; where fewer did is void.
        on_progress: told, as phase `prepare`, how many of the images are done.

    Raises:
        FormatError: an image or a mask cannot be read, or they differ in size.
        ValueError: a setting makes no sense, or another store or folder is in the way.
    """
    store = Path(os.path.abspath(store))
    if size < 1 or not len(dense):
        raise ValueError(f"`size` is {size}, and there are {len(dense)} images: expected at least 1 of both")
    plan = _plan(dense, size, resize, padded, agreed)
    if store.exists() and any(store.iterdir()):
        return _finished(store, plan)
    partial = store.with_name(f".{store.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        manifest = _write(_Squares(dense, size, resize, padded, agreed), plan, partial, on_progress)
        os.rename(partial, store)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


@dataclass(frozen=True, eq=False)
class _Squares:
    """Images and masks of a set as squares, see `prepare_dense`."""

    dense: DenseSet
    size: int
    resize: Resize
    padded: bool
    agreed: float

    def at(self, number: int) -> tuple[UInt8[Tensor, "3 s s"], UInt8[Tensor, "s s"]]:
        """Of one image; in its mask 255 is void."""
        image, labels = self.dense.pair(number)
        inner = self._inner((image.shape[1], image.shape[2]))
        image, mask = warp(image, inner, self.resize), self._mask(labels, inner)
        above, left = ((self.size - side) // 2 for side in inner)
        around = (left, self.size - inner[1] - left, above, self.size - inner[0] - above)
        return F.pad(image, around), F.pad(mask, around, value=UNCOUNTED)

    def _inner(self, size: Pair) -> Pair:
        """(height, width) of the image in the square."""
        if not self.padded:
            return self.size, self.size
        height, width = (max(1, round(side * self.size / max(size))) for side in size)
        return height, width

    def _mask(self, labels: Labels, size: Pair) -> UInt8[Tensor, "H W"]:
        if self.dense.contours:
            return consensus(resize_contours(labels, size), self.agreed)
        if len(labels) != 1:
            raise ValueError(f"an image has masks by {len(labels)} annotators: expected one, or contours")
        mask = resize_labels(labels, size)[0]
        return mask if self.dense.void is None else torch.where(mask == self.dense.void, UNCOUNTED, mask)


def _write(squares: _Squares, plan: Manifest, folder: Path, on_progress: OnProgress) -> Manifest:
    """All shards, the mean image and the manifest."""
    count, size = len(squares.dense), plan.size
    step = max(1, SHARD_BYTES // (4 * size * size))
    total, shards = np.zeros((3, size, size), np.int64), list[Shard]()
    for first in range(0, count, step):
        numbers = range(first, min(first + step, count))
        pixels = np.empty((len(numbers), 3, size, size), np.uint8)
        masks = np.empty((len(numbers), size, size), np.uint8)
        for place, number in enumerate(numbers):
            image, mask = squares.at(number)
            pixels[place], masks[place] = image.numpy(), mask.numpy()
            on_progress("prepare", number + 1, count, "")
        total += pixels.sum(0, dtype=np.int64)
        names = [squares.dense.images[number].name for number in numbers]
        labels = np.full(len(numbers), -1)
        shards.append(write_shard(folder / shard_name(len(shards)), pixels, labels, names, masks))
    mean = write_mean(folder, (total / (255 * count)).astype(np.float32))
    return replace(plan, shards=tuple(shards), mean_sha256=mean).save(folder / MANIFEST)


def _plan(dense: DenseSet, size: int, resize: Resize, padded: bool, agreed: float) -> Manifest:
    """The manifest, but for what is known only once the store is made."""
    stamps = "".join(map(_stamp, (*dense.images, *dense.masks)))
    how: list[Json] = [size, resize, padded, agreed if dense.contours else None, dense.void]
    return Manifest(
        size=size, resize=resize, select=None, distinct=False, seed=None,
        source=f"{dense.images[0].parent}, {dense.split}",
        fingerprint=hash_of([*how, *dense.class_names, stamps]),
        images=len(dense), class_names=(), skipped=(), shards=(), mean_sha256="",
        found=len(dense), ignored=(), repeated=0,
        mask_classes=dense.class_names, padded=padded,
    )  # fmt: skip


def _stamp(path: Path) -> str:
    """Name, size and time of a file, also of one that is missing, which is said when it is read."""
    status = path.stat() if path.exists() else None
    return f"{path.name}\0{status and status.st_size}\0{status and status.st_mtime_ns}\n"


def _finished(store: Path, plan: Manifest) -> Manifest:
    if not is_store(store):
        raise ValueError(f"{store} is there already and is no store: name a new folder")
    manifest = open_store(store).manifest
    if manifest.fingerprint != plan.fingerprint:
        raise ValueError(
            f"{store} was prepared with other settings or from other files: name a new folder, or delete it"
        )
    return manifest
