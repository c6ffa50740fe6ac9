"""What networks reached on each photograph, kept as Parquet files: for others to read, and to go on from."""

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from maxtunnel.data.arrow import ArrowTable
from maxtunnel.evaluation.rows import Handful, HandfulRow, Meter, Reached
from maxtunnel.support.jobs import open_job
from maxtunnel.support.places import Place, is_address

_PART = re.compile(r"part-(\d{6,})\.parquet")
_SCHEMA = pa.schema(
    [
        pa.field("model", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("squared_error", pa.float64()),
        pa.field("psnr", pa.float64()),
        pa.field("ssim", pa.float64()),
        pa.field("stored_bits", pa.float64()),
        pa.field("error", pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class RowWriter:
    """Measures handfuls and writes what came out as a Parquet file each: a work that can be pickled.

    A row is a photograph with one model: mean squared error (of the output not clipped), PSNR in dB and SSIM
    of the clipped one, and bits of its switch file where these were measured. One that could not be read has
    a row with the reason, and no model.

    Attributes:
        meter: what measures.
        folder: for the files, each written in one step.
        models: what the networks are called.
    """

    meter: Meter
    folder: Place
    models: tuple[str, ...]

    def __call__(self, handful: Handful) -> HandfulRow:
        """Measure a handful, and keep it."""
        row, file = self.meter(handful), io.BytesIO()
        pq.write_table(_table(row, self.models), file)
        (self.folder / f"part-{handful.number:06d}.parquet").write_bytes(file.getvalue())
        return row


def open_rows(folder: str | Path, fingerprint: str, models: int) -> tuple[Place, dict[int, HandfulRow]]:
    """The folder, and the whole rows that an earlier call of the same job left there, by their numbers.

    Raises:
        ValueError: it holds something else.
    """
    place = Place(str(folder) if is_address(folder) else str(Path(folder).absolute()))
    names = open_job(place, fingerprint, _PART)
    found = ((int(Place(name).stem[5:]), _read(place / name, models)) for name in names)
    return place, {number: row for number, row in found if row is not None}


def _table(row: HandfulRow, models: tuple[str, ...]) -> ArrowTable:
    columns: dict[str, list[object]] = {name: [] for name in _SCHEMA.names}
    for model, reached in zip(models, row.reached, strict=True):
        stored: list[object] = [None] * len(row.names)
        for place, bits in zip(row.coded, reached.stored.tolist(), strict=True):
            stored[place] = bits
        values = (*reached.metrics.tolist(), stored)
        columns["model"] += [model] * len(row.names)
        columns["source"] += row.names
        for name, column in zip(("squared_error", "psnr", "ssim", "stored_bits"), values, strict=True):
            columns[name] += column
        columns["error"] += [None] * len(row.names)
    for source, error in row.skipped:
        for name in columns:
            columns[name].append({"source": source, "error": error}.get(name))
    facts = {
        "size": row.size,
        "coded": row.coded,
        "counts": [[level.tolist() for level in reached.counts] for reached in row.reached],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in _SCHEMA]
    return pa.table(arrays, schema=_SCHEMA.with_metadata({"maxtunnel": json.dumps(facts)}))


def _read(file: Place, models: int) -> HandfulRow | None:
    """What `_table` holds; None where the file is damaged."""
    data = file.read_bytes()
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError):
        return None
    facts = json.loads(table.schema.metadata[b"maxtunnel"])
    rows = table.to_pylist()
    skipped = tuple((row["source"], row["error"]) for row in rows if row["error"] is not None)
    count = (len(rows) - len(skipped)) // models
    coded = tuple(facts["coded"])
    reached = tuple(
        Reached(
            torch.tensor(
                [[row[name] for row in mine] for name in ("squared_error", "psnr", "ssim")],
                dtype=torch.float64,
            ).view(3, count),
            torch.tensor([mine[place]["stored_bits"] for place in coded], dtype=torch.float64),
            tuple(torch.tensor(level) for level in counts),
        )
        for mine, counts in (
            (rows[number * count : (number + 1) * count], facts["counts"][number]) for number in range(models)
        )
    )
    height, width = facts["size"]
    return HandfulRow(tuple(row["source"] for row in rows[:count]), skipped, coded, (height, width), reached)
