"""What each network of a reproduction reached on the test photographs, measured once and kept."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.data.batches import Pixels
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.evaluation.records import Evaluation
from maxtunnel.models.checkpoint import read_header
from maxtunnel.models.provenance import PhaseRecord, Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS, Row
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.progress import OnProgress
from maxtunnel.support.records import from_json
from maxtunnel.zoo.names import WEIGHTS, shipped


@dataclass(frozen=True)
class Result:
    """A network and what it reached.

    Attributes:
        row: the row of Table II.
        origin: `shipped`, `seed0` and so on for runs, or `snapshot`.
        evaluation: on the test photographs.
        provenance: how the network came about; nothing is known of a snapshot.
        sha256: of the weights and the mean image.
        width: channels of a strong decoder; None for the paper's.
        switches: `TunnelNetwork.identity` in hexadecimal: networks of equal ones read the same switches.
    """

    row: Row
    origin: str
    evaluation: Evaluation
    provenance: Provenance
    sha256: str
    width: int | None = None
    switches: str = ""

    @property
    def decoder(self) -> DecoderKind:
        """What reads the switches."""
        return "mirrored" if self.width is None else "strong"

    @property
    def steps(self) -> int | None:
        """Steps that the decoder was trained for, those before its last phase too, as far as known."""
        return sum(record.steps for record in self._records) or None

    @property
    def photographs(self) -> int | None:
        """Photographs that it saw in all of its steps, as far as known."""
        return sum(record.steps * record.batch for record in self._records) or None

    @property
    def seed(self) -> int | None:
        """Seed of the encoder and of the decoder's training, as far as known.

        An encoder that was taken from what ships has the seed of the network that ships.
        """
        training = self.provenance.training
        if training is None:
            return None
        return _shipped_seed(training.encoder) if training.encoder in shipped() else training.seed

    @property
    def _records(self) -> list[PhaseRecord]:
        records = (self.provenance.earlier, self.provenance.training)
        return [record for record in records if record is not None]

    @property
    def squared_errors(self) -> Float64[Tensor, " n"]:
        """Mean squared error of each test photograph."""
        return self.evaluation.squared_errors


@cache
def _shipped_seed(name: str) -> int | None:
    training = read_header(WEIGHTS / f"{name}.safetensors").provenance.training
    return None if training is None else training.seed


@dataclass(frozen=True)
class TableRow:
    """A row of Table II with all that was measured for it.

    Attributes:
        row: the paper's.
        ours: the shipped network, or the run of the lowest seed; None if there is none.
        runs: the networks trained here, one a seed.
        snapshot: the authors' network on the same photographs.
        strong: a network with a strong decoder: that which reads the switches of ours, or else the shipped
            one, or else the run of the lowest seed; None if there is none.
        strong_runs: those trained here, one a seed.
    """

    row: Row
    ours: Result | None
    runs: tuple[Result, ...]
    snapshot: Result | None
    strong: Result | None = None
    strong_runs: tuple[Result, ...] = ()

    @property
    def spread(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the RMSE over seeds; None for fewer than two."""
        errors = [result.evaluation.rmse for result in self.runs]
        return None if len(errors) < 2 else (float(np.mean(errors)), float(np.std(errors, ddof=1)))

    @property
    def same_switches(self) -> bool:
        """Whether ours and the strong decoder read the same switches, so that their errors are paired."""
        ours, strong = self.ours, self.strong
        return ours is not None and strong is not None and ours.switches == strong.switches

    def read_by(self, decoder: DecoderKind) -> "TableRow":
        """The row with the networks of one kind of decoder alone, as ours."""
        if decoder == "mirrored":
            return TableRow(self.row, self.ours, self.runs, None)
        return TableRow(self.row, self.strong, self.strong_runs, None)


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
    network_name = row.network(network.decoder_kind)
    path = folder / f"{network_name}-{origin}.json"
    evaluation = _kept(path, sha256, test_sha256)
    if evaluation is None:
        name = f"{network_name} ({origin})"
        evaluation = evaluate(network, photographs, model=name, on_progress=on_progress)
        evaluation.save(path, sha256=sha256, test_sha256=test_sha256)
    return Result(
        row,
        origin,
        evaluation,
        network.provenance,
        sha256,
        network.strong_width,
        network.identity().hex(),
    )


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
        mirrored = [result for result in mine if result.decoder == "mirrored"]
        strong = [result for result in mine if result.decoder == "strong"]
        ours = _first(mirrored)
        same = [result for result in strong if ours is not None and result.switches == ours.switches]
        snapshots = [result for result in mirrored if result.origin == "snapshot"]
        rows.append(
            TableRow(
                row,
                ours,
                _runs(mirrored),
                snapshots[0] if snapshots else None,
                _first(same) or _first(strong),
                _runs(strong),
            )
        )
    return rows


def _first(results: Sequence[Result]) -> Result | None:
    """The one that ships, or else the run of the lowest seed."""
    ships = (result for result in results if result.origin == "shipped")
    return next(ships, next(iter(_runs(results)), None))


def _runs(results: Sequence[Result]) -> tuple[Result, ...]:
    return tuple(result for result in results if result.origin.startswith("seed"))
