"""What pages of studies share: question and verdict first, numbers below, then how they came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, element, facts, joined, number, page, table


@dataclass(frozen=True)
class Beside:
    """A published number and ours.

    Attributes:
        what: of which network, on which data.
        published: the paper's number.
        source: the paper.
        ours: our number, None where there is none.
        interval: of ours.
        form: how numbers are formatted.
        differences: what is not as in the paper; none for the same conditions.
        verdict: how ours stands to the paper's, made from the numbers.
    """

    what: str
    published: float
    source: str
    ours: float | None
    interval: Interval | None
    form: str
    differences: Sequence[str]
    verdict: str


@dataclass(frozen=True)
class Dot:
    """A point of a plot.

    Attributes:
        group: points of one group have one colour.
        x, y: where it is.
        about: shown when it is pointed at.
        square: whether it is a square, not a circle.
    """

    group: str
    x: float
    y: float
    about: str
    square: bool = False


def study_page(
    title: str, question: str, quote: str, answers: Sequence[str], notes: Sequence[str], *body: Html
) -> str:
    """The page.

    Args:
        title: of the study.
        question: what is asked, in a paragraph.
        quote: the sentence of the paper that asks it.
        answers: the verdict, a paragraph each.
        notes: what to know before trusting a number.
        body: all that follows.
    """
    items = element("ul", *(element("li", note) for note in notes))
    return page(
        title,
        "audit",
        element("p", question),
        element("blockquote", quote),
        *(element("p", text, class_="mt-verdict") for text in answers),
        element("div", element("p", element("b", "Before you trust a number")), items, class_="mt-box"),
        *body,
        mark=svg.COLOURS[0],
    )


def beside_table(rows: Sequence[Beside]) -> Html:
    """Published numbers with ours beside them, and what is different."""
    if not rows:
        return Html()
    cells: list[list[str | Cell]] = [
        [
            Cell(row.what, row.source),
            number(row.published, row.form),
            number(row.ours, row.form, row.interval),
            Cell("no" if row.differences else "yes", "; ".join(row.differences), classes="mt-words"),
            row.verdict,
        ]
        for row in rows
    ]
    heads = ("", "published", "ours, 95 % interval", "same conditions", "verdict")
    return joined(element("h2", "Published and ours"), table(heads, cells, "Published numbers and ours"))


def scatter(dots: Sequence[Dot], x_name: str, y_name: str) -> Html:
    """Points in the colours of their groups, with the names of the groups below."""
    area = svg.Area()
    x = area.across(*svg.round_limits([dot.x for dot in dots]))
    y = area.up(*svg.round_limits([0.0, *(dot.y for dot in dots)]))
    groups = list(dict.fromkeys(dot.group for dot in dots))
    colours = {group: svg.COLOURS[place % len(svg.COLOURS)] for place, group in enumerate(groups)}
    marks = [
        svg.mark(x(dot.x), y(dot.y), size=4.0, about=dot.about, fill=colours[dot.group], square=dot.square)
        for dot in dots
    ]
    names = [
        element("span", element("b", "●", style=f"color:{colours[group]}"), f" {group}") for group in groups
    ]
    return joined(
        area.drawing(f"{y_name} against {x_name}", svg.frame(area, x, y, x_name, y_name), *marks),
        element("p", joined(*names, between=" \N{NO-BREAK SPACE} "), class_="mt-names"),
    )


def record(lines: Mapping[str, str]) -> Html:
    """How the study came about, so that another person can do it again."""
    rows = [(name, value, "") for name, value in lines.items() if value]
    return joined(element("h2", "Record"), facts(rows))
