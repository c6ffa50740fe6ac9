"""Edges survive and colours turn dull: how far, and why."""

from collections.abc import Sequence

from maxtunnel.evaluation.intervals import bootstrap
from maxtunnel.paper.evidence import NOT_MEASURED, Claim, Evidence
from maxtunnel.paper.results import Result


def dull(evidence: Evidence) -> Claim:
    """Do edges survive while colours turn dull?"""
    rows = []
    for name, colours in evidence.colours.items():
        luma, chroma = colours.returned().tolist()
        low, high = bootstrap(colours.edges)
        numbers = (chroma, luma, float(colours.saturation.median()), float(colours.edges.mean()))
        control = float(colours.edges_other.mean())
        rows.append((name, *(f"{x:.2f}" for x in numbers), f"{low:.2f} to {high:.2f}", f"{control:.2f}"))
    return Claim(
        "With few filters, do edges survive while colours turn dull?",
        _dull_verdict(rows),
        _dull_answer(rows),
        f"On {evidence.photographs[1]:,} photographs drawn by seed. Strength: slope of the reconstruction "
        "on the original, both less the mean image, for chroma and for luma (1 is full strength). "
        "Saturation: median over photographs of mean chroma over the original's. Edges: correlation of "
        "gradient magnitudes of luma, with a bootstrap interval over photographs, and for control the same "
        "with another photograph's reconstruction.",
        ("network", "chroma strength", "luma strength", "saturation", "edges", "95 %", "edges, another's"),
        tuple(rows),
        evidence.command(evidence.measured()),
    )


def _dull_verdict(rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return NOT_MEASURED
    dull = all(float(chroma) < float(luma) for _, chroma, luma, *_ in rows)
    return "Yes" if dull and all(float(row[4]) > 0.5 for row in rows) else "In part"


def _dull_answer(rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return "It takes a network."
    name, chroma, luma, saturation, edges, _, other = rows[0]
    weaker = sum(float(row[1]) < float(row[2]) for row in rows)
    text = (
        f"{_percent(chroma)} of the original's colour and {_percent(luma)} of its brightness come back "
        f"through {name}; colour comes back weaker than brightness in {weaker} of {len(rows)} networks. Its "
        f"edges agree with the original's at a correlation of {edges}; another photograph's reconstruction "
        f"reaches {other}. Mean saturation alone ({saturation}) would not show it: false colours take the "
        "place of those that are lost."
    )
    if len(rows) > 1:
        name, chroma, luma, _, edges, *_ = rows[-1]
        text += f" For {name} it is {_percent(chroma)} and {_percent(luma)}, edges {edges}."
    return text


def why(evidence: Evidence) -> Claim:
    """Why do they, which the paper could not say?"""
    rows = []
    for name, colours in evidence.colours.items():
        gain, low, high = colours.best_gain()
        known, spectrum = colours.explained(), colours.spectrum()
        luma, chroma = colours.explained_in_all().tolist()
        swapped = float((spectrum[1] * known[0]).sum())
        variance = colours.power.sum((-1, -2))
        cells: tuple[str, ...] = (
            f"{luma:.2f}",
            f"{chroma:.2f}",
            f"{swapped:.2f}",
            f"{float(variance[0] / variance[1]):.1f}",
        )
        cells += (f"{colours.grey_flips:.2f}",)
        rows.append((name, f"{gain:.2f}", f"{low:.2f} to {high:.2f}", *cells))
    return Claim(
        "Why do colours turn dull? (The paper: “We do not fully understand why this happens.”)",
        "Known in part" if rows else NOT_MEASURED,
        _why_answer(evidence, rows),
        "Three predictions, each of which could have failed. (1) If the decoder merely drew colours too "
        "weakly, more chroma in its output would lower the error: the best factor would lie above 1. (2) "
        "If chroma suffered for lying in other patterns than luma (blocks of 16 pixels, of 4, and finer), "
        "then with luma's explained share at each scale it would be explained no better than it is. (3) If "
        "switches follow luma because luma varies more, an encoder that sees chroma four times as strong "
        "(a linear map before its first layer; seed, recipe and the rest the same) gives switches that "
        "explain more of the chroma and less of the luma.",
        (
            *("network", "best factor", "95 %", "luma explained", "chroma explained"),
            *("chroma at luma's shares", "variance, luma : chroma", "switches that grey changes"),
        ),
        tuple(rows),
        evidence.command([*evidence.measured(), *_trained(evidence)]),
    )


def _trained(evidence: Evidence) -> list[Result]:
    """The runs that the experiment on colours rests on."""
    if evidence.colourful is None:
        return []
    return [run for line in evidence.table for run in line.runs if line.row.name == "8-8-8"]


def _why_answer(evidence: Evidence, rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return "It takes a network."
    name, _, _, luma, chroma, swapped, variance, flips = rows[0]
    near = sum(abs(float(row[1]) - 1) < 0.1 for row in rows)
    text = (
        "The switches know less of colour than of brightness, and the decoder draws only what is known. (1) "
        "Its colours are as strong as squared error wants them: the best factor lies within 0.1 "
        f"of 1 in {near} of {len(rows)} networks. (2) {name} explains {_percent(luma)} of the variance of "
        f"luma and {_percent(chroma)} of chroma's; with luma's shares at each scale chroma would come to "
        f"{_percent(swapped)}, so the scale is not the cause. Chroma varies {variance} times less than "
        f"luma, and turning a photograph grey changes {_percent(flips)} of its switches."
    )
    if evidence.colourful is None:
        return text + " (3) was not measured here."
    plain, rich = (colours.explained_in_all().tolist() for colours in evidence.colourful)
    text += (
        f" (3) With four times the chroma before its encoder, 8-8-8 (seed 0, trained like one without) "
        f"explains {_percent(rich[1])} of chroma instead of {_percent(plain[1])}, and {_percent(rich[0])} of "
        f"luma instead of {_percent(plain[0])}: "
    )
    if rich[1] > plain[1] and rich[0] < plain[0]:
        closed = (rich[1] - plain[1]) / (plain[0] - plain[1])
        return (
            text + f"as predicted; chroma gains {_percent(closed)} of what it lacked to luma, so the "
            "strength of the signal is a part of the cause, and the rest is open."
        )
    return text + "the prediction failed, so the strength of the signal is not the cause."


def _percent(share: float | str) -> str:
    return f"{100 * float(share):.0f} %"
