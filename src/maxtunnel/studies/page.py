"""What pages of studies share: question and verdict first, numbers below, then how they came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.report import svg
from maxtunnel.report.html import Cell, Html, element, facts, joined, number, page, table
from maxtunnel.studies.verdicts import Verdict


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
    verdict: Verdict, notes: Sequence[str], body: Sequence[Html], record: Mapping[str, str]
) -> str:
    """The page.

    Args:
        verdict: what the study comes to.
        notes: what to know before trusting a number, beside what is left out and what is missing.
        body: what follows below.
        record: what decided the numbers, by name.
    """
    items = element("ul", *(element("li", note) for note in (*verdict.gaps, *notes)))
    return page(
        verdict.title,
        "audit",
        element("p", verdict.question),
        *([element("blockquote", f"“{verdict.quote}”")] if verdict.quote else []),
        *(element("p", text, class_="mt-verdict") for text in verdict.sentences),
        element("div", element("p", element("b", "Before you trust a number")), items, class_="mt-box"),
        *body,
        _record(verdict, record),
        mark=svg.COLOURS[0],
    )


def _record(verdict: Verdict, record: Mapping[str, str]) -> Html:
    """How the study came about, so that another person can do it again."""
    answers = "\n".join(f"{case}: {answer}" for case, answer in verdict.answers.items())
    lines = {"verdict": answers, **verdict.facts, **record}
    rows = [(name, value, "") for name, value in lines.items() if value]
    return joined(element("h2", "Record"), facts(rows))


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
            Cell(row.verdict, classes="mt-words"),
        ]
        for row in rows
    ]
    words = (Cell(head, classes="mt-words") for head in ("same conditions", "verdict"))
    heads: tuple[str | Cell, ...] = ("", "published", "ours, 95\N{NO-BREAK SPACE}% interval", *words)
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
