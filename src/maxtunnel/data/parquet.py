"""Parquet files in the Hugging Face image layout: read as a source, and written from a store."""

import io
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64, UInt8
from PIL import Image as Pillow

from maxtunnel.data.arrow import ArrowArray, ArrowBatch, ArrowSchema, ArrowTable, as_arrow
from maxtunnel.data.images import Missing, NamedBytes
from maxtunnel.data.sources import File, Image, Listing, check_labels, fingerprint, reading, used_files
from maxtunnel.data.store import Store, open_store
from maxtunnel.data.survey import Ignored
from maxtunnel.support.choices import ExportFormat
from maxtunnel.support.files import FormatError
from maxtunnel.support.places import Place
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import Json

ROWS = 64  # images that are in memory at a time


@dataclass(frozen=True, eq=False)
class ParquetSource(Listing):
    """The photographs in Parquet files.

    Attributes:
        files: the Parquet files.
        places: where each photograph lies: the number of its file, of the row group there, and of the row in
            that; and 1 where the row has no path, so that its key is made up.
        cursor: reads them, and keeps its place from one call of `images` to the next.
    """

    files: tuple[File, ...]
    places: Int64[np.ndarray, "n 4"]
    cursor: "_Cursor"

    def images(self, items: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, Image]]:
        """Some of the photographs, given by their numbers: for each its position in `items`, and its bytes.

        They come in the order in which they lie in the files, not in that of `items`. For a row with a path
        and no bytes it is the file of that name beside the Parquet file.
        """
        places = self.places[items]
        for position in np.lexsort((places[:, 2], places[:, 1], places[:, 0])).tolist():
            file, group, row, nameless = places[position].tolist()
            data, key = self.cursor.read(file, group, row), self.keys[int(items[position])].as_py()
            if data or nameless:
                yield position, NamedBytes(data or b"", key)
            else:
                yield position, _beside(self.files[file].parent, key)

    def part(self, items: Int64[np.ndarray, " b"]) -> "ParquetSource":
        """A source of some of the photographs alone, in that order.

        Parts that are read one after the other in a process share a cursor, so that no row is read twice.
        """
        keys, labels, places = self.keys.take(items), self.labels[items], self.places[items]
        return replace(self, keys=keys, labels=labels, skipped=(), ignored=(), places=places)

    def __reduce__(self) -> tuple[type["ParquetSource"], tuple[object, ...]]:
        """Of the files, only those that hold a photograph of it go along."""
        files, places = used_files(self.files, self.places)
        known = self.keys, self.labels, self.class_names, self.fingerprint, self.skipped, self.ignored
        return ParquetSource, (*known, files, places, _Cursor(files))


def list_parquet(files: Sequence[File], beside: Ignored = ()) -> ParquetSource:
    """The images of Parquet files: a column `image` of {bytes, path} and, if they have labels, `label`.

    Class names are read from the schema's metadata, as `datasets` writes them.

    Args:
        files: of one folder.
        beside: what else is in the folder.
    """
    _check_splits(files)
    keys: list[str] = []
    labels: list[int | None] = []
    places: list[tuple[int, int, int, bool]] = []
    names: tuple[str, ...] | None = None
    for number, file in enumerate(files):
        with reading(file), _open(file) as parquet:
            found = _class_names(parquet.schema_arrow, file)
            if names not in (None, found):
                raise FormatError(f"{file} has other class names than {files[0]}: give files of one data set")
            names = found
            for group in range(parquet.num_row_groups):
                for row, (key, label) in enumerate(_rows(parquet, group)):
                    places.append((number, group, row, not key))
                    keys.append(key or _row_name(file, len(keys)))
                    labels.append(label)
    if not keys:
        raise FormatError(f"{files[0]} holds no image: it has no rows")
    numbers, classes = check_labels(labels, names or (), files[0])
    return ParquetSource(
        keys=as_arrow(keys, files[0]),
        labels=numbers,
        class_names=classes,
        fingerprint=fingerprint(files[0].parent, [file.name for file in files]),
        skipped=(),
        ignored=beside,
        files=tuple(files),
        places=np.array(places, np.int64),
        cursor=_Cursor(tuple(files)),
    )


def holds_images(file: File) -> bool:
    """Whether the Parquet file has the column of images, and is not a list of addresses, say."""
    with reading(file):
        return _has_images(_open(file).schema_arrow)


def export(
    store: str | Path,
    out: str | Path,
    format: ExportFormat = "parquet",
    on_progress: OnProgress = silent,
) -> None:
    """Write a store as Parquet files in the Hugging Face image layout, one for each shard, pixels as PNG.

    Args:
        out: a new folder; it appears when all is written.
        on_progress: told, as phase `export`, how many of the images are done.
    """
    if format != "parquet":
        raise ValueError(f"`format` is {format!r}: expected 'parquet'")
    source, out = open_store(store), Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out} is there already: name a new folder")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        start, shards = 0, source.manifest.shards
        for number, shard in enumerate(shards):
            file = partial / f"images-{number:05d}-of-{len(shards):05d}.parquet"
            _write(source, start, start + shard.images, file, on_progress)
            start += shard.images
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


