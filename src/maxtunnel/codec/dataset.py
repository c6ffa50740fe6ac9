"""Switch files as rows of Parquet files, which Spark, DuckDB and pandas read: a data set in parts.

A row has the columns name, source, height, width, bytes (the whole switch file), bits_per_pixel and error; of
a photograph that could not be read bytes and bits are null. A part is written in one step, and what the
manifest says of it after it, in `_parts`: a part of which that is there is not made again. The manifest comes
last.
"""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from maxtunnel.codec.rows import Bunch, Encoder, SwitchRow, as_list, cut_bunches, name_all
from maxtunnel.data.arrow import ArrowTable
from maxtunnel.data.finding import find_sources
from maxtunnel.data.manifest import hash_of
from maxtunnel.support.choices import Coding
from maxtunnel.support.files import FormatError, check_folder
from maxtunnel.support.jobs import JOB, open_job
from maxtunnel.support.parts import Spread, complete, here
from maxtunnel.support.places import Place, as_place, is_address
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import Json, from_json, to_json
from maxtunnel.zoo.names import load as load_network

# Readers of Parquet pass over what begins with an underscore.
MANIFEST = "_manifest.json"
PART = 1000
_ROWS = "_parts"
_OWN = re.compile(r"part-\d{6,}\.parquet|_parts/\d{6,}\.json")
_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("bytes", pa.large_binary()),
        pa.field("bits_per_pixel", pa.float64()),
        pa.field("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class SwitchPart:
    """A Parquet file of a data set.

    Attributes:
        photographs: how many rows have a switch file.
        skipped: of the others, where each came from and why it could not be read, in a sentence.
        bytes: size of the file.
        sha256: of the file.
    """

    photographs: int
    skipped: tuple[tuple[str, str], ...]
    bytes: int
    sha256: str

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.photographs + len(self.skipped)


@dataclass(frozen=True)
class SwitchSet:
    """A data set of switch files.

    Attributes:
        network: identity of the network that made them, in hexadecimal.
        coding: of the files.
        fingerprint: hash of network, coding, part size, and the photographs' names, sizes and times.
        photographs: how many rows have a switch file.
        skipped: what has none, each with the reason in a sentence.
        parts: the Parquet files, in order.
        content_sha256: hash of network, coding and parts, so of every byte.
    """

    network: str
    coding: Coding
    fingerprint: str
    photographs: int
    skipped: tuple[tuple[str, str], ...]
    parts: tuple[SwitchPart, ...]
    content_sha256: str

    @classmethod
    def of(
        cls,
        network: str,
        coding: Coding,
        fingerprint: str,
        reports: tuple[tuple[str, str], ...],
        parts: tuple[SwitchPart, ...],
    ) -> "SwitchSet":
        """The data set of some parts, and what was known beforehand not to be read."""
        return cls(
            network=network,
            coding=coding,
            fingerprint=fingerprint,
            photographs=sum(part.photographs for part in parts),
            skipped=reports + tuple(pair for part in parts for pair in part.skipped),
            parts=parts,
            content_sha256=hash_of([network, coding, [part.sha256 for part in parts]]),
        )


@dataclass(frozen=True, eq=False)
class PartWriter:
    """Encodes bunches and writes each as a Parquet file: a work that can be pickled."""

    encoder: Encoder
    folder: Place

    def __call__(self, bunch: Bunch) -> SwitchPart:
        """Write the rows of a bunch, then what there is to say of them."""
        rows = self.encoder(bunch)
        file = io.BytesIO()
        pq.write_table(_table(rows), file, compression="none", use_dictionary=False)
        data = file.getvalue()
        skipped = tuple((row.source, row.error) for row in rows if row.error)
        part = SwitchPart(len(rows) - len(skipped), skipped, len(data), hashlib.sha256(data).hexdigest())
        (self.folder / part_name(bunch.number)).write_bytes(data)
        (self.folder / f"{_ROWS}/{bunch.number:06d}.json").write_bytes(json.dumps(to_json(part)).encode())
        return part


def encode_dataset(
    images: str | Path | Sequence[str | Path],
    model: str,
    out: str | Path,
    coding: Coding = "entropy",
    part_size: int | None = None,
    device: str = "cpu",
    spread: Spread = here,
    on_progress: OnProgress = silent,
) -> SwitchSet:
    """Write the switches of each photograph, at its own size, as rows of Parquet files in a folder.

    The same call goes on after the last whole part of one that was stopped; when all is there, it does
    nothing.

    Args:
        images, model, coding, device: as for `encode_files`.
        out: the folder, on disk or at an address that fsspec opens.
        part_size: photographs a file, by default 1,000; those that are encoded are in memory at once.
        spread: does the parts. The workers of an engine read the photographs and write the files, so both
            places must be there for each of them.
        on_progress: told, as phase `encode`, the photographs done and their total.

    Raises:
        ValueError: `out` holds something else, or what was made of other photographs or settings.
        FormatError: a source is missing or damaged.
    """
    part_size = PART if part_size is None else part_size
    if part_size < 1:
        raise ValueError(f"`part_size` is {part_size}: give at least 1")
    folder = _check_out(out)
    network = load_network(model)
    sources = find_sources(as_list(images))
    names = name_all(sources)
    identity = network.identity().hex()
    prints: list[Json] = [f"{source.where('')} {source.fingerprint}" for source in sources]
    fingerprint = hash_of([identity, coding, part_size, prints])
    bunches = cut_bunches(sources, names, part_size)
    total = sum(map(len, names))
    there = _finished(folder, fingerprint)
    if there is not None:
        # Left by a run that was killed in its last moment.
        _clean(folder)
        on_progress("encode", total, total, "already there")
        return there
    parts = _go_on(folder, fingerprint)
    writer = PartWriter(Encoder(network, coding, device), folder)
    done = sum(part.rows for part in parts.values())
    for part in complete(parts, writer, bunches, spread):
        done += part.rows
        on_progress("encode", done, total, "")
    reports = tuple((str(path), reason) for source in sources for path, reason in source.reports())
    ordered = tuple(parts[number] for number in bunches.numbers)
    return _finish(folder, SwitchSet.of(identity, coding, fingerprint, reports, ordered))


def _finish(folder: Place, result: SwitchSet) -> SwitchSet:
    """Write the manifest, and delete what it makes superfluous."""
    (folder / MANIFEST).write_bytes(json.dumps(to_json(result), indent=1).encode())
    _clean(folder)
    return result


def _clean(folder: Place) -> None:
    for name in (_ROWS, JOB):
        (folder / name).delete()


def part_name(number: int) -> str:
    """The name of a Parquet file."""
    return f"part-{number:06d}.parquet"


def _check_out(out: str | Path) -> Place:
    if is_address(out):
        return as_place(out)
    check_folder(out)
    # The workers of an engine may start elsewhere.
    return as_place(Path(out).absolute())


def _finished(folder: Place, fingerprint: str) -> SwitchSet | None:
    """The data set that is there already; None where it is not, or not whole."""
    there = folder.files()
    if MANIFEST in there:
        try:
            found = from_json(SwitchSet, json.loads((folder / MANIFEST).read_bytes()))
        except FormatError:
            raise
        except ValueError as error:
            raise ValueError(f"{folder} holds no data set of switches ({error}): name a new folder") from None
        if found.fingerprint != fingerprint:
            raise ValueError(
                f"{folder} holds a data set of another network or of other photographs or settings: name a "
                "new folder, or delete it"
            )
        return found
    return None


def _go_on(folder: Place, fingerprint: str) -> dict[int, SwitchPart]:
    """The parts that an earlier run wrote; those of which a file is cut short are left out."""
    there = open_job(folder, fingerprint, _OWN)
    parts = {}
    for name in there:
        if name.startswith(f"{_ROWS}/"):
            number = int(Place(name).stem)
            data = (folder / name).read_bytes()
            with suppress(ValueError):
                part = from_json(SwitchPart, json.loads(data))
                if there.get(part_name(number)) == part.bytes:
                    parts[number] = part
    return parts


def _table(rows: Sequence[SwitchRow]) -> ArrowTable:
    columns = [
        [row.name for row in rows],
        [row.source for row in rows],
        [row.height for row in rows],
        [row.width for row in rows],
        [row.data or None for row in rows],
        [row.bits_per_pixel if row.data else None for row in rows],
        [row.error or None for row in rows],
    ]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
    return pa.table(arrays, schema=_SCHEMA)
