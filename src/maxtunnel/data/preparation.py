"""Photographs to a store, shard by shard, so that interrupted work goes on where it stopped."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Int64

from maxtunnel.data.finding import Source, find_source
from maxtunnel.data.manifest import MANIFEST, Manifest, hash_of, is_store
from maxtunnel.data.selection import draw, relabel
from maxtunnel.data.shards import Piece, ShardMaker, ShardRow, read_rows, sum_of_pixels
from maxtunnel.data.store import open_store, write_mean
from maxtunnel.data.survey import Skipped
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError
from maxtunnel.support.locks import take
from maxtunnel.support.parts import Parts, Spread, complete, here
from maxtunnel.support.places import without_secrets
from maxtunnel.support.progress import OnProgress, silent

# A shard is held in memory while it is made: 201 MB at 128x128, 268 MB at most.
SHARD_IMAGES = 4096
SHARD_BYTES = 2**28
MAX_SIZE = 4096


def prepare(
    source: str | Path,
    store: str | Path,
    *,
    size: int = 128,
    resize: Resize = "bilinear",
    select: str | None = None,
    distinct: bool = False,
    seed: int = 0,
    workers: int | None = None,
    strict: bool = False,
    spread: Spread = here,
    on_progress: OnProgress = silent,
) -> Manifest:
    """Decode and warp photographs once, and keep their pixels where training reads them.

    The work happens in `.STORE.partial` beside the store. After an interruption at any moment, the same call
    goes on after the last whole shard; the store itself appears in one step when all is done. If it is there
    already, made with the same settings from the same files, nothing is done. A second run at the same time
    is refused, unless files cannot be locked there (Windows, some network folders), which a warning says.

    Args:
        source: a folder of class folders, a flat folder, a `.parquet` file or a folder of them (Hugging Face
            image layout), or a `.tar` file or a folder of them (WebDataset; what img2dataset writes, as it
            is); or the address of one that fsspec opens, such as `s3://bucket/photographs`. Linked folders
            are followed, each folder once (see `survey`). All that is found is used, skipped with a reason,
            or ignored and counted: `Manifest.account` tells how much of each.
        store: the folder to make.
        size: side of the square images in pixels.
        resize: how to warp them to it.
        select: `CLASSESxIMAGES`, as the paper's `100x400`: of the classes with at least so many images draw
            so many, and so many images of each. Both draws are with replacement, as the paper's were.
        distinct: draw without replacement.
        seed: of the draw.
        workers: decoding threads; by default one for each core, and of an engine one for each part.
        strict: stop at an image that cannot be read; otherwise it is skipped and listed in the manifest.
        spread: does the shards. The workers of an engine write them where the store is to be, and read the
            source, so both must be there for each of them.
        on_progress: told, as phase `prepare`, how many of the images are done, and how many were skipped.

    Raises:
        FormatError: the source is missing or damaged, no image can be read, or with `strict` one cannot.
        ValueError: a setting makes no sense, or another store or folder is in the way.
        OSError: the disk is full; the message says how much is needed.
    """
    store = Path(os.path.abspath(store))
    _check_settings(size, resize, select, distinct, workers)
    step = max(1, min(SHARD_IMAGES, SHARD_BYTES // (3 * size * size)))
    listing = find_source(source)
    items = np.arange(len(listing.labels)) if select is None else draw(listing, select, distinct, seed)
    labels, names = relabel(listing, items)
    drawn = len(np.unique(items))
    undrawn = (("not drawn", len(listing.labels) - drawn),) if drawn < len(listing.labels) else ()
    plan = Manifest(
        size=size,
        resize=resize,
        select=select,
        distinct=distinct,
        seed=seed if select else None,
        source=without_secrets(str(source)),
        fingerprint=hash_of([size, resize, select, distinct, select and seed, step, listing.fingerprint]),
        images=0,
        class_names=names,
        skipped=listing.skipped,
        shards=(),
        mean_sha256="",
        found=listing.found,
        ignored=listing.ignored + undrawn,
        repeated=len(items) - drawn,
    )
    threads = workers or (os.cpu_count() if spread is here else None) or 1
    job = _Job(plan, listing, items, labels, step, strict, threads)
    return _run(job, store, spread, on_progress)


def _check_settings(
    size: int, resize: Resize, select: str | None, distinct: bool, workers: int | None
) -> None:
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"`size` is {size} pixels: expected 1 to {MAX_SIZE}")
    if resize not in get_args(Resize):
        raise ValueError(f"`resize` is {resize!r}: expected 'bilinear' or 'antialias'")
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` is {workers}: give at least 1")
    if distinct and select is None:
        raise ValueError("`distinct` is about a draw, and nothing is drawn: give `select` as well")


@dataclass(frozen=True, eq=False)
class _Job:
    """What is to be made: `items` of the source with their labels, `step` of them a shard."""

    plan: Manifest
    source: Source
    items: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    step: int
    strict: bool
    workers: int

    def piece(self, number: int) -> Piece:
        """What the shard of this number is made from."""
        part = slice(number * self.step, (number + 1) * self.step)
        return Piece(number, self.source.part(self.items[part]), self.labels[part])

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-len(self.items) // self.step)


def _run(job: _Job, store: Path, spread: Spread, on_progress: OnProgress) -> Manifest:
    partial, count = store.with_name(f".{store.name}.partial"), len(job.items)
    manifest = _finished(store, job.plan)
    if manifest is not None:
        # Left by a run that was killed in its last moment.
        shutil.rmtree(partial, ignore_errors=True)
        on_progress("prepare", count, count, "already there")
        _check_strict(job, manifest.skipped)
        return manifest
    with _full_disk_explained(store, partial), _alone(partial):
        # Another run may have finished it meanwhile.
        manifest = _finished(store, job.plan) or _make(job, partial, store, spread, on_progress)
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _make(job: _Job, partial: Path, store: Path, spread: Spread, on_progress: OnProgress) -> Manifest:
    rows = _go_on(job, partial)
    skipped = job.plan.skipped + tuple(pair for row in rows.values() for pair in row.skipped)
    _check_strict(job, skipped)
    done = sum(row.shard.images + len(row.skipped) for row in rows.values())
    progress = _Progress(len(job.items), done, len(skipped), on_progress)
    maker = ShardMaker(partial, job.plan.size, job.plan.resize, job.strict, job.workers)
    if spread is here:
        maker = replace(maker, on_read=progress.read)
    _check_space(store, 3 * job.plan.size**2 * (len(job.items) - progress.done))
    for row in complete(rows, maker, Parts(range(job.shards), job.piece), spread):
        progress.add(row.shard.images + len(row.skipped), len(row.skipped), told=spread is here)
    return _finish(job, rows, partial, store)


class _Progress:
    """Tells how many photographs are done, whole shards or some of the one that is made here."""

    def __init__(self, total: int, done: int, skipped: int, on_progress: OnProgress) -> None:
        self.done, self._skipped, self._total, self._tell = done, skipped, total, on_progress

    def read(self, done: int, skipped: int) -> None:
        """So many more than in whole shards are done, and so many of these are skipped."""
        skipped += self._skipped
        self._tell("prepare", self.done + done, self._total, f"{skipped} skipped" if skipped else "")

    def add(self, count: int, skipped: int, told: bool) -> None:
        """A shard is whole, of which each photograph was `told` before or not."""
        self.done, self._skipped = self.done + count, self._skipped + skipped
        if not told:
            self.read(0, 0)


def _finish(job: _Job, rows: dict[int, ShardRow], partial: Path, store: Path) -> Manifest:
    """Add manifest and mean image, and put the store in its place."""
    folder, plan, size = partial / "store", job.plan, job.plan.size
    manifest = replace(
        plan,
        images=sum(row.shard.images for row in rows.values()),
        skipped=plan.skipped + tuple(pair for number in range(job.shards) for pair in rows[number].skipped),
        shards=tuple(rows[number].shard for number in range(job.shards)),
    )
    if not manifest.images:
        first = ": ".join(manifest.skipped[0])
        raise FormatError(f"no file of {len(job.items)} could be read as an image; the first: {first}")
    total = np.zeros((3, size, size), np.int64)
    for number in range(job.shards):
        total += sum_of_pixels(partial, number)
    mean = (total / (255 * manifest.images)).astype(np.float32)
    manifest = replace(manifest, mean_sha256=write_mean(folder, mean)).save(folder / MANIFEST)
    os.rename(folder, store)
    return manifest


def _finished(store: Path, plan: Manifest) -> Manifest | None:
    """The manifest of a store that is there already; None where there is none, or an empty folder."""
    if not os.path.lexists(store) or (store.is_dir() and not any(store.iterdir())):
        return None
    if not is_store(store):
        raise ValueError(f"{store} is there already and is no store: name a new folder")
    manifest = open_store(store).manifest
    if manifest.fingerprint != plan.fingerprint:
        raise ValueError(
            f"{store} was prepared with other settings or from other files: name a new folder, or delete it"
        )
    return manifest


def _go_on(job: _Job, partial: Path) -> dict[int, ShardRow]:
    """The rows of the shards that an earlier run made whole; none where that was another job."""
    progress = partial / "progress.json"
    try:
        plan = Manifest.load(progress)
        if (plan.fingerprint, plan.class_names) == (job.plan.fingerprint, job.plan.class_names):
            return read_rows(partial)
    except ValueError:
        pass
    for name in ("store", "rows"):
        shutil.rmtree(partial / name, ignore_errors=True)
    job.plan.save(progress)
    return {}


def _check_strict(job: _Job, skipped: Skipped) -> None:
    if job.strict and skipped:
        raise FormatError(f"{' '.join(skipped[0])} (`strict` stops at an image that cannot be read)")


def _check_space(store: Path, need: int) -> None:
    free = shutil.disk_usage(store.parent).free
    if free < need:
        text = f"{need / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free"
        raise OSError(errno.ENOSPC, text)


@contextmanager
def _full_disk_explained(store: Path, partial: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            f"no room on the disk of {store} ({error.strerror}): make room and run the same "
            f"command again, which goes on where this one stopped; or delete {partial}"
        ) from None


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Keeps a second run out where files can be locked (`support.locks`)."""
    partial.mkdir(parents=True, exist_ok=True)
    with open(partial / "lock", "w") as lock:
        if not take(lock):
            raise ValueError(f"{partial} is being written by another run: wait for it")
        yield
