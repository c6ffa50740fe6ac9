"""The paper's claims: each a question, what was measured, an answer with its uncertainty, and the command."""

from collections.abc import Callable, Sequence
from pathlib import Path

from maxtunnel.paper.colour_claims import dull_colours, why_dull
from maxtunnel.paper.decoder_claims import fixed_switches, growing_finer
from maxtunnel.paper.encoder_claims import doubled_filters, more_filters, pretraining
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.support.files import replacing
from maxtunnel.support.markdown import markdown_table

_CLAIMS: tuple[Callable[[Evidence], Claim], ...] = (
    *(more_filters, doubled_filters, pretraining),
    *(dull_colours, why_dull, growing_finer, fixed_switches),
)


def evaluate_claims(evidence: Evidence) -> list[Claim]:
    """Every claim of the paper against the evidence."""
    return [claim(evidence) for claim in _CLAIMS]


def write_claims(claims: Sequence[Claim], path: Path, facts: Sequence[tuple[str, str]]) -> None:
    """Write the claims as Markdown; `facts` say where the numbers come from."""
    lines = ["# The paper's claims, held against evidence", "", "Written by `maxtunnel reproduce`.", ""]
    for claim in claims:
        lines += _section(claim)
    rows = [(name, value.replace("\n", "<br>")) for name, value in facts]
    lines += ["## Where these numbers come from", "", *markdown_table(("what", "value"), rows), ""]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _section(claim: Claim) -> list[str]:
    return [
        *(f"## {claim.question}", ""),
        *(f"**{claim.verdict}.** {claim.answer}", ""),
        *(claim.measurement, ""),
        *([*markdown_table(claim.columns, claim.evidence), ""] if claim.evidence else []),
        *(f"    {line}" for line in claim.command.splitlines()),
        "",
    ]
