"""Verdicts in a word or a few, from what each network or each comparison says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from maxtunnel.paper.comparisons import Comparison
from maxtunnel.paper.readings import NO_STRONG, Item, Reading
from maxtunnel.support.choices import DecoderKind

NOT_MEASURED = "Not measured here"


class Verdicts(NamedTuple):
    """What is said where a claim holds for all, where it holds for none, and where they differ."""

    yes: str = "Yes"
    no: str = "No"
    mixed: str = "Not always"


@dataclass(frozen=True)
class Finding:
    """What one comparison says to a claim.

    Attributes:
        name: of what was compared.
        holds: whether the claim holds; None where the comparison does not decide.
        over_draws: whether it holds over draws of the encoder, or for one draw of each.
        effect: by how much the second network's RMSE is lower.
        switches: which ones were read.
    """

    name: str
    holds: bool | None
    over_draws: bool
    effect: float
    switches: str = ""


def find(name: str, comparison: Comparison) -> Finding:
    """What a comparison says to the claim that the second network's RMSE is lower."""
    gain = comparison.over_draws or comparison.over_photographs
    return Finding(name, comparison.is_lower, bool(comparison.draws), gain.mean, comparison.switches)


def overall(held: Sequence[bool | None], verdicts: Verdicts = Verdicts()) -> str:  # noqa: B008 - it is frozen
    """One verdict for all; None stands for what is not decided."""
    if not held:
        return NOT_MEASURED
    decided = set(held) - {None}
    if not decided:
        return "Undecided"
    if len(decided) == 2:
        return verdicts.mixed
    verdict = verdicts.yes if True in decided else verdicts.no
    return f"{verdict}, where it can be decided" if None in held else verdict


def overall_of_findings(findings: Sequence[Finding], verdicts: Verdicts = Verdicts()) -> str:  # noqa: B008
    """One verdict for all comparisons over draws, or if there are none, for those of single networks."""
    draws = [finding.holds for finding in findings if finding.over_draws]
    return overall(draws or [finding.holds for finding in findings], verdicts)


def read_findings(
    reader: DecoderKind, findings: Sequence[Finding], yes: str, no: str, needed: str
) -> Reading:
    """What a reader's comparisons say to a claim.

    Args:
        reader: whose comparisons they are.
        findings: none, where there are no networks to compare.
        yes, no: what a comparison says for the claim, and against it.
        needed: said of the paper's decoder where there is nothing to compare: the networks that it takes.
    """
    if not findings:
        return not_measured(reader, needed)
    items = {
        finding.name: Item(finding.holds, finding.over_draws, finding.effect, finding.switches)
        for finding in findings
    }
    return Reading(reader, overall_of_findings(findings), sum_up(findings, yes, no), items)


def not_measured(reader: DecoderKind, needed: str) -> Reading:
    """What a reader says without networks."""
    missing = needed if reader == "mirrored" else f"{NO_STRONG} {needed}"
    return Reading(reader, NOT_MEASURED, missing, {})


def sum_up(findings: Sequence[Finding], yes: str, no: str) -> str:
    """What the comparisons over draws say, then what those of single networks say, each in a word or two."""
    openings = {True: "Over draws of the encoder", False: "With one draw of each, where luck is not excluded"}
    words: Mapping[bool | None, str] = {True: yes, False: no, None: "undecided"}
    sentences = []
    for over_draws, opening in openings.items():
        said = [f"{found.name}: {words[found.holds]}" for found in findings if found.over_draws is over_draws]
        if said:
            sentences.append(f"{opening}: {'; '.join(said)}.")
    return " ".join(sentences)
