"""Table II with our networks beside the paper's, as table2.csv and table2.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from maxtunnel.evaluation.records import Evaluation
from maxtunnel.paper.comparisons import strong_gain
from maxtunnel.paper.results import Result, TableRow
from maxtunnel.support.files import replacing
from maxtunnel.support.records import Json
from maxtunnel.support.tables import Column, Table, write_csv


def write_table(lines: Sequence[TableRow], out: Path, facts: Mapping[str, str]) -> None:
    """Write table2.csv and table2.json; `facts` say where the numbers come from."""
    records = [_record(line) for line in lines]
    columns = tuple(Column(name, name) for name in records[0])
    rows = tuple(
        tuple(round(value, 5) if isinstance(value, float) else value for value in record.values())
        for record in records
    )
    write_csv([Table("Table II", columns, rows)], out / "table2.csv")
    networks = [_network(result) for line in lines for result in _results(line)]
    with replacing(out / "table2.json") as temporary:
        content: dict[str, object] = {"provenance": dict(facts), "rows": records, "networks": networks}
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _record(line: TableRow) -> dict[str, str | int | float | None]:
    """A row, flat."""
    ours = None if line.ours is None else line.ours.evaluation
    snapshot = None if line.snapshot is None else line.snapshot.evaluation
    strong = None if line.strong is None else line.strong.evaluation
    mean, deviation = line.spread or (None, None)
    strong_mean, strong_deviation = line.read_by("strong").spread or (None, None)
    return {
        "network": line.row.name,
        "encoder": "pretrained" if line.row.pretrained else "random",
        "bits_per_pixel": line.row.bits_per_pixel,
        "bits_per_pixel_stored": None if ours is None else ours.bits_per_pixel.stored,
        "paper_rmse": line.row.rmse,
        **_metrics("", ours),
        **_metrics("snapshot_", snapshot),
        "origin": None if line.ours is None else line.ours.origin,
        "seeds": len(line.runs),
        "seeds_rmse_mean": mean,
        "seeds_rmse_deviation": deviation,
        **_metrics("strong_", strong),
        **_lower(line),
        "strong_origin": None if line.strong is None else line.strong.origin,
        "strong_seeds": len(line.strong_runs),
        "strong_seeds_rmse_mean": strong_mean,
        "strong_seeds_rmse_deviation": strong_deviation,
    }


def _lower(line: TableRow) -> dict[str, float | None]:
    """By how much the strong decoder's RMSE is lower on the same photographs, from the same switches."""
    gain = strong_gain(line)
    low, high = (None, None) if gain is None else gain.interval
    return {
        "strong_lower_by": None if gain is None else gain.mean,
        "strong_lower_by_low": low,
        "strong_lower_by_high": high,
    }


def _metrics(prefix: str, found: Evaluation | None) -> dict[str, float | None]:
    """Each metric and the ends of its interval; None where nothing was measured."""
    record: dict[str, float | None] = {}
    for name in ("rmse", "psnr", "ssim"):
        low, high = (None, None) if found is None else getattr(found, f"{name}_ci95")
        record[f"{prefix}{name}"] = None if found is None else getattr(found, name)
        record[f"{prefix}{name}_low"], record[f"{prefix}{name}_high"] = low, high
    return record


def _results(line: TableRow) -> list[Result]:
    """Every network that was measured for a row."""
    found = (*line.runs, line.ours, line.snapshot, *line.strong_runs, line.strong)
    results = {(result.decoder, result.origin): result for result in found if result is not None}
    return list(results.values())


def _network(result: Result) -> dict[str, Json]:
    return {
        "network": result.row.network(result.decoder),
        "decoder": result.decoder,
        "origin": result.origin,
        "rmse": result.evaluation.rmse,
        "info": result.provenance.to_json(),
        "sha256": result.sha256,
        "psnr": result.evaluation.psnr,
        "ssim": result.evaluation.ssim,
    }