class _Cursor:
    """Reads rows onward, `ROWS` at a time, so that a large row group is neither held nor read twice.

    A pickled one comes back at no place: the files are opened anew when something is read.
    """

    def __init__(self, files: tuple[File, ...]) -> None:
        self._files = files
        self._place: tuple[int, int] | None = None
        self._start = 0
        self._batch: ArrowArray = ()
        self._batches: Iterator[ArrowBatch] = iter(())

    def __reduce__(self) -> tuple[type["_Cursor"], tuple[tuple[File, ...]]]:
        return _Cursor, (self._files,)

    def read(self, file: int, group: int, row: int) -> bytes | None:
        """The bytes of one image; None where there are none."""
        with reading(self._files[file]):
            if (file, group) != self._place or row < self._start:
                self._open(file, group)
            while row >= self._start + len(self._batch):
                self._start += len(self._batch)
                self._batch = next(self._batches).column(0).flatten()[0]
            return self._batch[row - self._start].as_py()

    def _open(self, file: int, group: int) -> None:
        if self._place is None or self._place[0] != file:
            self._parquet = _open(self._files[file])
        self._place, self._start, self._batch = (file, group), 0, ()
        self._batches = self._parquet.iter_batches(ROWS, row_groups=[group], columns=["image.bytes"])


def _open(file: File) -> pq.ParquetFile:
    return pq.ParquetFile(file.open()) if isinstance(file, Place) else pq.ParquetFile(file, memory_map=True)


def _row_name(file: File, number: int) -> str:
    """What a photograph without a path is called."""
    return f"{file.name}/{number:09d}"


def _beside(folder: File, path: str) -> File | Missing:
    """The file that a row names, in the folder of its Parquet file; no path leads out of that folder."""
    if isinstance(folder, Place):
        return Missing(path, f"is a path without an image, at {folder}: bytes are expected there")
    root = folder.resolve()
    # A name may be too long, or hold a zero.
    with suppress(OSError, ValueError):
        for candidate in (root / path, root / Path(path).name):
            if candidate.resolve().is_relative_to(root) and candidate.is_file():
                return candidate
    return Missing(path, f"is a path without an image, and no such file is in {folder}: put it there")


def _check_splits(files: Sequence[File]) -> None:
    matches = [re.fullmatch(r"(.+)-\d+-of-\d+", file.stem) for file in files]
    splits = sorted({match[1] for match in matches if match})
    if len(splits) > 1:
        raise FormatError(
            f"{files[0].parent} holds the splits {', '.join(splits)}, and training and test images must not "
            "mix: give a file, or a folder of one split"
        )


def _class_names(schema: ArrowSchema, file: File) -> tuple[str, ...]:
    """The names of the labels, empty where the files do not say; the types of the columns are checked too."""
    if not _has_images(schema):
        found = ", ".join(f"{field.name}: {field.type}" for field in schema)[:200]
        listed = "; it lists addresses, so give the tar files that they were loaded into"
        raise FormatError(
            f"{file} has the columns {found}: expected image: struct<bytes: binary, path: string>"
            f"{listed if 'url' in schema.names else ''}"
        )
    if "label" not in schema.names:
        return ()
    if not pa.types.is_integer(schema.field("label").type):
        raise FormatError(f"{file} has labels of type {schema.field('label').type}: expected integers")
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = metadata.get("info", {}).get("features", {}).get("label", {}).get("names", [])
    except (ValueError, AttributeError):
        raise FormatError(f"{file} has damaged 'huggingface' metadata: get it again") from None
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise FormatError(f"{file} has class names that are no text: get it again")
    return tuple(names)


def _has_images(schema: ArrowSchema) -> bool:
    kind = schema.field("image").type if "image" in schema.names else pa.null()
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    data = kind.field("bytes").type
    if pa.types.is_null(data):
        # As Arrow types a column of paths alone.
        return kind.get_field_index("path") >= 0
    return pa.types.is_binary(data) or pa.types.is_large_binary(data)


def _rows(parquet: pq.ParquetFile, group: int) -> Iterator[tuple[str | None, int | None]]:
    """The path and the label of each row; no image is read."""
    schema = parquet.schema_arrow
    kind = schema.field("image").type
    has_path = kind.get_field_index("path") >= 0 and pa.types.is_string(kind.field("path").type)
    columns = ["image.path"] * has_path + ["label"] * ("label" in schema.names)
    table = parquet.read_row_group(group, columns=columns)
    empty = [None] * parquet.metadata.row_group(group).num_rows
    paths = table["image"].combine_chunks().flatten()[0].to_pylist() if has_path else empty
    labels = table["label"].to_pylist() if "label" in schema.names else empty
    return zip(paths, labels, strict=True)


def _write(source: Store, start: int, stop: int, file: Path, on_progress: OnProgress) -> None:
    """Write the images `start` to `stop` of a store as one file."""
    with pq.ParquetWriter(file, _layout(source), compression="none", use_dictionary=False) as writer:
        for first in range(start, stop, ROWS):
            last = min(first + ROWS, stop)
            writer.write_table(_table(source, first, last))
            on_progress("export", last, source.manifest.images, "")


def _layout(store: Store) -> ArrowSchema:
    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    features: dict[str, dict[str, Json]] = {"image": {"_type": "Image"}}
    columns = [pa.field("image", image)]
    if store.class_names:
        features["label"] = {"names": list(store.class_names), "_type": "ClassLabel"}
        columns.append(pa.field("label", pa.int64()))
    return pa.schema(columns, {"huggingface": json.dumps({"info": {"features": features}})})


def _table(store: Store, first: int, last: int) -> ArrowTable:
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(_png, store.pixels[first:last].numpy()))
    paths = store.paths[first:last]
    rows = [{"bytes": picture, "path": path} for picture, path in zip(pictures, paths, strict=True)]
    schema = _layout(store)
    columns = [pa.array(rows, schema.field("image").type)]
    if store.class_names:
        columns.append(pa.array(store.labels[first:last].numpy()))
    return pa.table(columns, schema=schema)


def _png(pixels: UInt8[np.ndarray, "3 s s"]) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "PNG", compress_level=1)
    return file.getvalue()
