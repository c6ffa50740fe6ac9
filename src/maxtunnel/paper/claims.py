"""The paper's claims: each a question, what was measured, what each reader answers, and the command."""

from collections.abc import Callable, Sequence
from pathlib import Path

from maxtunnel.paper.colour_claims import dull_colours, why_dull
from maxtunnel.paper.decoder_claims import fixed_switches, growing_finer
from maxtunnel.paper.encoder_claims import doubled_filters, more_filters, pretraining
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.gap_claims import remaining_gap
from maxtunnel.paper.readings import DECODERS, SUMMARY, Reading, summarise
from maxtunnel.support.files import replacing
from maxtunnel.support.markdown import markdown_table

_CLAIMS: tuple[Callable[[Evidence], Claim], ...] = (
    *(more_filters, doubled_filters, pretraining, remaining_gap),
    *(dull_colours, why_dull, growing_finer, fixed_switches),
)


def evaluate_claims(evidence: Evidence) -> list[Claim]:
    """Every claim of the paper against the evidence."""
    return [claim(evidence) for claim in _CLAIMS]


def write_claims(claims: Sequence[Claim], path: Path, facts: Sequence[tuple[str, str]]) -> None:
    """Write the claims as Markdown; `facts` say where the numbers come from."""
    lines = ["# The paper's claims, held against evidence", "", "Written by `maxtunnel reproduce`.", ""]
    lines += ["## About the switches, or about the paper's decoder?", "", SUMMARY, ""]
    lines += [*markdown_table(*summarise([(c.statement, c.readings) for c in claims])), ""]
    for claim in claims:
        lines += _section(claim)
    rows = [(name, value.replace("\n", "<br>")) for name, value in facts]
    lines += ["## Where these numbers come from", "", *markdown_table(("what", "value"), rows), ""]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _section(claim: Claim) -> list[str]:
    outcome = claim.outcome
    return [
        *(f"## {claim.question}", ""),
        *(line for reading in claim.readings for line in (_said(reading), "")),
        *([] if outcome is None else [f"Of the switches: **{outcome.verdict}.** {outcome.reason}", ""]),
        *(claim.measurement, ""),
        *([*markdown_table(claim.columns, claim.evidence), ""] if claim.evidence else []),
        *(f"    {line}" for line in claim.command.splitlines()),
        "",
    ]


def _said(reading: Reading) -> str:
    who = "" if reading.reader is None else f"{DECODERS[reading.reader].capitalize()}: "
    return f"{who}**{reading.verdict}.** {reading.answer}"
