"""The frontier as a figure: RMSE against nominal bits, and against the bits of the files."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from maxtunnel.paper.canvas import BLUE, GREEN, INK, RED, style
from maxtunnel.paper.frontier import Frontier, Point
from maxtunnel.paper.table import ROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Sign and colour of each series: of encoders the colour, of decoders the sign.
LOOKS = {
    "random, mirrored": ("o", INK), "random, strong": ("^", INK),
    "pretrained, mirrored": ("o", BLUE), "pretrained, strong": ("^", BLUE),
    "learned, mirrored": ("o", GREEN), "learned, strong": ("^", GREEN),
    "random, mirrored, refined": ("s", INK), "random, strong, refined": ("v", INK),
    "pretrained, mirrored, refined": ("s", BLUE), "pretrained, strong, refined": ("v", BLUE),
    "learned, mirrored, refined": ("s", GREEN), "learned, strong, refined": ("v", GREEN),
    "JPEG": ("", "#999999"), "WebP": ("", RED),
}  # fmt: skip
_PAPER = "Table II of the paper"


def draw_frontier(frontier: Frontier) -> "Figure":
    """Two plots that share their RMSE: at the left nominal bits, at the right those of the files."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(9.6, 4.6))
        left, right = figure.subplots(1, 2, sharey=True)
        _series(left, frontier.points, lambda point: point.nominal)
        if frontier.beside_the_paper:
            left.plot(
                [row.bits_per_pixel for row in ROWS], [row.rmse for row in ROWS], "x", color="#aaaaaa", ms=5,
                label=_PAPER,
            )  # fmt: skip
        _series(right, frontier.points, lambda point: point.stored)
        _frame(left, "nominal: two bits a switch")
        _frame(right, "stored: whole files, headers too")
        left.set_ylabel("RMSE, pixels in [0, 1]")
        handles = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
        handles |= dict(zip(*reversed(right.get_legend_handles_labels()), strict=True))
        figure.legend(
            handles.values(), handles.keys(), loc="lower center", ncols=5, frameon=False, fontsize=8
        )
        figure.tight_layout(rect=(0, 0.1, 1, 1))
    return figure


def _series(axis: "Axes", points: Sequence[Point], bits: Callable[[Point], float | None]) -> None:
    """Every series that has such bits; files as a line, what is without any loss not at all."""
    for series, (sign, colour) in LOOKS.items():
        found = [(at, point.rmse) for point in points if point.series == series and (at := bits(point))]
        shown = sorted((at, rmse) for at, rmse in found if rmse > 0)
        if not shown:
            continue
        form = sign or "-"
        axis.plot(*zip(*shown, strict=True), form, color=colour, ms=5, lw=1.2, label=series)
    for point in points:
        if point.rmse == 0 and (at := bits(point)):
            axis.axvline(at, color=LOOKS[point.series][1], lw=0.8, ls=":")
            axis.annotate(
                point.name, (at, 1), (-3, -4), xycoords=("data", "axes fraction"),
                textcoords="offset points", fontsize=7, rotation=90, ha="right", va="top",
            )  # fmt: skip


def _frame(axis: "Axes", bits: str) -> None:
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_formatter(lambda value, _: f"{value:.3g}")
    axis.set_xlabel(f"bits per pixel and colour channel, {bits}")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
