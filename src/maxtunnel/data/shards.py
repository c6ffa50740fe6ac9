"""The shards of a store, made one by one, anywhere and in any order; what each held waits in a row beside it.

A row is written after its shard, each in one step: at whatever moment a run ends, a shard that has a row is
whole, and is not made again.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from maxtunnel.data.finding import Source
from maxtunnel.data.manifest import Shard
from maxtunnel.data.reading import OnRead, read_square, unheard
from maxtunnel.data.store import shard_name, write_shard
from maxtunnel.data.survey import Skipped
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import replacing
from maxtunnel.support.records import from_json, to_json


@dataclass(frozen=True, eq=False)
class Piece:
    """The photographs that become a shard.

    Attributes:
        number: of the shard.
        source: of these photographs alone.
        labels: a number for each, as the store has it.
    """

    number: int
    source: Source
    labels: Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class ShardRow:
    """What became of a piece: the shard's file, and the photographs that could not be read."""

    shard: Shard
    skipped: Skipped


@dataclass(frozen=True)
class ShardMaker:
    """Makes shards of pieces: a work that can be pickled, unless somebody listens.

    Attributes:
        folder: of the unfinished store; its rows lie in `rows` beside `store`.
        size: side of the photographs in pixels.
        resize: how to warp them to it.
        strict: stop at one that cannot be read.
        workers: decoding threads.
        on_read: told of every photograph.
    """

    folder: Path
    size: int
    resize: Resize
    strict: bool
    workers: int
    on_read: OnRead = unheard

    def __call__(self, piece: Piece) -> ShardRow:
        """Write a shard, then the row with the sum of its pixels."""
        square = read_square(piece.source, self.size, self.resize, self.workers, self.strict, self.on_read)
        keys, reasons = piece.source.keys, square.reasons
        file = self.folder / "store" / shard_name(piece.number)
        row = ShardRow(
            write_shard(file, square.pixels, piece.labels[square.kept], keys.take(square.kept)),
            tuple((keys[position].as_py(), reasons[position]) for position in sorted(reasons)),
        )
        _write_row(self.folder, piece.number, row, square.pixels)
        return row


def read_rows(folder: Path) -> dict[int, ShardRow]:
    """The rows of the shards that are whole, by their numbers; what is left of others is deleted."""
    rows = {}
    for path in (folder / "rows").glob("*.npz"):
        row = _read_row(path)
        file = folder / "store" / shard_name(int(path.stem))
        if row is not None and file.exists() and file.stat().st_size == row.shard.bytes:
            rows[int(path.stem)] = row
        else:
            path.unlink()
    whole = {shard_name(number) for number in rows}
    for file in (folder / "store").glob("*"):
        # A file that was half written when the run was killed would become part of the store.
        if file.name not in whole:
            file.unlink()
    return rows


def sum_of_pixels(folder: Path, number: int) -> Int64[np.ndarray, "3 s s"]:
    """The sum over the photographs of a shard that has a row, each value 0 to 255."""
    with np.load(_row_file(folder, number), allow_pickle=False) as file:
        return file["total"].astype(np.int64)


def _row_file(folder: Path, number: int) -> Path:
    return folder / "rows" / f"{number:05d}.npz"


def _write_row(folder: Path, number: int, row: ShardRow, pixels: UInt8[np.ndarray, "n 3 s s"]) -> None:
    # Of as many photographs as a shard holds, the sums fit.
    total: Shaped[np.ndarray, "3 s s"] = pixels.sum(0, dtype=np.uint32)
    with replacing(_row_file(folder, number)) as temporary, temporary.open("wb") as file:
        np.savez(file, total=total, row=np.array(json.dumps(to_json(row))))


def _read_row(path: Path) -> ShardRow | None:
    """None where it is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return from_json(ShardRow, json.loads(str(file["row"])))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
