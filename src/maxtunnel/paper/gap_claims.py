"""What a strong reader leaves of the gap between random and trained encoders: a question of ours."""

from collections.abc import Sequence

import torch

from maxtunnel.evaluation.intervals import bootstrap, span
from maxtunnel.paper.comparisons import Comparison, Gain, mean_gain
from maxtunnel.paper.encoder_claims import networks_of, pretrained_pairs
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.readings import Reading
from maxtunnel.paper.results import Result
from maxtunnel.paper.verdicts import NOT_MEASURED, Finding, Verdicts, overall_of_findings, sum_up

_VERDICTS = Verdicts("Less", "More", "Not the same everywhere")


class Gap:
    """The gap between a pretrained and a random encoder, as each reader sees it.

    Args:
        mirrored, strong: the two networks compared, the pretrained one first, by each reader.

    Attributes:
        draws: by how much the pretrained encoder's RMSE is higher, for each reader, of every seed of which
            both read the same switches; a pair a seed, empty for fewer than two.
    """

    def __init__(self, mirrored: Comparison, strong: Comparison) -> None:
        self.mirrored, self.strong = mirrored, strong
        theirs = {random.origin: (pretrained, random) for pretrained, random in strong.draws}
        draws = [
            (_gap(ours), _gap(theirs[ours[1].origin]))
            for ours in mirrored.draws
            if ours[1].origin in theirs and _same(ours, theirs[ours[1].origin])
        ]
        self.draws = draws if len(draws) >= 2 else []

    @property
    def name(self) -> str:
        """Of the architecture."""
        return str(self.mirrored.first.row.architecture)

    @property
    def gaps(self) -> tuple[float, float]:
        """By how much the pretrained encoder's RMSE is higher for the paper's decoder, and the strong one."""
        if self.draws:
            ours, theirs = zip(*self.draws, strict=True)
            return sum(ours) / len(ours), sum(theirs) / len(theirs)
        return self.mirrored.over_photographs.mean, self.strong.over_photographs.mean

    @property
    def shrinks(self) -> Gain | None:
        """By how much the gap is smaller for the strong decoder; None where they read different switches."""
        if self.draws:
            return mean_gain([ours - theirs for ours, theirs in self.draws])
        pairs = [(pair.first, pair.second) for pair in (self.mirrored, self.strong)]
        if not (self.mirrored.alike and self.strong.alike and _same(*pairs)):
            return None
        errors = torch.stack([result.squared_errors for pair in pairs for result in pair])
        ours, theirs = self.gaps
        return Gain(ours - theirs, bootstrap(errors, _difference_of_gaps))

    @property
    def finding(self) -> Finding:
        """What it says to the claim that the gap is smaller for the strong decoder."""
        gain = self.shrinks
        holds = None if gain is None else gain.is_lower
        return Finding(self.name, holds, bool(self.draws), self.gaps[0] - self.gaps[1])


def remaining_gap(evidence: Evidence) -> Claim:
    """What is left of the gap between random and pretrained encoders for a strong reader?"""
    pairs = pretrained_pairs(evidence)
    strong = {str(pair.first.row.architecture): pair for pair in pairs["strong"]}
    found = [
        Gap(pair, strong[name])
        for pair in pairs["mirrored"]
        if (name := str(pair.first.row.architecture)) in strong
    ]
    return Claim(
        "What is left of the gap between random and pretrained encoders for a strong reader?",
        "",
        (_reading(found),),
        "RMSE with the pretrained encoder less that with the random one: the gap, as each decoder sees it in "
        "the same switches, and by how much it is smaller for the strong one. Over seeds: Student's t, every "
        "seed with both encoders and both decoders; else a bootstrap over photographs, for one draw. "
        "Decoders that were not trained alike, or that read other switches, decide nothing.",
        ("architecture", "gap, paper's", "gap, strong", "smaller by", "95 % interval", "interval over"),
        tuple(_cells(gap) for gap in found),
        evidence.command(
            [r for gap in found for pair in (gap.mirrored, gap.strong) for r in networks_of(pair)]
        ),
    )


def _reading(found: Sequence[Gap]) -> Reading:
    if not found:
        needed = "It takes both encoders of an architecture, each read by both decoders."
        return Reading(None, NOT_MEASURED, needed, {})
    findings = [gap.finding for gap in found]
    each = "; ".join("{}: {:+.4f} to {:+.4f}".format(gap.name, *gap.gaps) for gap in found)
    return Reading(
        None,
        overall_of_findings(findings, _VERDICTS),
        f"{sum_up(findings, 'smaller', 'larger')} From the paper's decoder to the strong one the gap goes: "
        f"{each}.",
        {},
    )


def _cells(gap: Gap) -> tuple[str, ...]:
    gain = gap.shrinks
    ours, theirs = gap.gaps
    return (
        *(gap.name, f"{ours:+.4f}", f"{theirs:+.4f}"),
        *(("–", "–") if gain is None else (f"{gain.mean:+.4f}", span(gain.interval, "+.4f"))),
        f"{len(gap.draws)} seeds" if gap.draws else "photographs, 1 draw",
    )


def _gap(pair: tuple[Result, Result]) -> float:
    return pair[0].evaluation.rmse - pair[1].evaluation.rmse


def _same(one: tuple[Result, Result], other: tuple[Result, Result]) -> bool:
    """Whether two decoders read the same switches, of both encoders."""
    return all(a.switches == b.switches for a, b in zip(one, other, strict=True))


def _difference_of_gaps(means: torch.Tensor) -> torch.Tensor:
    a, b, c, d = means.sqrt()
    return (a - b) - (c - d)
