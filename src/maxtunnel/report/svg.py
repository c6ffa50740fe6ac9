"""Two charts as inline SVG: lines for training curves, points for leak against bits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle

WIDTH, HEIGHT = 720.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 20.0, 16.0, 44.0
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
        """About five round values."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            return [10.0**e for e in range(first, last + 1) if self.low <= 10.0**e <= self.high]
        step = 10 ** math.floor(math.log10((self.high - self.low) or 1))
        step = next(step * f for f in (0.2, 0.5, 1, 2) if (self.high - self.low) / (step * f) <= 6)
        first = math.ceil(self.low / step)
        return [float(n * step) for n in range(first, first + 10) if n * step <= self.high + 1e-9]


def curves(lines: Sequence[tuple[str, Sequence[tuple[int, float]]]], x_name: str, y_name: str) -> str:
    """A line for each (name, points); steps run logarithmically."""
    found = [point for _, line in lines for point in line]
    x = Axis(float(min(p[0] for p in found)), float(max(p[0] for p in found)), LEFT, WIDTH - RIGHT, log=True)
    y = Axis(0.0, max(p[1] for p in found), HEIGHT - BOTTOM, TOP)
    drawn, legend = [_frame(x, y, x_name, y_name)], []
    for (name, line), colour in zip(lines, cycle(COLOURS)):
        path = " ".join(f"{x(float(step)):.1f},{y(value):.1f}" for step, value in line)
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        legend.append(f'<span><b style="color:{colour}">&mdash;</b> {escape(name)}</span>')
    return f'{_svg(drawn, f"{y_name} against {x_name}")}<p class="legend">{" &nbsp; ".join(legend)}</p>'


def points(found: Sequence[tuple[str, float, float]], x_name: str, y_name: str) -> str:
    """A numbered point for each (name, x, y), with the names below."""
    x = Axis(min(0.0, *(p[1] for p in found)), max(p[1] for p in found) or 1.0, LEFT, WIDTH - RIGHT)
    y = Axis(0.0, max(p[2] for p in found), HEIGHT - BOTTOM, TOP)
    drawn, legend = [_frame(x, y, x_name, y_name)], []
    for number, (name, a, b) in enumerate(found, 1):
        drawn.append(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4" fill="{COLOURS[0]}"/>')
        drawn.append(_text(x(a) + 7, y(b) + 4 + 13 * (number % 2), str(number), "start"))
        legend.append(f"{number} {escape(name)}")
    return f'{_svg(drawn, f"{y_name} against {x_name}")}<p class="legend">{"; ".join(legend)}</p>'


def _frame(x: Axis, y: Axis, x_name: str, y_name: str) -> str:
    """Axes, ticks and their names."""
    lines = [f"M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" for value in y.ticks()]
    return "".join(
        [
            f'<path fill="none" stroke="currentColor" stroke-opacity="0.2" d="{"".join(lines)}"/>',
            f'<path fill="none" stroke="currentColor" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
            *(_text(x(value), HEIGHT - BOTTOM + 16, f"{value:,.6g}") for value in x.ticks()),
            *(_text(LEFT - 6, y(value) + 4, f"{value:.6g}", "end") for value in y.ticks()),
            _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_name),
            f'<g transform="rotate(-90 14 {HEIGHT / 2:g})">{_text(14.0, HEIGHT / 2, y_name)}</g>',
        ]
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" font-size="12">'
        f"{escape(text)}</text>"
    )


def _svg(parts: list[str], label: str) -> str:
    box = f"0 0 {WIDTH:g} {HEIGHT:g}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
