"""What the paper says of colours: edges survive and colours turn dull; how far, and why.

Numbers are measured first, verdicts come from the numbers, and only then is anything rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.paper.colours import Colours
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.results import Result
from maxtunnel.paper.verdicts import NOT_MEASURED

_EDGES_SURVIVE = 0.5  # correlation above which edges are said to survive
_NEAR_ONE = 0.1  # how near to 1 the best factor lies if colours are not drawn too weakly


@dataclass(frozen=True)
class Dullness:
    """How much of colours and edges comes back through a network.

    Attributes:
        name: of the network.
        chroma, luma: strength in the reconstruction; 1 is full strength.
        saturation: median over photographs of mean chroma over the original's.
        edges: mean correlation of gradient magnitudes of luma with the original's, and its interval.
        edges_other: the same with another photograph's reconstruction.
    """

    name: str
    chroma: float
    luma: float
    saturation: float
    edges: float
    edges_ci95: Interval
    edges_other: float

    @property
    def colours_are_dull(self) -> bool:
        """Whether colour comes back weaker than brightness."""
        return self.chroma < self.luma

    @property
    def edges_survive(self) -> bool:
        """Whether edges agree with the original's more than half."""
        return self.edges > _EDGES_SURVIVE


def _dullness(name: str, colours: Colours) -> Dullness:
    luma, chroma = colours.returned().tolist()
    return Dullness(
        name=name,
        chroma=chroma,
        luma=luma,
        saturation=float(colours.saturation.median()),
        edges=float(colours.edges.mean()),
        edges_ci95=bootstrap(colours.edges),
        edges_other=float(colours.edges_other.mean()),
    )


def dull_colours(evidence: Evidence) -> Claim:
    """Do edges survive while colours turn dull?"""
    found = [_dullness(name, colours) for name, colours in evidence.colours.items()]
    return Claim(
        "With few filters, do edges survive while colours turn dull?",
        _dull_verdict(found),
        _dull_answer(found),
        f"On {evidence.photographs[1]:,} photographs drawn by seed. Strength: slope of the reconstruction "
        "on the original, both less the mean image, for chroma and for luma (1 is full strength). "
        "Saturation: median over photographs of mean chroma over the original's. Edges: correlation of "
        "gradient magnitudes of luma, with a bootstrap interval over photographs, and for control the same "
        "with another photograph's reconstruction.",
        ("network", "chroma strength", "luma strength", "saturation", "edges", "95 %", "edges, another's"),
        tuple(_dull_cells(row) for row in found),
        evidence.command(evidence.measured()),
    )


def _dull_verdict(found: Sequence[Dullness]) -> str:
    if not found:
        return NOT_MEASURED
    return "Yes" if all(row.colours_are_dull and row.edges_survive for row in found) else "In part"


def _dull_answer(found: Sequence[Dullness]) -> str:
    if not found:
        return "It takes a network."
    first, last = found[0], found[-1]
    weaker = sum(row.colours_are_dull for row in found)
    text = (
        f"{_percent(first.chroma)} of the original's colour and {_percent(first.luma)} of its brightness "
        f"come back through {first.name}; colour comes back weaker than brightness in {weaker} of "
        f"{len(found)} networks. Its edges agree with the original's at a correlation of {first.edges:.2f}; "
        f"another photograph's reconstruction reaches {first.edges_other:.2f}. Mean saturation alone "
        f"({first.saturation:.2f}) would not show it: false colours take the place of those that are lost."
    )
    if len(found) > 1:
        text += f" For {last.name} it is {_percent(last.chroma)} and {_percent(last.luma)}, "
        text += f"edges {last.edges:.2f}."
    return text


def _dull_cells(row: Dullness) -> tuple[str, ...]:
    numbers = (row.chroma, row.luma, row.saturation, row.edges)
    return row.name, *(f"{x:.2f}" for x in numbers), _span(row.edges_ci95), f"{row.edges_other:.2f}"


