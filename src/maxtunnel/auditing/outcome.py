"""What an audit finds, as plain data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.auditing.config import AuditConfig
from maxtunnel.auditing.identification import Identification
from maxtunnel.auditing.ledger import Training
from maxtunnel.auditing.origin import AuditRecord
from maxtunnel.auditing.rows import Row, Shares
from maxtunnel.codec import dumps, read_header
from maxtunnel.evaluation.intervals import Interval
from maxtunnel.support.choices import DecoderKind
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.recording import Finding


@dataclass(frozen=True)
class AuditedLevel:
    """One pooling layer of the target.

    Attributes:
        number: among all poolings of the model, in call order from 1.
        name: of the module that pools.
        window: its geometry, in words.
        channels, pooled, size: of its planes; (height, width) after and before pooling.
        nominal_bits: bits of one photograph's switches at log2(cells) each.
        coded_bits: bits that they take in a switch file, entropy-coded.
        alone: the switches of this level known, all others fixed; None where it was not measured.
        from_deepest: the switches of this level and of all coarser ones known, the finer ones fixed; or None.
        surpassed_by: the name of a row of fewer switches that explains more, beyond noise: there were not the
            steps to say what `from_deepest` gives away. Empty where there is none.
    """

    number: int
    name: str
    window: str
    channels: int
    pooled: tuple[int, int]
    size: tuple[int, int]
    nominal_bits: float
    coded_bits: float
    alone: Row | None
    from_deepest: Row | None
    surpassed_by: str = ""


@dataclass(frozen=True)
class Transplant:
    """Switches of one photograph with the features of another: whose picture appears?

    Attributes:
        rmse_to_where, rmse_to_what: of the result to the photograph that gave the switches, and to the one
            that gave the features.
        nearer_to_where: share of pairs where the former is smaller.
    """

    rmse_to_where: float
    rmse_to_what: float
    nearer_to_where: float
    nearer_to_where_ci95: Interval


@dataclass(frozen=True)
class Draws:
    """Two decoders of the same switches that differ in the draw of their weights and of their order.

    Attributes:
        reader: their kind.
        steps: of each.
        rmse: of each.
    """

    reader: DecoderKind
    steps: int
    rmse: tuple[float, float]

    @property
    def ratio(self) -> float:
        """The larger error by the smaller one."""
        return max(self.rmse) / min(self.rmse)


@dataclass(frozen=True)
class Refined:
    """Pictures of known switches, moved through the model to where their own switches are those captured.

    Attributes:
        photographs: whose pictures these are, the first of those measured.
        rounds: in which they were moved.
        decoded, refined: how close they come before and after.
        wrong_decoded, wrong_refined: share of the pictures' own switches that are not those captured.
    """

    photographs: int
    rounds: int
    decoded: Row
    refined: Row
    wrong_decoded: float
    wrong_refined: float


@dataclass(frozen=True)
class MitigationResult:
    """What one mitigation does to the leak, with decoders retrained against it.

    Attributes:
        name: of the mitigation.
        bits: that the switches of one photograph still give an observer, at most.
        leak: rebuilt from the switches alone; None where there are no switches left.
        with_features: rebuilt from the switches and the coarsest features; None where it is not measured.
        metric: of the model's own task; None where none was given.
    """

    name: str
    bits: float
    leak: Row | None
    with_features: Row | None
    metric: float | None


@dataclass(frozen=True)
class AuditResult:
    """All that an audit found; `audit.json` holds every field but the pictures (docs/audit.md).

    Attributes:
        target: name of the model.
        size: (height, width) of the photographs.
        images: how many photographs there were to train on (`given`), how many of them the decoders trained
            on (`trained`), how many others rows are measured on (`measured`), and among how many the right
            one is searched (`searched`).
        rows: by key: known (by the kind of decoder that reads more), mean; second (known switches, by the
            other kind), random, fixed, other; where, what, both; untrained. Only the first two are always
            there.
        levels: those that the observer sees, in call order.
        shares: of features and switches; None where too little was rebuilt to share it out.
        identified: how often the right photograph is found.
        transplant: switches and features of different photographs; None where it was not measured.
        decoders: every training, in order.
        mitigations: none where they were left out.
        left_out: sentences about the experiments that are not there, and why.
        untrained: why there is no row of an untrained copy; empty where there is one.
        untrained_note: what must be known about the weights of that copy; empty where all are drawn anew.
        draws: two draws of one decoder; None where the time allowed no second one.
        refined: None where it was not asked for, failed, or the audit was ended before.
        returned: names of the levels whose indices the model returns.
        returning: whether indices leave with the model's output.
        unpooling: whether the model uses its own indices.
        unpoolings: how many times the model itself unpools with indices.
        not_covered: poolings that no switch describes.
        unseen: why poolings may have run that were not seen.
        config: what was asked for.
        enough_minutes: the least sensible `minutes` for this model here, as it was announced.
        interrupted: whether a person ended the audit before it was done.
        seconds: without the mitigations.
        record: what the audit was of, and when.
        versions: of the software.
        pictures: by key: `originals`, `donors`, `transplant`, the key of a row, or `alone` or `from deepest`
            with the number of a level.
    """

    target: str
    size: tuple[int, int]
    images: dict[str, int]
    rows: dict[str, Row]
    levels: tuple[AuditedLevel, ...]
    shares: Shares | None
    identified: tuple[Identification, ...]
    transplant: Transplant | None
    decoders: tuple[Training, ...]
    mitigations: tuple[MitigationResult, ...]
    left_out: tuple[str, ...]
    untrained: str
    untrained_note: str
    draws: Draws | None
    refined: Refined | None
    returned: tuple[str, ...]
    returning: Finding
    unpooling: Finding
    unpoolings: int
    not_covered: tuple[str, ...]
    unseen: tuple[str, ...]
    config: AuditConfig
    enough_minutes: float
    interrupted: bool
    seconds: float
    record: AuditRecord
    versions: dict[str, str]
    pictures: Mapping[str, UInt8[Tensor, "n 3 h w"]] = field(default_factory=dict, repr=False)

    @property
    def bits_per_pixel(self) -> float:
        """Nominal bits of all audited switches per pixel and colour channel."""
        return sum(level.nominal_bits for level in self.levels) / (3 * math.prod(self.size))

    @property
    def readers(self) -> tuple[Row, ...]:
        """The rows of all decoders that were given these switches, or less than them, and nothing else."""
        return (
            *(self.rows[key] for key in ("known", "second", "where") if key in self.rows),
            *(row for level in self.levels for row in (level.alone, level.from_deepest) if row),
            *(found.leak for found in self.mitigations if found.leak),
        )


def coded_bits(code: SwitchCode) -> tuple[float, ...]:
    """For each level, the bits of one photograph's switches in a switch file of all these photographs."""
    header = read_header(dumps(code), "the code")
    return tuple(8 * part.length / len(code) for part in header.parts)
