"""What the paper says of colours: edges survive and colours turn dull; how far, why, and for which reader.

Numbers are measured first, verdicts come from the numbers, and only then is anything rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maxtunnel.evaluation.intervals import Interval, above, bootstrap, span
from maxtunnel.paper.colours import Colours
from maxtunnel.paper.evidence import Claim, Evidence
from maxtunnel.paper.jobs import CHROMA, COLOURFUL
from maxtunnel.paper.readings import DECODERS, READERS, SHORT, Item, Reading
from maxtunnel.paper.results import Result
from maxtunnel.paper.verdicts import not_measured
from maxtunnel.support.choices import DecoderKind

_EDGES_SURVIVE = 0.5  # correlation above which edges are said to survive
_NEAR_ONE = 0.1  # how near to 1 the best factor lies if colours are not drawn too weakly
_NEEDED = "It takes a network."


@dataclass(frozen=True)
class Dullness:
    """How much of colours and edges comes back through a network.

    Attributes:
        name: of the network.
        chroma, luma: strength in the reconstruction; 1 is full strength.
        weaker_by_ci95: luma's strength less chroma's.
        saturation: median over photographs of mean chroma over the original's.
        edges: mean correlation of gradient magnitudes of luma with the original's.
        edges_ci95: bootstrap interval of that mean over photographs.
        edges_other: the same with another photograph's reconstruction.
    """

    name: str
    chroma: float
    luma: float
    weaker_by_ci95: Interval
    saturation: float
    edges: float
    edges_ci95: Interval
    edges_other: float

    @property
    def colours_are_dull(self) -> bool | None:
        """Whether colour surely comes back weaker than brightness, or surely not; else None."""
        return above(self.weaker_by_ci95)

    @property
    def edges_survive(self) -> bool | None:
        """Whether edges surely agree with the original's more than half, or surely not; else None."""
        return above(self.edges_ci95, _EDGES_SURVIVE)

    @property
    def holds(self) -> bool | None:
        """Whether edges survive while colours turn dull."""
        parts = (self.colours_are_dull, self.edges_survive)
        return False if False in parts else None if None in parts else True


def _dullness(name: str, colours: Colours) -> Dullness:
    luma, chroma = colours.returned().tolist()
    return Dullness(
        name=name,
        chroma=chroma,
        luma=luma,
        weaker_by_ci95=colours.colour_weaker_by(),
        saturation=float(colours.saturation.median()),
        edges=float(colours.edges.mean()),
        edges_ci95=bootstrap(colours.edges),
        edges_other=float(colours.edges_other.mean()),
    )


def dull_colours(evidence: Evidence) -> Claim:
    """Do edges survive while colours turn dull?"""
    found = {
        reader: [_dullness(name, colours) for name, colours in evidence.measured[reader].colours.items()]
        for reader in READERS
    }
    return Claim(
        "With few filters, do edges survive while colours turn dull?",
        "Edges survive while colours turn dull",
        tuple(_dull_reading(reader, rows, evidence.switches(reader)) for reader, rows in found.items()),
        f"On {evidence.measured_on:,} photographs drawn by seed. Strength: slope of the reconstruction "
        "on the original, both less the mean image, for chroma and for luma (1 is full strength). It is "
        "weaker where luma's strength less chroma's is above 0 with all of its bootstrap interval over "
        "photographs. Saturation: median over photographs of mean chroma over the original's. Edges: "
        "correlation of gradient magnitudes of luma, with a bootstrap interval over photographs, and for "
        "control the same with another photograph's reconstruction.",
        (
            *("reader", "network", "chroma strength", "luma strength", "chroma weaker by, 95 %"),
            *("saturation", "edges", "95 %", "edges, another's"),
        ),
        tuple((SHORT[reader], *_dull_cells(row)) for reader, rows in found.items() for row in rows),
        evidence.command(evidence.results()),
    )


def _dull_reading(reader: DecoderKind, found: Sequence[Dullness], switches: Mapping[str, str]) -> Reading:
    if not found:
        return not_measured(reader, _NEEDED)
    holds = [row.holds for row in found]
    verdict = "Yes" if all(holds) else "In part"
    return Reading(
        reader,
        verdict,
        _dull_answer(found),
        {
            row.name: Item(row.holds, False, row.luma - row.chroma, switches.get(row.name, ""))
            for row in found
        },
    )


