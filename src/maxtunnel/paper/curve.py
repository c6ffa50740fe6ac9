"""RMSE against the bits of the switches: every network of Table II in one plot."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from maxtunnel.paper.canvas import BLUE, GREEN, INK, RED, style
from maxtunnel.paper.results import TableRow
from maxtunnel.paper.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Sign and colour of each series, by its name in the legend.
_LOOKS = {
    "ours, random": ("o", INK), "ours, pretrained": ("s", BLUE),
    "strong decoder, random": ("^", GREEN), "strong decoder, pretrained": ("v", GREEN),
    "paper, random": ("o", "#aaaaaa"), "paper, pretrained": ("s", "#9ecae1"),
    "snapshot, random": ("x", RED), "snapshot, pretrained": ("+", RED),
}  # fmt: skip


class Mark(NamedTuple):
    """A network in the plot; `series` is a key of `_LOOKS`, such as `paper, pretrained`."""

    series: str
    row: Row
    rmse: float


def marks_of(table: Sequence[TableRow]) -> list[Mark]:
    """The paper's, our and the authors' network of every row, and a strong one, as far as there are such."""
    marks = []
    for line in table:
        kind = "pretrained" if line.row.pretrained else "random"
        marks.append(Mark(f"paper, {kind}", line.row, line.row.rmse))
        if line.ours is not None:
            marks.append(Mark(f"ours, {kind}", line.row, line.ours.evaluation.rmse))
        if line.snapshot is not None:
            marks.append(Mark(f"snapshot, {kind}", line.row, line.snapshot.evaluation.rmse))
        if line.strong is not None:
            marks.append(Mark(f"strong decoder, {kind}", line.row, line.strong.evaluation.rmse))
    return marks


def curve(marks: Sequence[Mark]) -> "Figure":
    """RMSE against bits per pixel; our random networks by name, the others by their signs."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(6.4, 4.2))
        axis = figure.subplots()
        for number, series in enumerate(_LOOKS):
            # A little apart, or equal bits would hide one mark behind another.
            aside = 2 ** (0.07 * (number - (len(_LOOKS) - 1) / 2))
            _plot(axis, series, [mark for mark in marks if mark.series == series], aside)
        _frame(axis, sorted({mark.row.bits_per_pixel for mark in marks}))
        figure.tight_layout()
    return figure


def _plot(axis: "Axes", series: str, marks: Sequence[Mark], aside: float) -> None:
    """One series, all of its marks moved sideways by the factor `aside`."""
    if not marks:
        return
    sign, colour = _LOOKS[series]
    places = [mark.row.bits_per_pixel * aside for mark in marks]
    axis.plot(places, [mark.rmse for mark in marks], sign, color=colour, label=series, ms=5)
    if series == "ours, random":
        _name(axis, marks, places)


def _frame(axis: "Axes", bits: Sequence[float]) -> None:
    """Axes whose ticks are the bits that networks have, with room for names at the left of the first."""
    axis.set_title("Fewer switches, less of the picture: every network of Table II", fontsize=10)
    axis.set_xscale("log", base=2)
    axis.set_xlim(bits[0] / 1.6, bits[-1] * 1.36)
    axis.set_xticks(bits, [f"{each:g}" for each in bits])
    axis.set_xlabel("bits of switches per pixel and colour channel (nominal)")
    axis.set_ylabel("RMSE, pixels in [0, 1]")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)


def _name(axis: "Axes", marks: Sequence[Mark], places: Sequence[float]) -> None:
    """Names at the left of marks; of two with equal bits the upper one's above, the lower one's below."""
    for mark, place in zip(marks, places, strict=True):
        above = mark.rmse == max(m.rmse for m in marks if m.row.bits_per_pixel == mark.row.bits_per_pixel)
        axis.annotate(
            mark.row.name, (place, mark.rmse), (-6, 1 if above else -1), textcoords="offset points",
            fontsize=7, ha="right", va="bottom" if above else "top",
        )  # fmt: skip
