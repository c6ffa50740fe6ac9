"""A store on disk: its shards as memory-mapped pixels, and whether it is whole."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from maxtunnel.data.arrow import ArrowArray, ArrowBatch, ArrowSchema
from maxtunnel.data.manifest import MANIFEST, Manifest, Shard, hash_file
from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.progress import OnProgress, silent

MEAN = "mean.npy"


class MappedPixels:
    """Pixels on disk, read where they are asked for, as a uint8 tensor (n, 3, s, s) would be.

    A pickle of it holds the path of the store instead of the pixels, which are mapped again on unpickling.

    Args:
        store: the folder of the store.
        shards: the pixels of each shard, memory-mapped.
        numbers: which of them, and in which order; None for all.
    """

    dtype = torch.uint8
    device = torch.device("cpu")

    def __init__(
        self,
        store: Path,
        shards: Sequence[UInt8[np.ndarray, "_ 3 s s"]],
        numbers: Int64[Tensor, " n"] | None = None,
    ) -> None:
        self._store, self._shards, self._chosen = store.absolute(), shards, numbers
        self._starts = list(accumulate((len(shard) for shard in shards), initial=0))
        self._numbers = torch.arange(self._starts[-1]) if numbers is None else numbers

    def __reduce__(
        self,
    ) -> tuple[Callable[[Path, Tensor | None], "MappedPixels"], tuple[Path, Tensor | None]]:
        return _map_again, (self._store, self._chosen)

    @property
    def shape(self) -> torch.Size:
        """(n, 3, s, s)."""
        return torch.Size((len(self), *self._shards[0].shape[1:]))

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, which: slice | Int64[Tensor, " b"]) -> UInt8[Tensor, "b 3 s s"]:
        numbers = self._numbers[which].tolist()
        images = torch.empty(len(numbers), *self.shape[1:], dtype=torch.uint8)
        # Through NumPy: a tensor over the read-only map would warn.
        target = images.numpy()
        for position, number in enumerate(numbers):
            shard = bisect_right(self._starts, number) - 1
            target[position] = self._shards[shard][number - self._starts[shard]]
        return images

    def select(self, numbers: Int64[Tensor, " b"]) -> "MappedPixels":
        """Some of the images, still on disk."""
        return MappedPixels(self._store, self._shards, self._numbers[numbers])

    def load(self) -> UInt8[Tensor, "n 3 s s"]:
        """All of the images, in memory."""
        return self[:]


def _map_again(store: Path, numbers: Int64[Tensor, " n"] | None) -> MappedPixels:
    return MappedPixels(store, [_pixels(batch) for batch in _map_shards(store)[1]], numbers)


class StoredPaths(Sequence[str]):
    """The source path of every image, read from the shards where it is asked for."""

    def __init__(self, paths: ArrowArray) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, which: int) -> str: ...

    @overload
    def __getitem__(self, which: slice) -> list[str]: ...

    def __getitem__(self, which: int | slice) -> str | list[str]:
        found = self._paths[which]
        return found.to_pylist() if isinstance(which, slice) else found.as_py()


@dataclass(frozen=True, eq=False)
class Store:
    """Prepared images.

    Attributes:
        path: the folder.
        manifest: what it holds and how it was made.
        labels: a number into `class_names` for every image, -1 where there are no classes.
        paths: where every image came from, relative to the source.
        mean: the mean image, in [0, 1].
        pixels: the images, on disk.
    """

    path: Path
    manifest: Manifest
    labels: Int64[Tensor, " n"]
    paths: StoredPaths
    mean: Float32[Tensor, "3 s s"]
    pixels: MappedPixels

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label; empty without labels."""
        return self.manifest.class_names


def open_store(path: str | Path) -> Store:
    """The store in a folder, its pixels left on disk.

    Raises:
        FormatError: it is no store, or a file is missing, cut short or of another kind. Whether every byte
            is right only `verify` can tell.
    """
    path = Path(path)
    manifest, batches = _map_shards(path)
    labels = np.concatenate([batch.column("label").to_numpy() for batch in batches])
    if labels.min(initial=0) < -1 or labels.max(initial=-1) >= len(manifest.class_names):
        raise FormatError(f"{path} has labels without a class name: prepare it again")
    return Store(
        path=path,
        manifest=manifest,
        labels=torch.from_numpy(labels),
        paths=StoredPaths(pa.chunked_array([batch.column("path") for batch in batches])),
        mean=_read_mean(path / MEAN, manifest),
        pixels=MappedPixels(path, [_pixels(batch) for batch in batches]),
    )


