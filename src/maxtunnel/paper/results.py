"""What each network of a reproduction reached on the test photographs, measured once and kept."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.data.batches import Pixels
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS, Row
from maxtunnel.support.progress import OnProgress
from maxtunnel.support.records import from_json


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
    def steps(self) -> int | None:
        """Steps that the decoder was trained for, as far as they are known."""
        training = self.provenance.training
        return None if training is None else training.steps

    @property
    def seed(self) -> int | None:
        """Seed of the decoder's training, as far as it is known."""
        training = self.provenance.training
        return None if training is None else training.seed

    @property
    def squared_errors(self) -> Float64[Tensor, " n"]:
        """Mean squared error of each test photograph."""
        return self.evaluation.squared_errors


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
        if not isinstance(fields, dict):
            return None
        if (fields.pop("sha256", None), fields.pop("test_sha256", None)) != (sha256, test_sha256):
            return None
        return from_json(Evaluation, fields)
    except (OSError, ValueError):
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
