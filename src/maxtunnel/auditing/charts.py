"""Two charts as inline SVG: lines for training curves, points for leak against bits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 16, 44


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
        return [n * step for n in range(first, first + 10) if n * step <= self.high + 1e-9]


def curves(lines: Sequence[tuple[str, Sequence[tuple[int, float]]]], x_name: str, y_name: str) -> str:
    """A line for each (name, points); steps run logarithmically."""
    points = [point for _, line in lines for point in line]
    x = Axis(min(p[0] for p in points), max(p[0] for p in points), LEFT, WIDTH - RIGHT, log=True)
    y = Axis(0, max(p[1] for p in points), HEIGHT - BOTTOM, TOP)
    drawn = [_frame(x, y, x_name, y_name)]
    for number, (name, line) in enumerate(lines):
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in line)
        drawn.append(
            f'<polyline class="c{number % 8}" points="{path}"><title>{escape(name)}</title></polyline>'
        )
    legend = " ".join(
        f'<span class="key c{number % 8}">{escape(name)}</span>' for number, (name, _) in enumerate(lines)
    )
    return f'{_svg(drawn, f"{y_name} against {x_name}")}<p class="legend">{legend}</p>'


def points(found: Sequence[tuple[str, float, float]], x_name: str, y_name: str) -> str:
    """A numbered point for each (name, x, y), with the names below."""
    x = Axis(0, max(p[1] for p in found) or 1, LEFT, WIDTH - RIGHT)
    y = Axis(0, max(p[2] for p in found), HEIGHT - BOTTOM, TOP)
    drawn = [_frame(x, y, x_name, y_name)]
    for number, (name, a, b) in enumerate(found, 1):
        drawn.append(
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4"><title>{escape(name)}</title></circle>'
            f'<text x="{x(a) + 7:.1f}" y="{y(b) + 4 + 12 * (number % 2):.1f}">{number}</text>'
        )
    names = " ".join(f"{number} {escape(name)};" for number, (name, _, _) in enumerate(found, 1)).rstrip(";")
    return f'{_svg(drawn, f"{y_name} against {x_name}")}<p class="legend">{names}</p>'


def _frame(x: Axis, y: Axis, x_name: str, y_name: str) -> str:
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    parts += [
        f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:,g}</text>'
        for value in x.ticks()
    ]
    for value in y.ticks():
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" '
                 f'text-anchor="middle">{escape(y_name)}</text>')  # fmt: skip
    return "".join(parts)


def _svg(parts: list[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
