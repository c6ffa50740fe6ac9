"""Photographs to a store, shard by shard, so that interrupted work goes on where it stopped."""

import errno
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Int64, UInt8

from maxtunnel.data.images import Missing, read_image
from maxtunnel.data.images import resize as warp
from maxtunnel.data.manifest import MANIFEST, Manifest, hash_of, is_store
from maxtunnel.data.parquet import ParquetSource, holds_images, list_parquet
from maxtunnel.data.selection import draw, relabel
from maxtunnel.data.sources import FolderSource, Image, list_folder
from maxtunnel.data.store import open_store, shard_name, write_mean, write_shard
from maxtunnel.data.survey import HIDDEN, Ignored, count_kinds, kind_of
from maxtunnel.data.tars import TarSource, list_tars
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.locks import take
from maxtunnel.support.progress import OnProgress, silent

# A shard is held in memory while it is made: 201 MB at 128x128, 268 MB at most.
SHARD_IMAGES = 4096
SHARD_BYTES = 2**28
MAX_SIZE = 4096

Source = FolderSource | TarSource | ParquetSource


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
            is). Linked folders are followed, each folder once (see `survey`). All that is found is used,
            skipped with a reason, or ignored and counted: `Manifest.account` tells how much of each.
        store: the folder to make.
        size: side of the square images in pixels.
        resize: how to warp them to it.
        select: `CLASSESxIMAGES`, as the paper's `100x400`: of the classes with at least so many images draw
            so many, and so many images of each. Both draws are with replacement, as the paper's were.
        distinct: draw without replacement.
        seed: of the draw.
        workers: decoding threads; by default one for each core.
        strict: stop at an image that cannot be read; otherwise it is skipped and listed in the manifest.
        on_progress: told, as phase `prepare`, how many of the images are done, and how many were skipped.

    Raises:
        FormatError: the source is missing or damaged, no image can be read, or with `strict` one cannot.
        ValueError: a setting makes no sense, or another store or folder is in the way.
        OSError: the disk is full; the message says how much is needed.
    """
    source, store = Path(source), Path(os.path.abspath(store))
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
        source=str(source),
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
    job = _Job(plan, listing, items, labels, step, strict, workers or os.cpu_count() or 1)
    return _run(job, store, on_progress)


def find_source(path: Path) -> Source:
    """What is in a folder or file, listed.

    A folder with `.parquet` or with `.tar` files directly in it is read as these, any other as images.
    Parquet files without images beside `.tar` files are img2dataset's lists of addresses, and ignored.
    """
    entries = sorted(path.iterdir()) if path.is_dir() else [path]
    parquet, tars = (_with_suffix(entries, suffix) for suffix in (".parquet", ".tar"))
    if tars and any(holds_images(file) for file in parquet):
        raise FormatError(f"{path} holds .parquet and .tar files with images: give a folder of one kind")
    if tars:
        return list_tars(tars, _beside(entries, tars))
    if parquet:
        return list_parquet(parquet, _beside(entries, parquet))
    if path.exists() and not path.is_dir():
        raise FormatError(f"{path} is no source: expected a folder, a .parquet file or a .tar file")
    return list_folder(path)


def _with_suffix(entries: list[Path], suffix: str) -> list[Path]:
    return [entry for entry in entries if entry.suffix.lower() == suffix and not entry.name.startswith(".")]


def _beside(entries: list[Path], used: list[Path]) -> Ignored:
    """What else lies in a folder of Parquet files or of tar files."""
    others = [entry for entry in entries if entry not in set(used)]
    return count_kinds(
        HIDDEN if other.name.startswith(".") else "folder" if other.is_dir() else kind_of(other.name)
        for other in others
    )


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


def _run(job: _Job, store: Path, on_progress: OnProgress) -> Manifest:
    partial, count = store.with_name(f".{store.name}.partial"), len(job.items)
    manifest = _finished(store, job.plan)
    if manifest is not None:
        # Left by a run that was killed in its last moment.
        shutil.rmtree(partial, ignore_errors=True)
        on_progress("prepare", count, count, "already there")
        _check_strict(job, manifest)
        return manifest
    with _full_disk_explained(store, partial), _alone(partial):
        # Another run may have finished it meanwhile.
        manifest = _finished(store, job.plan) or _make(job, partial, store, on_progress)
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _make(job: _Job, partial: Path, store: Path, on_progress: OnProgress) -> Manifest:
    folder, size, count = partial / "store", job.plan.size, len(job.items)
    manifest, total = _go_on(job, partial)
    _check_strict(job, manifest)
    buffer = np.empty((min(job.step, count), 3, size, size), np.uint8)
    for start in range(len(manifest.shards) * job.step, count, job.step):
        _check_space(store, (count - start) * buffer[0].size)
        manifest, pixels = _add_shard(job, manifest, start, buffer, folder, on_progress)
        total += pixels.sum(0, dtype=np.int64)
        _keep(manifest, total, partial)
    if not manifest.images:
        first = ": ".join(manifest.skipped[0])
        raise FormatError(f"no file of {count} could be read as an image; the first: {first}")
    mean = (total / (255 * manifest.images)).astype(np.float32)
    manifest = replace(manifest, mean_sha256=write_mean(folder, mean)).save(folder / MANIFEST)
    os.rename(folder, store)
    return manifest


def _add_shard(
    job: _Job,
    manifest: Manifest,
    start: int,
    buffer: UInt8[np.ndarray, "_ 3 s s"],
    folder: Path,
    on_progress: OnProgress,
) -> tuple[Manifest, UInt8[np.ndarray, "_ 3 s s"]]:
    """Write the shard that begins with item `start`; the manifest with it, and its pixels, in the buffer."""
    part = job.items[start : start + job.step]
    reasons: dict[int, str] = {}
    for done, (position, reason) in enumerate(_fill(buffer, part, job), start + 1):
        if reason:
            reasons[position] = reason
        skipped = len(manifest.skipped) + len(reasons)
        on_progress("prepare", done, len(job.items), f"{skipped} skipped" if skipped else "")
    kept = np.delete(np.arange(len(part)), [*reasons])
    for target, position in enumerate(kept.tolist()):
        if target != position:
            buffer[target] = buffer[position]
    pixels, keys = buffer[: len(kept)], job.source.keys.take(part)
    file = folder / shard_name(len(manifest.shards))
    shard = write_shard(file, pixels, job.labels[start:][kept], keys.take(kept))
    skipped_here = tuple((keys[position].as_py(), reasons[position]) for position in sorted(reasons))
    manifest = replace(
        manifest,
        images=manifest.images + len(kept),
        skipped=manifest.skipped + skipped_here,
        shards=(*manifest.shards, shard),
    )
    return manifest, pixels


def _fill(
    buffer: UInt8[np.ndarray, "_ 3 s s"], part: Int64[np.ndarray, " b"], job: _Job
) -> Iterator[tuple[int, str]]:
    """Read images into the buffer; yields the position of each, and why it could not be read, if so."""
    size = buffer.shape[-1]

    def read(position: int, image: Image) -> tuple[int, str]:
        try:
            if isinstance(image, Missing):
                raise FormatError(f"{image.name} {image.reason}")
            buffer[position] = warp(read_image(image), (size, size), job.plan.resize).numpy()
        except FormatError as error:
            if job.strict:
                raise
            name = str(image if isinstance(image, Path) else image.name)
            return position, str(error).removeprefix(name).strip()
        return position, ""

    # Few images wait, so that those of a Parquet file are not all in memory.
    waiting: deque[Future[tuple[int, str]]] = deque()
    with ThreadPoolExecutor(job.workers) as pool:
        for position, image in job.source.images(part):
            waiting.append(pool.submit(read, position, image))
            if len(waiting) > 4 * job.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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


# progress.json lists the whole shards. The sum of their pixels is in a file beside it, which is written first
# and named after their number: at whatever moment a run ends, the two agree.
def _keep(manifest: Manifest, total: Int64[np.ndarray, "3 s s"], partial: Path) -> None:
    with replacing(_total(partial, len(manifest.shards))) as temporary:
        np.save(temporary, total)
    manifest.save(partial / "progress.json")
    _total(partial, len(manifest.shards) - 1).unlink(missing_ok=True)


def _go_on(job: _Job, partial: Path) -> tuple[Manifest, Int64[np.ndarray, "3 s s"]]:
    """The whole shards of an earlier run and the sum of their pixels; none where that was another job."""
    try:
        manifest = Manifest.load(partial / "progress.json")
        total = np.load(_total(partial, len(manifest.shards)), allow_pickle=False)
        files = [partial / "store" / shard_name(number) for number in range(len(manifest.shards))]
        sizes = [file.stat().st_size for file in files]
        same = manifest.fingerprint == job.plan.fingerprint and manifest.class_names == job.plan.class_names
        if same and sizes == [shard.bytes for shard in manifest.shards]:
            # A file that was half written when the run was killed would become part of the store.
            for file in set((partial / "store").iterdir()) - set(files):
                file.unlink()
            return manifest, total
    except (OSError, ValueError, EOFError):
        pass
    for path in [*partial.glob("*.json"), *partial.glob("*.npy")]:
        path.unlink()
    shutil.rmtree(partial / "store", ignore_errors=True)
    return job.plan, np.zeros((3, job.plan.size, job.plan.size), np.int64)


def _total(partial: Path, shards: int) -> Path:
    return partial / f"total-{shards:05d}.npy"


def _check_strict(job: _Job, manifest: Manifest) -> None:
    if job.strict and manifest.skipped:
        raise FormatError(f"{' '.join(manifest.skipped[0])} (`strict` stops at an image that cannot be read)")


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
