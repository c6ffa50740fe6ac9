"""The fourth tab: the networks that ship, as measured, beside the paper's: a table and the rate plot."""

from dataclasses import dataclass

from maxtunnel.paper.table import ROWS
from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, element, joined, number, table
from maxtunnel.web.networks import MEAN_RMSE, encoders, strong_of
from maxtunnel.zoo.names import Shipped, list_shipped

_AREA = svg.Area(height=380.0, left=76.0, right=18.0, top=14.0, bottom=56.0)
# Of the plot, at both ends: names stand to the left of their marks.
_BEFORE, _AFTER = 1.6, 1.2
_LINE = 12  # of text, in pixels
_ASIDE = 1.04  # marks of equal bits: ours to the left by this factor, the paper's to the right
_COLUMNS = (
    ("network", "Filters per block, outermost first", ""),
    ("encoder", "Random, pretrained for classification, or learned with its decoder", ""),
    ("bits", "Nominal: two a switch, per pixel and colour channel", "mt-number"),
    ("stored", "Of a switch file without loss, where it was measured", "mt-number"),
    ("RMSE", "Of the paper's decoder as trained for this package; lower is better", "mt-number"),
    ("RMSE, strong", "Of the strong decoder of the same switches, where one ships", "mt-number"),
    ("RMSE, paper", "In Table II, on the paper's own photographs", "mt-number"),
    ("parameters", "Of the encoder and its decoder, the paper's where it has that one", "mt-number"),
)
_EXPLANATION = """
More filters mean more switches and a better picture: the error falls as the bits rise. The *mean image*, in
the last row, is what is painted without any switch. The *strong* decoder is given the same switches as the
paper's, and reads all levels before it draws anything: what the paper's fails to paint may be in the
switches. *Random* encoders were never trained; *pretrained* ones learnt to tell classes apart first;
*learned* ones learnt, with a strong decoder, what to tell it. The paper's numbers were measured on
photographs of ImageNet, ours on {measured_on}{strong}; so compare the order of the networks rather than
single digits.
Bits are per pixel and colour channel at 128×128. Marks of equal bits are set a little apart. Press a column's
head to sort by it.
"""


@dataclass(frozen=True)
class Line:
    """An encoder that ships.

    Attributes:
        shipped: the network with the paper's decoder, or where the encoder learned, with its own.
        strong: that with a strong one, which may be the same; None where none ships.
        paper_rmse: what the paper says of its like; None where Table II has no such row.
    """

    shipped: Shipped
    strong: Shipped | None
    paper_rmse: float | None

    @property
    def pretrained(self) -> bool:
        """Whether its encoder was pretrained."""
        return self.shipped.encoder == "pretrained"

    @property
    def rmse(self) -> float | None:
        """What the paper's decoder reaches; None where the encoder has learned with another."""
        return self.shipped.rmse if self.shipped.decoder == "mirrored" else None


def lines() -> list[Line]:
    """Every encoder in the package, fewest bits first: what `maxtunnel models` lists, and the paper."""
    paper, found = {row.name: row.rmse for row in ROWS}, {entry.name: entry for entry in list_shipped()}
    return [
        Line(entry, found.get(strong_of(entry.name) or ""), paper.get(entry.name)) for entry in encoders()
    ]


def explanation() -> str:
    """What the table shows, in Markdown."""
    places, strong = (
        ", ".join(dict.fromkeys(entry.measured_on for entry in list_shipped() if entry.decoder == kind))
        for kind in ("mirrored", "strong")
    )
    beside = f" (strong decoders on {strong})" if strong not in ("", places) else ""
    return _EXPLANATION.format(measured_on=places, strong=beside)


def show() -> Html:
    """The plot, its legend, and the table."""
    found = lines()
    return joined(
        _plot(found),
        _legend(),
        table([_head(*column) for column in _COLUMNS], [*map(_cells, found), _mean_cells()], "Table II"),
    )


def _head(name: str, note: str, classes: str) -> Cell:
    button = element("button", name, type="button", title=note, onclick="maxtunnelSort(this)")
    return Cell(button, classes=classes)


def _mean_cells() -> list[Cell]:
    """The mean image as the last row: what the errors above it are to be compared with."""
    # Of the first column's key, the filters, it has none, and of bits it needs none.
    unknown = [number(None, "") for _ in range(3)]
    name, encoder = Cell("mean image", key=0), Cell("none")
    return [name, encoder, number(0, "d"), number(0, ".3f"), number(MEAN_RMSE, ".4f"), *unknown]


