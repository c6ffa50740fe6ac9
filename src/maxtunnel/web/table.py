"""The fourth tab: the networks that ship, as measured, beside the paper's: a table and the rate plot."""

import math
from dataclasses import dataclass
from html import escape

from maxtunnel.paper.table import ROWS
from maxtunnel.report.svg import Axis
from maxtunnel.zoo.names import Shipped, list_shipped

WIDTH, HEIGHT = 720.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 76.0, 18.0, 14.0, 56.0
_EXPLANATION = """
More filters mean more switches and a better picture: the error falls as the bits rise. *Random* encoders
were never trained; *pretrained* ones learnt to tell classes apart first. The paper's numbers were measured
on photographs of ImageNet, ours on {measured_on}; so compare the order of the networks
rather than single digits. Bits are per pixel and colour channel at 128×128. Marks of equal bits are set a
little apart. Press a column's head to sort by it.
"""


@dataclass(frozen=True)
class Line:
    """A network that ships, and what the paper says of its like; None where Table II has no such row."""

    shipped: Shipped
    paper_rmse: float | None

    @property
    def pretrained(self) -> bool:
        """Whether its encoder was pretrained."""
        return self.shipped.name.endswith("-pretrained")


def lines() -> list[Line]:
    """Every network in the package, fewest bits first: what `maxtunnel models` lists, and the paper."""
    paper = {row.name: row.rmse for row in ROWS}
    return [Line(entry, paper.get(entry.name)) for entry in list_shipped()]


def labels() -> list[tuple[str, str]]:
    """What a chooser of networks shows for each, and its name."""
    return [
        (f"{entry.name}   ({entry.bits_per_pixel:.4g} bits, RMSE {entry.rmse:.3f})", entry.name)
        for entry in list_shipped()
    ]


def most_channels() -> int:
    """Filters of the widest level of any network that ships."""
    return max(max(entry.architecture.widths) for entry in list_shipped())


def favourite() -> str:
    """The network that the page starts with."""
    names = [entry.name for entry in list_shipped()]
    return "16-16-16" if "16-16-16" in names else names[-1]


def explanation() -> str:
    """What the table shows, in Markdown."""
    places = dict.fromkeys(entry.measured_on for entry in list_shipped())
    return _EXPLANATION.format(measured_on=", ".join(places))


def show() -> str:
    """The plot, its legend, and the table."""
    found = lines()
    return f"{_plot(found)}{_legend()}{_table(found)}"


def _table(found: list[Line]) -> str:
    columns = (
        ("network", "Filters per block, outermost first", ""),
        ("encoder", "Random, or pretrained for classification", ""),
        ("bits", "Nominal: two a switch, per pixel and colour channel", "mt-number"),
        ("stored", "Of a switch file without loss, where it was measured", "mt-number"),
        ("RMSE", "Of this package's network; lower is better", "mt-number"),
        ("RMSE, paper", "In Table II, on the paper's own photographs", "mt-number"),
        ("parameters", "Of encoder and decoder", "mt-number"),
    )
    head = "".join(
        f'<th scope="col" class="{classes}"><button type="button" title="{escape(note)}" '
        f'onclick="maxtunnelSort(this)">{escape(name)}</button></th>'
        for name, note, classes in columns
    )
    body = "".join(f"<tr>{''.join(_cells(line))}</tr>" for line in found)
    return (
        f'<div class="mt-wide" tabindex="0" role="region" aria-label="Table II"><table class="mt-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(line: Line) -> list[str]:
    entry = line.shipped
    return [
        f'<th scope="row" data-key="{sum(entry.architecture.widths)}">{entry.architecture}</th>',
        f"<td>{'pretrained' if line.pretrained else 'random'}</td>",
        _number(entry.bits_per_pixel, ".4g"),
        _number(entry.stored_bits_per_pixel, ".3f"),
        _number(entry.rmse, ".4f", "mt-best"),
        _number(line.paper_rmse, ".4f"),
        _number(entry.parameters, ",d"),
    ]


def _number(value: int | float | None, form: str, classes: str = "") -> str:
    text = "–" if value is None else format(value, form)
    key = math.inf if value is None else value
    return f'<td class="mt-number {classes}" data-key="{key}">{text}</td>'


def _plot(found: list[Line]) -> str:
    """RMSE against nominal bits: ours filled, the paper's hollow; a circle is random, a square pretrained."""
    x = Axis(1.1, 17.0, LEFT, WIDTH - RIGHT, log=True)
    y = Axis(0.04, 0.18, HEIGHT - BOTTOM, TOP)
    marks = []
    for row in ROWS:
        about = f"{row.name}, paper: {row.rmse:.4f}"
        marks.append(_mark(x(row.bits_per_pixel * 1.04), y(row.rmse), row.pretrained, about, "mt-hollow"))
    random = [line.shipped for line in found if not line.pretrained]
    for line in found:
        entry = line.shipped
        about = f"{entry.name}, ours: {entry.rmse:.4f}"
        place = x(entry.bits_per_pixel / 1.04), y(entry.rmse)
        marks.append(_mark(*place, line.pretrained, about, "mt-filled"))
        if not line.pretrained:
            # Of two with equal bits, the upper one's name stands above, the lower one's below.
            upper = entry.rmse == max(e.rmse for e in random if e.bits_per_pixel == entry.bits_per_pixel)
            marks.append(_text(place[0] - 9, place[1] + (-3 if upper else 12), entry.name, "end"))
    label = "RMSE against nominal bits per pixel and colour channel"
    return (
        f'<div class="mt-plot"><svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">'
        f"{_grid(x, y)}{''.join(marks)}</svg></div>"
    )


def _grid(x: Axis, y: Axis) -> str:
    drawn = []
    for value in (0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18):
        drawn.append(f'<path class="mt-grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        drawn.append(_text(LEFT - 8, y(value) + 4, f"{value:.2f}", "end"))
    for value in (1.75, 3.5, 7.0, 14.0):
        drawn.append(f'<path class="mt-grid" d="M{x(value):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        drawn.append(_text(x(value), HEIGHT - BOTTOM + 20, f"{value:g}", "middle"))
    drawn.append(
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "nominal bits per pixel and channel", "middle")
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    drawn.append(f'<g transform="rotate(-90 14 {middle:g})">{_text(14.0, middle + 4, "RMSE", "middle")}</g>')
    return "".join(drawn)


def _mark(x: float, y: float, square: bool, about: str, classes: str) -> str:
    title = f"<title>{escape(about)}</title>"
    if square:
        return (
            f'<rect class="{classes}" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10">{title}</rect>'
        )
    return f'<circle class="{classes}" cx="{x:.1f}" cy="{y:.1f}" r="5.5">{title}</circle>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend() -> str:
    sign = '<svg viewBox="0 0 14 14" aria-hidden="true">{}</svg>'
    entries = (
        (False, "mt-filled", "ours, random encoder"),
        (True, "mt-filled", "ours, pretrained encoder"),
        (False, "mt-hollow", "paper, random encoder"),
        (True, "mt-hollow", "paper, pretrained encoder"),
    )
    items = (
        f"<li>{sign.format(_mark(7.0, 7.0, square, text, classes))}{text}</li>"
        for square, classes, text in entries
    )
    return f'<ul class="mt-legend mt-signs">{"".join(items)}</ul>'