@dataclass(frozen=True)
class Cause:
    """What speaks for and against the causes of dull colours in a network.

    Attributes:
        name: of the network.
        best_factor: by what to multiply its chroma for the least error, and its interval.
        luma, chroma: share of the variance that is explained.
        chroma_at_lumas_shares: what of chroma would be, were each scale explained as well as luma's.
        variance_ratio: luma's variance over chroma's.
        grey_flips: share of the switches that change when the photograph turns grey.
    """

    name: str
    best_factor: float
    best_factor_ci95: Interval
    luma: float
    chroma: float
    chroma_at_lumas_shares: float
    variance_ratio: float
    grey_flips: float

    @property
    def strong_enough(self) -> bool:
        """Whether colours are about as strong as squared error wants them."""
        return abs(self.best_factor - 1) < _NEAR_ONE


def _cause(name: str, colours: Colours) -> Cause:
    factor, interval = colours.best_gain()
    luma, chroma = colours.explained_in_all().tolist()
    variance = colours.power.sum((-1, -2))
    return Cause(
        name=name,
        best_factor=factor,
        best_factor_ci95=interval,
        luma=luma,
        chroma=chroma,
        chroma_at_lumas_shares=float((colours.spectrum()[1] * colours.explained()[0]).sum()),
        variance_ratio=float(variance[0] / variance[1]),
        grey_flips=colours.grey_flips,
    )


def why_dull(evidence: Evidence) -> Claim:
    """Why do colours turn dull, which the paper could not say?"""
    found = [_cause(name, colours) for name, colours in evidence.colours.items()]
    return Claim(
        "Why do colours turn dull? (The paper: “We do not fully understand why this happens.”)",
        "Known in part" if found else NOT_MEASURED,
        _why_answer(found, evidence.colourful) if found else "It takes a network.",
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
        tuple(_why_cells(row) for row in found),
        evidence.command([*evidence.measured(), *_trained(evidence)]),
    )


def _trained(evidence: Evidence) -> list[Result]:
    """The runs that the experiment on colours rests on."""
    if evidence.colourful is None:
        return []
    return [run for row in evidence.table for run in row.runs if row.row.name == "8-8-8"]


def _why_answer(found: Sequence[Cause], colourful: tuple[Colours, Colours] | None) -> str:
    first, near = found[0], sum(row.strong_enough for row in found)
    text = (
        "The switches know less of colour than of brightness, and the decoder draws only what is known. (1) "
        f"Its colours are as strong as squared error wants them: the best factor lies within {_NEAR_ONE:g} "
        f"of 1 in {near} of {len(found)} networks. (2) {first.name} explains {_percent(first.luma)} of the "
        f"variance of luma and {_percent(first.chroma)} of chroma's; with luma's shares at each scale chroma "
        f"would come to {_percent(first.chroma_at_lumas_shares)}, so the scale is not the cause. Chroma "
        f"varies {first.variance_ratio:.1f} times less than luma, and turning a photograph grey changes "
        f"{_percent(first.grey_flips)} of its switches."
    )
    return f"{text} {'(3) was not measured here.' if colourful is None else _experiment(*colourful)}"


def _experiment(plain: Colours, colourful: Colours) -> str:
    """What came of more chroma before the encoder."""
    luma, chroma = plain.explained_in_all().tolist()
    rich_luma, rich_chroma = colourful.explained_in_all().tolist()
    text = (
        "(3) With four times the chroma before its encoder, 8-8-8 (seed 0, trained like one without) "
        f"explains {_percent(rich_chroma)} of chroma instead of {_percent(chroma)}, and "
        f"{_percent(rich_luma)} of luma instead of {_percent(luma)}: "
    )
    if rich_chroma > chroma and rich_luma < luma:
        closed = (rich_chroma - chroma) / (luma - chroma)
        return (
            f"{text}as predicted; chroma gains {_percent(closed)} of what it lacked to luma, so the "
            "strength of the signal is a part of the cause, and the rest is open."
        )
    return f"{text}the prediction failed, so the strength of the signal is not the cause."


def _why_cells(row: Cause) -> tuple[str, ...]:
    return (
        *(row.name, f"{row.best_factor:.2f}", _span(row.best_factor_ci95)),
        *(f"{x:.2f}" for x in (row.luma, row.chroma, row.chroma_at_lumas_shares)),
        *(f"{row.variance_ratio:.1f}", f"{row.grey_flips:.2f}"),
    )


def _span(interval: Interval) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
