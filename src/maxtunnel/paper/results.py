"""What each network of a reproduction reached on the test photographs, measured once and kept."""

import csv
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from maxtunnel.data.batches import Pixels
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.intervals import Interval
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS, Row
from maxtunnel.support.files import replacing
from maxtunnel.support.progress import OnProgress

# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom; the last one serves all above.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Result:
    """A network and what it reached.

    Attributes:
        row: the row of Table II.
        origin: `shipped`, `seed0` and so on for runs, or `snapshot`.
        evaluation: on the test photographs.
        provenance: how the network came about; nothing is known of a snapshot.
        sha256: of the weights and the mean image.
    """

    row: Row
    origin: str
    evaluation: Evaluation
    provenance: Provenance
    sha256: str

    @property
    def squared_errors(self) -> Float64[np.ndarray, " n"]:
        """Mean squared error of each test photograph."""
        return np.square(self.evaluation.per_image["rmse"])


@dataclass(frozen=True)
class TableRow:
    """A row of Table II with all that was measured for it.

    Attributes:
        row: the paper's.
        ours: the shipped network, or the run of the lowest seed; None if there is none.
        runs: the networks trained here, one a seed.
        snapshot: the authors' network on the same photographs.
    """

    row: Row
    ours: Result | None
    runs: tuple[Result, ...]
    snapshot: Result | None

    @property
    def spread(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the RMSE over seeds; None for fewer than two."""
        errors = [result.evaluation.rmse for result in self.runs]
        return None if len(errors) < 2 else (float(np.mean(errors)), float(np.std(errors, ddof=1)))


def measure_once(
    network: TunnelNetwork,
    row: Row,
    origin: str,
    photographs: Pixels,
    test_sha256: str,
    folder: Path,
    on_progress: OnProgress,
) -> Result:
    """Evaluate a network, unless `folder` holds what the same weights reached on the same photographs."""
    sha256 = hash_network(network)
    path = folder / f"{row.name}-{origin}.json"
    evaluation = _kept(path, sha256, test_sha256)
    if evaluation is None:
        name = f"{row.name} ({origin})"
        evaluation = evaluate(network, photographs, model=name, on_progress=on_progress)
        evaluation.save(path, sha256=sha256, test_sha256=test_sha256)
    return Result(row, origin, evaluation, network.provenance, sha256)


def _kept(path: Path, sha256: str, test_sha256: str) -> Evaluation | None:
    """What the file says; None if it is of other weights or photographs, from another version, or damaged."""
    try:
        fields = json.loads(path.read_text())
        if (fields.pop("sha256"), fields.pop("test_sha256")) != (sha256, test_sha256):
            return None
        intervals = {key: value and tuple(value) for key, value in fields.items() if key.endswith("_ci95")}
        return Evaluation(**fields | intervals)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def hash_network(network: TunnelNetwork) -> str:
    """SHA-256 of the weights, the mean image and the scale."""
    digest = hashlib.sha256(f"{network.architecture} {network.scale}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def tabulate(results: Sequence[Result]) -> list[TableRow]:
    """All fourteen rows of Table II, those without a network too."""
    rows = []
    for row in ROWS:
        mine = [result for result in results if result.row == row]
        origins = {result.origin: result for result in mine}
        runs = tuple(result for result in mine if result.origin.startswith("seed"))
        ours = origins.get("shipped", runs[0] if runs else None)
        rows.append(TableRow(row, ours, runs, origins.get("snapshot")))
    return rows


def difference(worse: Result, better: Result) -> tuple[float, Interval]:
    """RMSE of one network less that of another, with a 95 % bootstrap interval over photographs, paired."""
    random = np.random.default_rng(0)
    pairs = np.stack([worse.squared_errors, better.squared_errors])
    draws = [pairs[:, random.integers(0, pairs.shape[1], pairs.shape[1])].mean(1) for _ in range(1000)]
    first, second = np.sqrt(np.array(draws)).T
    low, high = np.quantile(first - second, [0.025, 0.975])
    return worse.evaluation.rmse - better.evaluation.rmse, (float(low), float(high))


def mean_interval(values: Sequence[float]) -> tuple[float, Interval]:
    """Mean and its 95 % interval by Student's t; for the few values that seeds give."""
    mean, count = float(np.mean(values)), len(values)
    half = _T[min(count - 1, len(_T)) - 1] * float(np.std(values, ddof=1)) / math.sqrt(count)
    return mean, (mean - half, mean + half)


def as_record(line: TableRow) -> dict[str, Any]:
    """A row as it goes into table2.json and, flattened, into table2.csv."""
    record: dict[str, Any] = {
        "network": line.row.name,
        "encoder": "pretrained" if line.row.pretrained else "random",
        "bits_per_pixel": line.row.bits_per_pixel,
        "bits_per_pixel_stored": None,
        "paper_rmse": line.row.rmse,
    }
    for prefix, result in (("", line.ours), ("snapshot_", line.snapshot)):
        found = None if result is None else result.evaluation
        for name in ("rmse", "psnr", "ssim"):
            low, high = (None, None) if found is None else getattr(found, f"{name}_ci95")
            record[f"{prefix}{name}"] = None if found is None else getattr(found, name)
            record[f"{prefix}{name}_low"], record[f"{prefix}{name}_high"] = low, high
    record["origin"] = None if line.ours is None else line.ours.origin
    if line.ours is not None:
        record["bits_per_pixel_stored"] = line.ours.evaluation.bits_per_pixel["stored"]
    mean, deviation = line.spread or (None, None)
    record |= {"seeds": len(line.runs), "seeds_rmse_mean": mean, "seeds_rmse_deviation": deviation}
    return record


def write_table(lines: Sequence[TableRow], out: Path, provenance: dict[str, Any]) -> None:
    """Write table2.csv and table2.json."""
    records = [as_record(line) for line in lines]
    with replacing(out / "table2.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(
            {key: round(value, 5) if isinstance(value, float) else value for key, value in record.items()}
            for record in records
        )
    runs = [
        {
            "network": line.row.name,
            "origin": result.origin,
            "rmse": result.evaluation.rmse,
            "info": result.provenance.to_json(),
        }
        | {"sha256": result.sha256, "psnr": result.evaluation.psnr, "ssim": result.evaluation.ssim}
        for line in lines
        for result in (*line.runs, *([line.ours] if line.ours not in line.runs else []), line.snapshot)
        if result is not None
    ]
    with replacing(out / "table2.json") as temporary:
        content = {"provenance": provenance, "rows": records, "networks": runs}
        temporary.write_text(json.dumps(content, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)