def _dull_answer(found: Sequence[Dullness]) -> str:
    first, last = found[0], found[-1]
    weaker = sum(row.colours_are_dull is True for row in found)
    text = (
        f"{_percent(first.chroma)} of the original's colour and {_percent(first.luma)} of its brightness "
        f"come back through {first.name}; colour surely comes back weaker than brightness in {weaker} of "
        f"{len(found)} networks. Its edges agree with the original's at a correlation of {first.edges:.2f}; "
        f"another photograph's reconstruction reaches {first.edges_other:.2f}."
    )
    if first.saturation > first.chroma:
        text += (
            f" Mean saturation alone ({first.saturation:.2f}) would not show it: false colours take the "
            "place of those that are lost."
        )
    if len(found) > 1:
        text += f" For {last.name} it is {_percent(last.chroma)} and {_percent(last.luma)}, "
        text += f"edges {last.edges:.2f}."
    return text


def _dull_cells(row: Dullness) -> tuple[str, ...]:
    return (
        *(row.name, f"{row.chroma:.2f}", f"{row.luma:.2f}", span(row.weaker_by_ci95, ".3f")),
        *(f"{row.saturation:.2f}", f"{row.edges:.2f}", span(row.edges_ci95, ".2f"), f"{row.edges_other:.2f}"),
    )


@dataclass(frozen=True)
class Cause:
    """What speaks for and against the causes of dull colours in a network.

    Attributes:
        name: of the network.
        best_factor: the factor on the chroma of its reconstructions that gives the least error.
        best_factor_ci95: bootstrap interval of that factor over photographs.
        luma, chroma: share of the variance that is explained.
        less_by_ci95: luma's share less chroma's.
        chroma_at_lumas_shares: the share of chroma's variance that would be explained if chroma were
            explained at each scale as well as luma is.
        variance_ratio: luma's variance over chroma's.
        grey_flips: share of the switches that change when the photograph turns grey.
    """

    name: str
    best_factor: float
    best_factor_ci95: Interval
    luma: float
    chroma: float
    less_by_ci95: Interval
    chroma_at_lumas_shares: float
    variance_ratio: float
    grey_flips: float

    @property
    def strong_enough(self) -> bool:
        """Whether colours are about as strong as squared error wants them."""
        return abs(self.best_factor - 1) < _NEAR_ONE

    @property
    def less_is_read(self) -> bool | None:
        """Whether surely less is explained of colour than of brightness, or surely not; else None."""
        return above(self.less_by_ci95)


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
        less_by_ci95=colours.colour_less_explained_by(),
        chroma_at_lumas_shares=float((colours.spectrum()[1] * colours.explained()[0]).sum()),
        variance_ratio=float(variance[0] / variance[1]),
        grey_flips=colours.grey_flips,
    )


def why_dull(evidence: Evidence) -> Claim:
    """Why do colours turn dull, which the paper could not say?"""
    found = {
        reader: [_cause(name, colours) for name, colours in evidence.measured[reader].colours.items()]
        for reader in READERS
    }
    return Claim(
        "Why do colours turn dull? (The paper: “We do not fully understand why this happens.”)",
        "Less is read of colour than of brightness",
        tuple(
            _why_reading(reader, rows, evidence.measured[reader].colourful, evidence.switches(reader))
            for reader, rows in found.items()
        ),
        "What a reader does not explain may still be in the switches: only what the strong decoder reads no "
        "better is a fact about them as far as is known. Less is read where luma's explained share less "
        "chroma's is above 0 with all of its bootstrap interval over photographs. "
        "Three predictions, each of which could have failed. (1) If the decoder merely drew colours too "
        "weakly, more chroma in its output would lower the error: the best factor would lie above 1. (2) "
        "If chroma suffered for lying in other patterns than luma (blocks of 16 pixels, of 4, and finer), "
        "then with luma's explained share at each scale it would be explained no better than it is. (3) If "
        "switches follow luma because luma varies more, an encoder that sees chroma "
        f"{CHROMA:g} times as strong (a linear map before its first layer; seed, recipe and the rest the "
        "same) gives switches that explain more of the chroma and less of the luma.",
        (
            *("reader", "network", "best factor", "95 %", "luma explained", "chroma explained"),
            *("chroma less by, 95 %", "chroma at luma's shares", "variance, luma : chroma"),
            "switches that grey changes",
        ),
        tuple((SHORT[reader], *_why_cells(row)) for reader, rows in found.items() for row in rows),
        evidence.command([*evidence.results(), *_trained(evidence)]),
    )


