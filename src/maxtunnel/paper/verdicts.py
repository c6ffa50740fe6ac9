"""Verdicts in a word or a few, from what each network or each comparison says."""

from collections.abc import Sequence
from dataclasses import dataclass

from maxtunnel.paper.comparisons import Comparison
from maxtunnel.paper.readings import NO_STRONG, Item, Reading
from maxtunnel.support.choices import DecoderKind

NOT_MEASURED = "Not measured here"


@dataclass(frozen=True)
class Finding:
    """What one comparison says.

    Attributes:
        name: of what was compared.
        verdict: of the comparison.
        over_draws: whether it holds over draws of the encoder, or for one draw of each.
        effect: by how much the second network's RMSE is lower.
        switches: which ones were read.
    """

    name: str
    verdict: str
    over_draws: bool
    effect: float
    switches: str = ""


def find(name: str, comparison: Comparison, lower: str, higher: str) -> Finding:
    """What a comparison says in the words `lower` and `higher`, for the second network's RMSE."""
    gain = comparison.over_draws or comparison.over_photographs
    return Finding(
        name, comparison.verdict(lower, higher), bool(comparison.draws), gain.mean, comparison.switches
    )


def overall(verdicts: Sequence[str], yes: str, no: str) -> str:
    """One verdict for all."""
    if not verdicts:
        return NOT_MEASURED
    found = set(verdicts)
    if {yes, no} <= found:
        return "Not always"
    if not {yes, no} & found:
        return "Undecided"
    return ("Yes" if yes in found else "No") + (", where it can be decided" if len(found) > 1 else "")


def overall_of_findings(findings: Sequence[Finding], yes: str, no: str) -> str:
    """One verdict for all comparisons over draws, or if there are none, for those of single networks."""
    draws = [finding.verdict for finding in findings if finding.over_draws]
    return overall(draws or [finding.verdict for finding in findings], yes, no)


def read_findings(
    reader: DecoderKind, findings: Sequence[Finding], yes: str, no: str, needed: str
) -> Reading:
    """What a reader's comparisons say to a claim that holds where their verdict is `yes`.

    Args:
        reader: whose comparisons they are.
        findings: none, where there are no networks to compare.
        yes, no: the verdicts for and against the claim.
        needed: said of the paper's decoder where there is nothing to compare: the networks that it takes.
    """
    if not findings:
        return not_measured(reader, needed)
    items = {
        finding.name: Item(
            decided(finding.verdict, yes, no), finding.over_draws, finding.effect, finding.switches
        )
        for finding in findings
    }
    return Reading(reader, overall_of_findings(findings, yes, no), sum_up(findings), items)


def not_measured(reader: DecoderKind, needed: str) -> Reading:
    """What a reader says without networks."""
    missing = needed if reader == "mirrored" else f"{NO_STRONG} {needed}"
    return Reading(reader, NOT_MEASURED, missing, {})


def decided(verdict: str, yes: str, no: str) -> bool | None:
    """Whether a claim holds by a verdict; None where it is neither `yes` nor `no`."""
    return {yes: True, no: False}.get(verdict)


def sum_up(findings: Sequence[Finding]) -> str:
    """What the comparisons over draws say, then what those of single networks say."""
    openings = {True: "Over draws of the encoder", False: "With one draw of each, where luck is not excluded"}
    sentences = []
    for over_draws, opening in openings.items():
        said = [f"{found.name}: {found.verdict}" for found in findings if found.over_draws is over_draws]
        if said:
            sentences.append(f"{opening}: {'; '.join(said)}.")
    return " ".join(sentences)
