"""A store on disk: its shards as memory-mapped pixels, and whether it is whole."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal, overload

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
Column = Literal["pixels", "mask"]  # of a shard, whose other columns are `label` and `path`


class MappedPixels:
    """Pixels on disk, read where they are asked for, as a uint8 tensor (n, 3, s, s) would be; or masks.

    Masks are as a tensor (n, s, s).

    A pickle of it holds the path of the store instead of the pixels, which are mapped again on unpickling.

    Args:
        store: the folder of the store.
        shards: the pixels of each shard, memory-mapped.
        numbers: which of them, and in which order; None for all.
        column: of the shards that they are.
    """

    dtype = torch.uint8
    device = torch.device("cpu")

    def __init__(
        self,
        store: Path,
        shards: Sequence[UInt8[np.ndarray, "_ ..."]],
        numbers: Int64[Tensor, " n"] | None = None,
        column: Column = "pixels",
    ) -> None:
        self._store, self._shards, self._chosen = store.absolute(), shards, numbers
        self._column: Column = column
        self._starts = list(accumulate((len(shard) for shard in shards), initial=0))
        self._numbers = torch.arange(self._starts[-1]) if numbers is None else numbers

    def __reduce__(
        self,
    ) -> tuple[Callable[[Path, Tensor | None, Column], "MappedPixels"], tuple[Path, Tensor | None, Column]]:
        return _map_again, (self._store, self._chosen, self._column)

    @property
    def shape(self) -> torch.Size:
        """(n, 3, s, s), of masks (n, s, s)."""
        return torch.Size((len(self), *self._shards[0].shape[1:]))

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, which: slice | Int64[Tensor, " b"]) -> UInt8[Tensor, "b ..."]:
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
        return MappedPixels(self._store, self._shards, self._numbers[numbers], self._column)

    def load(self) -> UInt8[Tensor, "n ..."]:
        """All of the images, in memory."""
        return self[:]


def _map_again(store: Path, numbers: Int64[Tensor, " n"] | None, column: Column = "pixels") -> MappedPixels:
    return MappedPixels(store, [_values(batch, column) for batch in _map_shards(store)[1]], numbers, column)


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
        masks: the label of every pixel (`manifest.mask_classes`), 255 where none counts, on disk; None where
            the images have no masks.
    """

    path: Path
    manifest: Manifest
    labels: Int64[Tensor, " n"]
    paths: StoredPaths
    mean: Float32[Tensor, "3 s s"]
    pixels: MappedPixels
    masks: MappedPixels | None = None

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
        pixels=MappedPixels(path, [_values(batch, "pixels") for batch in batches]),
        masks=MappedPixels(path, [_values(batch, "mask") for batch in batches], column="mask")
        if manifest.mask_classes
        else None,
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
    masks: UInt8[np.ndarray, "n s s"] | None = None,
) -> Shard:
    """Write images to one Arrow file, in one step.

    Args:
        pixels: contiguous; not copied.
        labels: of the images.
        paths: strings, in a list or an Arrow array.
        masks: the label of every pixel, contiguous; None where there are none.
    """
    schema = _schema(pixels.shape[-1], masks is not None)
    columns = [_column(schema, "pixels", pixels), pa.array(labels), pa.array(paths, pa.large_string())]
    if masks is not None:
        columns.append(_column(schema, "mask", masks))
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
        return Shard(len(pixels), temporary.stat().st_size, hash_file(temporary))


def write_mean(folder: Path, mean: Float32[np.ndarray, "3 s s"]) -> str:
    """Write mean.npy; returns its hash."""
    with replacing(folder / MEAN) as temporary:
        np.save(temporary, mean)
    return hash_file(folder / MEAN)


def _schema(size: int, masked: bool) -> ArrowSchema:
    names = ["channel", "row", "column"]
    image = pa.fixed_shape_tensor(pa.uint8(), (3, size, size), dim_names=names)
    kinds = {"pixels": image, "label": pa.int64(), "path": pa.large_string()}
    if masked:
        kinds["mask"] = pa.fixed_shape_tensor(pa.uint8(), (size, size), dim_names=names[1:])
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def _column(schema: ArrowSchema, name: Column, values: UInt8[np.ndarray, "n ..."]) -> ArrowArray:
    kind = schema.field(name).type
    flat = pa.Array.from_buffers(pa.uint8(), values.size, [None, pa.py_buffer(values)])
    rows = pa.FixedSizeListArray.from_arrays(flat, kind.storage_type.list_size)
    return pa.ExtensionArray.from_storage(kind, rows)


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
            if (
                batch.schema.equals(_schema(manifest.size, bool(manifest.mask_classes)))
                and len(batch) == shard.images
            ):
                return batch
            found = f"{len(batch)} rows of {batch.schema.names}"
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        found = one_line(error)
    wanted = f"{shard.images} images of {manifest.size}x{manifest.size}"
    raise FormatError(f"{path} is damaged or of another kind ({found}), expected {wanted}: prepare it again")


def _values(batch: ArrowBatch, name: Column) -> UInt8[np.ndarray, "n ..."]:
    column = batch.column(name)
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