def verify(path: str | Path, on_progress: OnProgress = silent) -> None:
    """Read every byte of a store; FormatError names the first file that is not as it was written.

    Args:
        on_progress: told, as phase `verify`, how many of the shards are done.
    """
    store = open_store(path)
    total = len(store.manifest.shards)
    for number, shard in enumerate(store.manifest.shards):
        file = store.path / shard_name(number)
        if hash_file(file) != shard.sha256:
            raise FormatError(f"{file} was altered: its hash is another; prepare the store again")
        on_progress("verify", number + 1, total, "")


def shard_name(number: int) -> str:
    """The name of the file of a shard."""
    return f"shard-{number:05d}.arrow"


def write_shard(
    path: Path,
    pixels: UInt8[np.ndarray, "n 3 s s"],
    labels: Int64[np.ndarray, " n"],
    paths: list[str] | ArrowArray,
) -> Shard:
    """Write images to one Arrow file, in one step.

    Args:
        pixels: contiguous; not copied.
        paths: strings, in a list or an Arrow array.
    """
    schema = _schema(pixels.shape[-1])
    kind = schema.field("pixels").type
    flat = pa.Array.from_buffers(pa.uint8(), pixels.size, [None, pa.py_buffer(pixels)])
    images = pa.FixedSizeListArray.from_arrays(flat, kind.storage_type.list_size)
    columns = [
        pa.ExtensionArray.from_storage(kind, images),
        pa.array(labels),
        pa.array(paths, pa.large_string()),
    ]
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
        return Shard(len(pixels), temporary.stat().st_size, hash_file(temporary))


def write_mean(folder: Path, mean: Float32[np.ndarray, "3 s s"]) -> str:
    """Write mean.npy; returns its hash."""
    with replacing(folder / MEAN) as temporary:
        np.save(temporary, mean)
    return hash_file(folder / MEAN)


def _schema(size: int) -> ArrowSchema:
    names = ["channel", "row", "column"]
    image = pa.fixed_shape_tensor(pa.uint8(), (3, size, size), dim_names=names)
    kinds = {"pixels": image, "label": pa.int64(), "path": pa.large_string()}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def _map_shards(path: Path) -> tuple[Manifest, list[ArrowBatch]]:
    """The manifest of a store and its shards, each memory-mapped."""
    manifest = Manifest.load(path / MANIFEST)
    batches = [_map_shard(path / shard_name(n), shard, manifest) for n, shard in enumerate(manifest.shards)]
    if not batches or sum(shard.images for shard in manifest.shards) != manifest.images:
        raise FormatError(f"{path} holds other than the {manifest.images} images it should: prepare it again")
    if not manifest.adds_up:
        raise FormatError(f"{path / MANIFEST} was altered: what was found does not add up; prepare it again")
    return manifest, batches


def _map_shard(path: Path, shard: Shard, manifest: Manifest) -> ArrowBatch:
    size = path.stat().st_size if path.is_file() else None
    if size != shard.bytes:
        found = "is missing" if size is None else f"has {size} bytes"
        raise FormatError(f"{path} {found}, expected {shard.bytes} bytes: prepare the store again")
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        found = f"{reader.num_record_batches} record batches"
        if reader.num_record_batches == 1:
            batch = reader.get_batch(0)
            batch.validate()
            batch.column("path").validate(full=True)
            if batch.schema.equals(_schema(manifest.size)) and len(batch) == shard.images:
                return batch
            found = f"{len(batch)} rows of {batch.schema.names}"
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        found = one_line(error)
    wanted = f"{shard.images} images of {manifest.size}x{manifest.size}"
    raise FormatError(f"{path} is damaged or of another kind ({found}), expected {wanted}: prepare it again")


def _pixels(batch: ArrowBatch) -> UInt8[np.ndarray, "n 3 s s"]:
    column = batch.column("pixels")
    return column.storage.flatten().to_numpy(zero_copy_only=True).reshape(len(batch), *column.type.shape)


def _read_mean(path: Path, manifest: Manifest) -> Float32[Tensor, "3 s s"]:
    try:
        whole = hash_file(path) == manifest.mean_sha256
        mean = np.load(path, allow_pickle=False) if whole else np.empty(0)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path} cannot be read ({error}): prepare the store again") from None
    if mean.shape != (3, manifest.size, manifest.size) or mean.dtype != np.float32:
        raise FormatError(f"{path} was altered or is of another kind: prepare the store again")
    return torch.from_numpy(mean)
