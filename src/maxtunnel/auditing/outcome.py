"""What an audit finds, as plain data: rows of a table, curves, bits, and the sentence that sums them up."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.auditing.identification import Identified
from maxtunnel.codec import dumps, read_header
from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.support.files import replacing
from maxtunnel.switches.codes import SwitchCode

FORMAT = "maxtunnel audit 1"
LITTLE = 0.02  # of the variance: below it nothing recognisable was rebuilt


@dataclass(frozen=True)
class Measured:
    """How close one way to rebuild the held-out photographs comes.

    Attributes:
        name: what the decoder was fed.
        decoder: the decoder's name; empty where there is none.
        rmse, psnr, ssim: as `evaluate` measures them, with 95 % bootstrap intervals over photographs.
        explained: 1 - MSE / MSE of the mean image: the share of the pixels' variance that came through.
    """

    name: str
    decoder: str
    rmse: float
    rmse_ci95: Interval
    psnr: float
    psnr_ci95: Interval
    ssim: float
    ssim_ci95: Interval
    explained: float
    explained_ci95: Interval


@dataclass(frozen=True)
class Trained:
    """One decoder's training.

    Attributes:
        learning_rate: the recipe's, or a fraction of it where the loss became infinite with that.
        curve: (step, RMSE on the batches since the point before).
        still_falling: over the last tenth of the curve the RMSE was over 1 % below that of the tenth before.
    """

    name: str
    steps: int
    seconds: float
    learning_rate: float
    curve: tuple[tuple[int, float], ...]
    still_falling: bool


@dataclass(frozen=True)
class AuditedLevel:
    """One pooling layer of the target.

    Attributes:
        name: of the module that pools.
        window: its geometry, in words.
        channels, pooled, size: of its planes, after and before pooling.
        nominal_bits: bits of one photograph's switches at log2(cells) each.
        coded_bits: what they take in a switch file, entropy-coded.
        alone: this level's switches known, all others fixed.
        from_deepest: this level and all coarser ones known, the finer ones fixed.
    """

    name: str
    window: str
    channels: int
    pooled: tuple[int, int]
    size: tuple[int, int]
    nominal_bits: float
    coded_bits: float
    alone: Measured
    from_deepest: Measured


@dataclass(frozen=True)
class Shares:
    """What of the explained variance the features (what) and the switches (where) account for.

    Shapley's shares of MSE(neither) - MSE(both): a part's gain, averaged over adding it first and second.
    """

    what: float
    where: float
    where_ci95: Interval


@dataclass(frozen=True)
class Transplant:
    """Switches of one photograph with the features of another: whose picture appears?

    Attributes:
        rmse_to_where, rmse_to_what: from the result to the photograph that gave the switches, the features.
        nearer_to_where: share of pairs where the former is nearer.
    """

    rmse_to_where: float
    rmse_to_what: float
    nearer_to_where: float
    nearer_to_where_ci95: Interval


@dataclass(frozen=True)
class Mitigated:
    """One counter-measure, the decoder retrained against it.

    Attributes:
        bits: that an observer of the switches gets, per photograph, at most.
        leak: switches alone; None where there are none left.
        with_features: the same observer who sees the coarsest features too.
        metric: the model's own task; None where none was given.
    """

    name: str
    bits: float
    leak: Measured | None
    with_features: Measured | None
    metric: float | None


@dataclass(frozen=True)
class AuditResult:
    """All that an audit found; `audit.json` holds every field but the pictures (docs/audit.md).

    Attributes:
        shares: None where too little was rebuilt to share it out.
        size: (height, width) of the photographs.
        rows: by key: known, mean, random, fixed, other; where, what, both; untrained.
        untrained: why there is no such row; empty where there is.
        images: photographs that the decoders trained on, that rows are measured on, that are searched among.
        returned: levels whose indices the model hands out.
        unpoolings: times the model itself unpools with indices.
        not_covered: poolings that no switch describes.
        pictures: by key, uint8.
    """

    target: str
    size: tuple[int, int]
    images: dict[str, int]
    rows: dict[str, Measured]
    levels: tuple[AuditedLevel, ...]
    shares: Shares | None
    identified: tuple[Identified, ...]
    transplant: Transplant
    decoders: tuple[Trained, ...]
    mitigations: tuple[Mitigated, ...]
    untrained: str
    returned: tuple[str, ...]
    unpoolings: int
    not_covered: tuple[str, ...]
    config: dict[str, Any]
    seconds: float
    versions: dict[str, str]
    pictures: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

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
        falling = [trained.name for trained in self.decoders if trained.still_falling]
        given = "minutes" if self.config.get("steps") is None else "steps"
        few = [trained.name for trained in self.decoders if trained.steps < 200]
        blind = [self.rows[key].rmse for key in ("mean", "random", "fixed")]
        spread = max(blind) / min(blind) - 1
        return [
            text
            for text, holds in (
                (f"still falling at the end of training, so too high: {_some(falling)}", falling),
                (f"fewer than 200 steps, give more --{given}: {_some(few)}", few),
                (f"the controls that know nothing differ by {spread:.1%}", spread > 0.05),
                (f"not covered: {', '.join(self.not_covered)}", self.not_covered),
                (f"no untrained copy: {self.untrained}", self.untrained),
            )
            if holds
        ]

    def save(self, path: str | Path) -> None:
        """Write audit.json."""
        fields = {
            key: value for key, value in asdict(replace(self, pictures={})).items() if key != "pictures"
        }
        content = {"format": FORMAT, "verdict": self.verdict, "warnings": self.warnings(), **fields}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def measured(
    name: str, decoder: str, values: Float64[Tensor, "3 n"], mean: Float64[Tensor, "3 n"]
) -> Measured:
    """A row from what `evaluation.measure` gives for it and for the mean image."""
    mse, psnr, ssim = values
    ratio, interval = ratio_of_means(mse, mean[0])
    return Measured(
        name, decoder, float(mse.mean().sqrt()), bootstrap(mse, lambda value: value.sqrt()),
        float(psnr.mean()), bootstrap(psnr), float(ssim.mean()), bootstrap(ssim),
        1 - ratio, (1 - interval[1], 1 - interval[0]),
    )  # fmt: skip


def ratio_of_means(
    above: Float64[Tensor, " n"], below: Float64[Tensor, " n"], draws: int = 2000
) -> tuple[float, Interval]:
    """mean(above) / mean(below) with its 95 % interval, the same photographs drawn for both."""
    drawn = torch.randint(len(above), (draws, len(above)), generator=torch.Generator().manual_seed(0))
    ratios = above[drawn].mean(1) / below[drawn].mean(1)
    low, high = torch.quantile(ratios, torch.tensor([0.025, 0.975]).double()).tolist()
    return float(above.mean() / below.mean()), (low, high)


def shares(neither: Tensor, what: Tensor, where: Tensor, both: Tensor) -> Shares | None:
    """Shapley's shares from the squared errors of each photograph; None where both explain under 2 %."""
    if 1 - both.mean() / neither.mean() < LITTLE:
        return None
    by_where = ((neither - where) + (what - both)) / 2
    part, interval = ratio_of_means(by_where, neither - both)
    return Shares(1 - part, part, interval)


def still_falling(curve: tuple[tuple[int, float], ...]) -> bool:
    """Whether the last tenth of the curve lies over 1 % below the tenth before."""
    each = max(1, len(curve) // 10)
    values = [value for _, value in curve]
    last, before = values[-each:], values[-2 * each : -each]
    return bool(before) and sum(last) / len(last) < 0.99 * sum(before) / len(before)


def coded_bits(code: SwitchCode) -> tuple[float, ...]:
    """Bits of one photograph's switches of each level, stored in a switch file of all these photographs."""
    header = read_header(dumps(code), "the code")
    return tuple(8 * part.length / len(code) for part in header.parts)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
