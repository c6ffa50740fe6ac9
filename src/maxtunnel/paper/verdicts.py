"""Verdicts in a word or a few, from what each network or each comparison says."""

from collections.abc import Sequence
from dataclasses import dataclass

from maxtunnel.paper.comparisons import Comparison

NOT_MEASURED = "Not measured here"


@dataclass(frozen=True)
class Finding:
    """What one comparison says.

    Attributes:
        name: of what was compared.
        verdict: of the comparison.
        over_draws: whether it holds over draws of the encoder, or for one draw of each.
    """

    name: str
    verdict: str
    over_draws: bool


def find(name: str, comparison: Comparison, lower: str, higher: str) -> Finding:
    """What a comparison says in the words `lower` and `higher`, for the second network's RMSE."""
    return Finding(name, comparison.verdict(lower, higher), bool(comparison.draws))


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


def sum_up(findings: Sequence[Finding]) -> str:
    """What the comparisons over draws say, then what those of single networks say."""
    openings = {True: "Over draws of the encoder", False: "With one draw of each, where luck is not excluded"}
    sentences = []
    for over_draws, opening in openings.items():
        said = [f"{found.name}: {found.verdict}" for found in findings if found.over_draws is over_draws]
        if said:
            sentences.append(f"{opening}: {'; '.join(said)}.")
    return " ".join(sentences)