def _cells(line: Line) -> list[Cell]:
    entry = line.shipped
    return [
        Cell("-".join(map(str, entry.architecture.widths)), key=sum(entry.architecture.widths)),
        Cell(entry.encoder),
        number(entry.bits_per_pixel, ".4g"),
        number(entry.stored_bits_per_pixel, ".3f"),
        number(line.rmse, ".4f", classes="mt-best"),
        number(None if line.strong is None else line.strong.rmse, ".4f", classes="mt-read"),
        number(line.paper_rmse, ".4f"),
        number(entry.parameters, ",d"),
    ]


def _plot(found: list[Line]) -> Html:
    """RMSE against nominal bits: ours filled, the paper's hollow; a circle is random, a square pretrained.

    A diamond is a strong decoder.
    """
    bits = {*(row.bits_per_pixel for row in ROWS), *(line.shipped.bits_per_pixel for line in found)}
    errors = {*(row.rmse for row in ROWS), *(line.shipped.rmse for line in found)}
    errors |= {line.strong.rmse for line in found if line.strong is not None}
    x = _AREA.across(min(bits) / _BEFORE, max(bits) * _AFTER, log=True)
    y = _AREA.up(*svg.round_limits(errors))
    marks, learned = [], 0
    for row in ROWS:
        about = f"{row.name}, paper: {row.rmse:.4f}"
        marks.append(_mark(x(row.bits_per_pixel * _ASIDE), y(row.rmse), row.pretrained, "mt-hollow", about))
    for line in found:
        entry = line.shipped
        place = x(entry.bits_per_pixel / _ASIDE), y(entry.rmse)
        if line.strong is not None:
            marks.append(_diamond(place[0], y(line.strong.rmse), _told(line.strong)))
        if line.rmse is None:
            # Their errors are alike: each name below its mark stands a line lower than the one before it.
            marks.append(svg.text(place[0], place[1] + 18 + _LINE * learned, entry.name))
            learned += 1
            continue
        marks.append(_mark(*place, line.pretrained, "mt-filled", _told(entry)))
        if not line.pretrained:
            down = -3 if _is_upper(line, found) else 12
            marks.append(svg.text(place[0] - 9, place[1] + down, entry.name, "end"))
    frame = svg.frame(_AREA, x, y, "nominal bits per pixel and channel", "RMSE", columns=svg.apart(bits, x))
    label = "RMSE against nominal bits per pixel and colour channel"
    return element("div", _AREA.drawing(label, frame, *marks), class_="mt-plot")


def _told(entry: Shipped) -> str:
    return f"{entry.name}, ours: {entry.rmse:.4f}"


def _is_upper(line: Line, found: list[Line]) -> bool:
    """Whether no random network of as many bits lies above: its name then stands above its mark."""
    bits = line.shipped.bits_per_pixel
    return line.shipped.rmse == max(
        other.rmse or 0.0 for other in found if not other.pretrained and other.shipped.bits_per_pixel == bits
    )


def _mark(x: float, y: float, pretrained: bool, classes: str, about: str = "") -> Html:
    # A circle of this radius looks as large as the square.
    return svg.mark(x, y, square=pretrained, size=5.0 if pretrained else 5.5, classes=classes, about=about)


def _diamond(x: float, y: float, about: str = "") -> Html:
    turned = f"rotate(45 {x:.1f} {y:.1f})"
    return element(
        "g", svg.mark(x, y, square=True, size=4.5, classes="mt-strong", about=about), transform=turned
    )


def _legend() -> Html:
    entries = (
        (_mark(7.0, 7.0, False, "mt-filled"), "ours, random encoder"),
        (_mark(7.0, 7.0, True, "mt-filled"), "ours, pretrained encoder"),
        (_diamond(7.0, 7.0), "ours, strong decoder"),
        (_mark(7.0, 7.0, False, "mt-hollow"), "paper, random encoder"),
        (_mark(7.0, 7.0, True, "mt-hollow"), "paper, pretrained encoder"),
    )
    items = (
        element("li", element("svg", mark, viewBox="0 0 14 14", aria_hidden="true"), name)
        for mark, name in entries
    )
    return element("ul", *items, class_="mt-legend mt-signs")
