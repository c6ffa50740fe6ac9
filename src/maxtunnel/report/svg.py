"""Plots as SVG inside a page: axes with their ticks and grid, and curves, points and marks between them.

Colours and sizes of text are attributes, which a page's style sheet may overrule by the classes `mt-grid`,
`mt-axis` and `mt-mark`.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import cycle

from maxtunnel.report.html import Html, element, joined

# The first is that of marks, in charts and beside them.
COLOURS = ("#c8501e", "#777777", "#aaaaaa", "#e0a02a", "#2a7fb8", "#3a9a5c", "#8a5cc0", "#c05c94")


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` over pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """A few round values; on a logarithmic axis powers of ten, where there are two of them."""
        if self.log:
            tens, more = (self._powers(factors) for factors in ((1,), (1, 2, 5)))
            return tens if len(tens) > 1 else more
        step = _step(self.low, self.high)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, first + 10) if n * step <= self.high + 1e-9 * step]

    def label(self, tick: float) -> str:
        """A tick in figures: on a linear axis all have as many decimals."""
        if self.log:
            return f"{tick:,.6g}"
        return f"{tick:,.{max(0, -math.floor(math.log10(_step(self.low, self.high)) + 1e-9))}f}"

    def _powers(self, factors: Collection[int]) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        found = (factor * 10.0**power for power in range(first, last + 1) for factor in factors)
        return [value for value in found if self.low <= value <= self.high]


@dataclass(frozen=True)
class Area:
    """A drawing and the margins that its axes leave, in pixels of its own."""

    width: float = 720.0
    height: float = 300.0
    left: float = 60.0
    right: float = 20.0
    top: float = 16.0
    bottom: float = 44.0

    def across(self, low: float, high: float, log: bool = False) -> Axis:
        """The axis from left to right."""
        return Axis(low, high, self.left, self.width - self.right, log)

    def up(self, low: float, high: float) -> Axis:
        """The axis from bottom to top."""
        return Axis(low, high, self.height - self.bottom, self.top)

    def drawing(self, label: str, *parts: Html) -> Html:
        """What was drawn, as one picture; `label` is told to those who do not see it."""
        return element(
            "svg", *parts, viewBox=f"0 0 {self.width:g} {self.height:g}", role="img", aria_label=label
        )


def round_limits(values: Collection[float]) -> tuple[float, float]:
    """The nearest ticks around some values: an axis from the one to the other has ticks at both its ends."""
    low, high = min(values), max(values)
    while True:
        step = _step(low, high)
        limits = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        # Wider limits may ask for larger steps.
        if _step(*limits) == step:
            return limits
        low, high = limits


def apart(values: Collection[float], axis: Axis, pixels: float = 48.0) -> list[float]:
    """Values in order, without those nearer than so many pixels to the one before."""
    kept: list[float] = []
    for value in sorted(set(values)):
        if not kept or abs(axis(value) - axis(kept[-1])) >= pixels:
            kept.append(value)
    return kept


def curves(lines: Sequence[tuple[str, Sequence[tuple[float, float]]]], x_name: str, y_name: str) -> Html:
    """A line for each (name, points), with the names below; x, which is positive, runs logarithmically."""
    found, area = [point for _, line in lines for point in line], Area()
    x = area.across(min(p[0] for p in found), max(p[0] for p in found), log=True)
    y = area.up(0.0, max(p[1] for p in found))
    drawn, names = [frame(area, x, y, x_name, y_name)], []
    for (name, line), colour in zip(lines, cycle(COLOURS)):
        path = " ".join(f"{x(where):.1f},{y(value):.1f}" for where, value in line)
        drawn.append(element("polyline", fill="none", stroke=colour, stroke_width=2, points=path))
        names.append(element("span", element("b", "—", style=f"color:{colour}"), f" {name}"))
    legend = element("p", joined(*names, between=" \N{NO-BREAK SPACE} "), class_="mt-names")
    return joined(area.drawing(f"{y_name} against {x_name}", *drawn), legend)


def points(found: Sequence[tuple[str, float, float]], x_name: str, y_name: str) -> Html:
    """A numbered point for each (name, x, y), with the names below."""
    area = Area()
    x = area.across(min(0.0, *(p[1] for p in found)), max(p[1] for p in found) or 1.0)
    y = area.up(0.0, max(p[2] for p in found))
    drawn = [frame(area, x, y, x_name, y_name)]
    for number, (_, a, b) in enumerate(found, 1):
        drawn.append(mark(x(a), y(b), size=4.0, fill=COLOURS[0]))
        drawn.append(text(x(a) + 7, y(b) + 4 + 13 * (number % 2), str(number), "start"))
    names = "; ".join(f"{number} {name}" for number, (name, _, _) in enumerate(found, 1))
    return joined(area.drawing(f"{y_name} against {x_name}", *drawn), element("p", names, class_="mt-names"))


def frame(
    area: Area, x: Axis, y: Axis, x_name: str, y_name: str, columns: Sequence[float] | None = None
) -> Html:
    """Grid, ticks, and the names of both axes.

    Args:
        area: what they stand in.
        x, y: the axes.
        x_name, y_name: what stands beside them.
        columns: ticks of x that get a line of the grid each; without any, x has an axis and round ticks.
    """
    left, right, top, bottom = x.start, x.end, y.end, y.start
    lines = [f"M{left:g} {y(value):.1f}H{right:g}" for value in y.ticks()]
    lines += [f"M{x(value):.1f} {top:g}V{bottom:g}" for value in columns or ()]
    axes = f"M{left:g} {top:g}V{bottom:g}H{right:g}"
    middle = (top + bottom) / 2
    return joined(
        _path("mt-grid", "".join(lines), opacity=0.2),
        _path("mt-axis", axes) if columns is None else "",
        *(text(x(v), bottom + 18, x.label(v)) for v in (x.ticks() if columns is None else columns)),
        *(text(left - 7, y(value) + 4, y.label(value), "end") for value in y.ticks()),
        text((left + right) / 2, area.height - 8, x_name),
        element("g", text(14.0, middle + 4, y_name), transform=f"rotate(-90 14 {middle:g})"),
    )


def mark(
    x: float, y: float, *, square: bool = False, size: float = 5.0, about: str = "", classes: str = "",
    fill: str | None = None,
) -> Html:  # fmt: skip
    """A circle or a square around a place, `size` to each side; `about` is shown when it is pointed at."""
    title = [element("title", about)] if about else []
    classes = f"mt-mark {classes}".rstrip()
    if not square:
        place = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{size:g}"}
        return element("circle", *title, class_=classes, fill=fill, **place)
    corner = {
        "x": f"{x - size:.1f}",
        "y": f"{y - size:.1f}",
        "width": f"{2 * size:g}",
        "height": f"{2 * size:g}",
    }
    return element("rect", *title, class_=classes, fill=fill, **corner)


def text(x: float, y: float, content: str, anchor: str = "middle") -> Html:
    """A line of text whose start, middle or end stands at a place."""
    return element(
        "text", content, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, fill="currentColor", font_size=12
    )


def _path(classes: str, path: str, opacity: float | None = None) -> Html:
    return element("path", class_=classes, fill="none", stroke="currentColor", stroke_opacity=opacity, d=path)


def _step(low: float, high: float) -> float:
    """A round step that goes at most seven times from low to high."""
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span))
    return next(power * factor for factor in (0.2, 0.5, 1.0, 2.0) if span / (power * factor) <= 7 + 1e-9)
