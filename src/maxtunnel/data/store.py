"""A store on disk: what its manifest says, its shards as memory-mapped pixels, and whether it is whole."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from maxtunnel.data.images import Resize
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.progress import OnProgress, silent

MANIFEST = "manifest.json"
MEAN = "mean.npy"
_FORMAT = "maxtunnel store"
_VERSION = 1
# Where the images came from is no part of what they are.
_NOT_CONTENT = ("content_sha256", "source", "fingerprint")


@dataclass(frozen=True)
class Shard:
    """One Arrow file of a store: how many images and bytes it holds, and their hash."""

    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store holds and how it was made.

    Attributes:
        size: side of the square images in pixels.
        resize: how they were warped to it.
        select: the draw, as `100x400`; None for all images.
        distinct: the draw was without replacement.
        seed: of the draw; None where there was none.
        source: what was prepared, as it was given.
        fingerprint: hash of the settings and of the names, sizes and times of the source files.
        images: how many there are.
        class_names: the name of each label; empty without labels.
        skipped: the images that could not be read, each with the reason.
        shards: the files, in order.
        mean_sha256: hash of mean.npy.
        content_sha256: hash of all the above but `source` and `fingerprint`, so of every pixel too.
    """

    size: int
    resize: Resize
    select: str | None
    distinct: bool
    seed: int | None
    source: str
    fingerprint: str
    images: int
    class_names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    shards: tuple[Shard, ...]
    mean_sha256: str
    content_sha256: str = ""

    def hashed(self) -> str:
        """What `content_sha256` must be."""
        content = {key: value for key, value in asdict(self).items() if key not in _NOT_CONTENT}
        return hash_of(content)

    def save(self, path: Path) -> "Manifest":
        """Write it as JSON; with its hash it comes back."""
        manifest = replace(self, content_sha256=self.hashed())
        with replacing(path) as temporary:
            text = json.dumps({"format": _FORMAT, "version": _VERSION, **asdict(manifest)}, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
        return manifest

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read what `save` wrote; FormatError if it is missing, damaged, altered or of another version."""
        try:
            values = json.loads(path.read_bytes())
            if values["format"] != _FORMAT or values["version"] != _VERSION:
                found = f"{values['format']!r}, version {values['version']!r}"
                raise FormatError(f"{path} is of {found}: expected {_FORMAT!r}, version {_VERSION}")
            kept = {field.name: values[field.name] for field in fields(cls)}
            kept["class_names"] = tuple(kept["class_names"])
            kept["skipped"] = tuple((name, reason) for name, reason in kept["skipped"])
            kept["shards"] = tuple(Shard(**shard) for shard in kept["shards"])
            manifest = cls(**kept)
            whole = manifest.hashed() == manifest.content_sha256
        except FormatError:
            raise
        except OSError as error:
            raise FormatError(
                f"{path.parent} is no store ({path.name}: {error.strerror}): prepare one"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path} is damaged ({error!r}): prepare the store again") from None
        counts = [manifest.size, manifest.images, *(shard.images for shard in manifest.shards)]
        if not whole or any(type(count) is not int or count < 0 for count in counts):
            raise FormatError(f"{path} was altered: its hash is another; prepare the store again")
        return manifest


class MappedPixels:
    """Images on disk that are read where they are asked for, as a uint8 tensor (n, 3, s, s) would be.

    Args:
        shards: the images of each shard, memory-mapped.
        numbers: which of them, and in which order; None for all.
    """

    dtype = torch.uint8
    device = torch.device("cpu")

    def __init__(
        self, shards: Sequence[UInt8[np.ndarray, "_ 3 s s"]], numbers: Int64[Tensor, " n"] | None = None
    ) -> None:
        self._shards = shards
        self._starts = list(accumulate((len(shard) for shard in shards), initial=0))
        self._numbers = torch.arange(self._starts[-1]) if numbers is None else numbers

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
        return MappedPixels(self._shards, self._numbers[numbers])

    def load(self) -> UInt8[Tensor, "n 3 s s"]:
        """All of the images, in memory."""
        return self[:]


class StoredPaths(Sequence[str]):
    """The source path of every image, read from the shards where it is asked for."""

    def __init__(self, paths: Any) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, which: Any) -> Any:
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


def is_store(path: str | Path) -> bool:
    """Whether the folder is a store, whole or not."""
    manifest = Path(path) / MANIFEST
    if not manifest.is_file():
        return False
    with open(manifest, "rb") as file:
        return _FORMAT.encode() in file.read(100)


def open_store(path: str | Path) -> Store:
    """The store in a folder, its pixels left on disk.

    Raises:
        FormatError: it is no store, or a file is missing, cut short or of another kind. That every byte
            is right, only `verify` can tell.
    """
    path = Path(path)
    manifest = Manifest.load(path / MANIFEST)
    batches = [_map_shard(path / shard_name(n), shard, manifest) for n, shard in enumerate(manifest.shards)]
    if not batches or sum(shard.images for shard in manifest.shards) != manifest.images:
        raise FormatError(f"{path} holds other than the {manifest.images} images it should: prepare it again")
    labels = np.concatenate([batch.column("label").to_numpy() for batch in batches])
    if labels.min(initial=0) < -1 or labels.max(initial=-1) >= len(manifest.class_names):
        raise FormatError(f"{path} has labels without a class name: prepare it again")
    return Store(
        path=path,
        manifest=manifest,
        labels=torch.from_numpy(labels),
        paths=StoredPaths(pa.chunked_array([batch.column("path") for batch in batches])),
        mean=_read_mean(path / MEAN, manifest),
        pixels=MappedPixels([_pixels(batch) for batch in batches]),
    )


def verify(path: str | Path, on_progress: OnProgress = silent) -> None:
    """Read every byte of a store; FormatError naming the first file that is not as it was written."""
    store = open_store(path)
    total = len(store.manifest.shards)
    for number, shard in enumerate(store.manifest.shards):
        file = store.path / shard_name(number)
        if _hash_file(file) != shard.sha256:
            raise FormatError(f"{file} was altered: its hash is another; prepare the store again")
        on_progress("verify", number + 1, total, "")


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"shard-{number:05d}.arrow"


def write_shard(
    path: Path, pixels: UInt8[np.ndarray, "n 3 s s"], labels: Int64[np.ndarray, " n"], paths: Any
) -> Shard:
    """Write images to one Arrow file, in one step.

    Args:
        pixels: contiguous; not copied.
        paths: strings, in a list or an Arrow array.
    """
    flat = pa.Array.from_buffers(pa.uint8(), pixels.size, [None, pa.py_buffer(pixels)])
    schema = _schema(pixels.shape[-1])
    images = pa.FixedSizeListArray.from_arrays(
        flat, pixels[0:1].size or schema.field(0).type.storage_type.list_size
    )
    columns = [
        pa.ExtensionArray.from_storage(schema.field(0).type, images),
        pa.array(labels),
        pa.array(paths, pa.large_string()),
    ]
    with replacing(path) as temporary:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
        return Shard(len(pixels), temporary.stat().st_size, _hash_file(temporary))


def write_mean(folder: Path, mean: Float32[np.ndarray, "3 s s"]) -> str:
    """Write mean.npy; its hash comes back."""
    with replacing(folder / MEAN) as temporary:
        np.save(temporary, mean)
    return _hash_file(folder / MEAN)


def hash_of(values: Any) -> str:
    """SHA-256 of what is JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _schema(size: int) -> Any:
    names = ["channel", "row", "column"]
    image = pa.fixed_shape_tensor(pa.uint8(), (3, size, size), dim_names=names)
    kinds = {"pixels": image, "label": pa.int64(), "path": pa.large_string()}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def _map_shard(path: Path, shard: Shard, manifest: Manifest) -> Any:
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
        found = " ".join(str(error).split())[:200]
    wanted = f"{shard.images} images of {manifest.size}x{manifest.size}"
    raise FormatError(f"{path} is damaged or of another kind ({found}), expected {wanted}: prepare it again")


def _pixels(batch: Any) -> UInt8[np.ndarray, "n 3 s s"]:
    column = batch.column("pixels")
    return column.storage.flatten().to_numpy(zero_copy_only=True).reshape(len(batch), *column.type.shape)


def _read_mean(path: Path, manifest: Manifest) -> Float32[Tensor, "3 s s"]:
    try:
        whole = _hash_file(path) == manifest.mean_sha256
        mean = np.load(path, allow_pickle=False) if whole else np.empty(0)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path} cannot be read ({error}): prepare the store again") from None
    if mean.shape != (3, manifest.size, manifest.size) or mean.dtype != np.float32:
        raise FormatError(f"{path} was altered or is of another kind: prepare the store again")
    return torch.from_numpy(mean)


def _hash_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
