"""What an audit finds, as plain data, and the sentences that sum it up."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.auditing.config import AuditConfig
from maxtunnel.auditing.identification import Identification
from maxtunnel.auditing.ledger import Training
from maxtunnel.auditing.rows import LITTLE, Row, Shares
from maxtunnel.codec import dumps, read_header
from maxtunnel.evaluation.intervals import Interval
from maxtunnel.support.files import replacing
from maxtunnel.support.records import Json, to_json
from maxtunnel.switches.codes import SwitchCode

FORMAT = "maxtunnel audit 1"


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
        alone: the switches of this level known, all others fixed.
        from_deepest: the switches of this level and of all coarser ones known, the finer ones fixed.
    """

    number: int
    name: str
    window: str
    channels: int
    pooled: tuple[int, int]
    size: tuple[int, int]
    nominal_bits: float
    coded_bits: float
    alone: Row
    from_deepest: Row


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
        images: how many photographs the decoders trained on (`trained`), how many rows are measured on
            (`measured`), and among how many the right one is searched (`searched`).
        rows: by key: known, mean, random, fixed, other; where, what, both; untrained.
        levels: those that the observer sees, in call order.
        shares: of features and switches; None where too little was rebuilt to share it out.
        identified: how often the right photograph is found.
        transplant: switches and features of different photographs.
        decoders: every training, in order.
        mitigations: none where they were left out.
        untrained: why there is no row of an untrained copy; empty where there is one.
        returned: names of the levels whose indices the model returns.
        unpoolings: how many times the model itself unpools with indices.
        not_covered: poolings that no switch describes.
        config: what was asked for.
        seconds: without the mitigations.
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
    transplant: Transplant
    decoders: tuple[Training, ...]
    mitigations: tuple[MitigationResult, ...]
    untrained: str
    returned: tuple[str, ...]
    unpoolings: int
    not_covered: tuple[str, ...]
    config: AuditConfig
    seconds: float
    versions: dict[str, str]
    pictures: Mapping[str, UInt8[Tensor, "n 3 h w"]] = field(default_factory=dict, repr=False)

    @property
    def bits_per_pixel(self) -> float:
        """Nominal bits of all audited switches per pixel and colour channel."""
        return sum(level.nominal_bits for level in self.levels) / (3 * math.prod(self.size))

    @property
    def verdict(self) -> str:
        """The finding in sentences with numbers."""
        known, mean = self.rows["known"], self.rows["mean"]
        if known.explained_ci95[0] < LITTLE:
            return (
                f"Nothing recognisable was rebuilt: RMSE {known.rmse:.3f}, where the mean photograph alone "
                f"scores {mean.rmse:.3f}. One decoder found this in its time; it proves no absence of a leak."
            )
        best = max(self.identified, key=lambda found: (found.among, found.found))
        low, high = known.rmse_ci95
        return (
            f"The switches alone, without one feature value, rebuilt {self.images['measured']:,} photographs "
            f"that the decoder had never seen at RMSE {known.rmse:.3f} (95 % interval {low:.3f} to "
            f"{high:.3f}); the mean photograph scores {mean.rmse:.3f}, the switches of another photograph "
            f"{self.rows['other'].rmse:.3f}. They explain {known.explained:.0%} of the pixels' variance. "
            f"The right photograph was found among {best.among:,}, as the nearest in {best.by}, in "
            f"{best.found:.1%} of cases; a blind guess finds {best.chance:.1%}. A stronger decoder may find "
            "more."
        )

    def warnings(self) -> list[str]:
        """What a reader must know before trusting a number."""
        falling = [training.name for training in self.decoders if training.still_falling]
        short = [training.name for training in self.decoders if training.steps < 200]
        given = "minutes" if self.config.steps is None else "steps"
        blind = [self.rows[key].rmse for key in ("mean", "random", "fixed")]
        spread = max(blind) / min(blind) - 1
        texts = {
            f"still falling at the end of training, so too high: {_some(falling)}": bool(falling),
            f"fewer than 200 steps, so give more {given}: {_some(short)}": bool(short),
            f"the controls that know nothing differ by {spread:.1%}": spread > 0.05,
            f"not covered: {', '.join(self.not_covered)}": bool(self.not_covered),
            f"no untrained copy: {self.untrained}": bool(self.untrained),
        }
        return [text for text, applies in texts.items() if applies]

    def save(self, path: str | Path) -> None:
        """Write audit.json."""
        fields = to_json(replace(self, pictures={}))
        del fields["pictures"]
        content: dict[str, Json] = {
            "format": FORMAT,
            "verdict": self.verdict,
            "warnings": [*self.warnings()],
            **fields,
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def coded_bits(code: SwitchCode) -> tuple[float, ...]:
    """For each level, the bits of one photograph's switches in a switch file of all these photographs."""
    header = read_header(dumps(code), "the code")
    return tuple(8 * part.length / len(code) for part in header.parts)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