def _trained(evidence: Evidence) -> list[Result]:
    """The runs that the experiment on colours rests on."""
    return [
        run
        for reader in READERS
        if evidence.measured[reader].colourful is not None
        for line in evidence.rows(reader)
        for run in line.runs
        if line.row == COLOURFUL
    ]


def _why_reading(
    reader: DecoderKind,
    found: Sequence[Cause],
    colourful: tuple[Colours, Colours] | None,
    switches: Mapping[str, str],
) -> Reading:
    if not found:
        return not_measured(reader, _NEEDED)
    items = {
        row.name: Item(row.less_is_read, False, row.luma - row.chroma, switches.get(row.name, ""))
        for row in found
    }
    less = sum(item.holds is True for item in items.values())
    return Reading(
        reader,
        "Known in part" if less else "It reads no less of colour",
        f"{_why_answer(reader, found, less)} {_experiment(colourful)}",
        items,
    )


def _why_answer(reader: DecoderKind, found: Sequence[Cause], less: int) -> str:
    first, near = found[0], sum(row.strong_enough for row in found)
    scale = "is not" if first.chroma_at_lumas_shares > first.chroma else "may be"
    return (
        f"{DECODERS[reader].capitalize()} surely reads less of colour than of brightness in {less} of "
        f"{len(found)} networks. (1) Its colours are as strong as squared error wants them in {near} of "
        f"{len(found)}: the best factor lies within {_NEAR_ONE:g} of 1. (2) Of {first.name} it explains "
        f"{_percent(first.luma)} of the variance of luma and {_percent(first.chroma)} of chroma's; with "
        f"luma's shares at each scale chroma would come to {_percent(first.chroma_at_lumas_shares)}, so the "
        f"scale {scale} the cause. Chroma varies {first.variance_ratio:.1f} times less than luma, and "
        f"turning a photograph grey changes {_percent(first.grey_flips)} of its switches."
    )


def _experiment(pair: tuple[Colours, Colours] | None) -> str:
    """What came of more chroma before the encoder."""
    if pair is None:
        return "(3) was not measured here."
    (luma, chroma), (rich_luma, rich_chroma) = (one.explained_in_all().tolist() for one in pair)
    text = (
        f"(3) With {CHROMA:g} times the chroma before its encoder, {COLOURFUL.name} (seed 0, trained like "
        "one without) "
        f"explains {_percent(rich_chroma)} of chroma instead of {_percent(chroma)}, and "
        f"{_percent(rich_luma)} of luma instead of {_percent(luma)}: "
    )
    if not (rich_chroma > chroma and rich_luma < luma):
        return f"{text}the prediction failed, so the strength of the signal is not the cause."
    if luma <= chroma:
        return f"{text}as predicted, though chroma lacked nothing to luma."
    closed = (rich_chroma - chroma) / (luma - chroma)
    return (
        f"{text}as predicted; chroma gains {_percent(closed)} of what it lacked to luma, so the strength of "
        "the signal is a part of the cause, and the rest is open."
    )


def _why_cells(row: Cause) -> tuple[str, ...]:
    return (
        *(row.name, f"{row.best_factor:.2f}", span(row.best_factor_ci95, ".2f")),
        *(f"{row.luma:.2f}", f"{row.chroma:.2f}", span(row.less_by_ci95, ".3f")),
        *(f"{row.chroma_at_lumas_shares:.2f}", f"{row.variance_ratio:.1f}", f"{row.grey_flips:.2f}"),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
