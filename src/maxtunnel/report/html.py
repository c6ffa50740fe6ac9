"""HTML: elements, tables, figures, facts, and the page around them.

A plain `str` is text, and is escaped where it enters an element. What is HTML already is of the type `Html`,
which the functions here return; so text from elsewhere, such as the name of a file, cannot break out.
"""

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

VOID = ("br", "img", "input", "meta")  # elements that have no content, and no closing tag
LOOKS = Path(__file__).parent


class Html(str):
    """HTML, which enters a page as it is."""

    __slots__ = ()


def joined(*parts: str, between: str = "") -> Html:
    """Parts one after the other, those that are text escaped, with `between` between them."""
    return Html(_escaped(between).join(map(_escaped, parts)))


def element(name: str, /, *content: str, **attributes: str | int | float | None) -> Html:
    """An element with its content and attributes.

    Args:
        name: of the element.
        content: elements and texts.
        attributes: `class_` is written `class`, and `aria_label` is written `aria-label`; those that are None
            or empty are left out, but for `alt`, whose emptiness says something.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if key == "alt" or value not in (None, "")
    )
    return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{joined(*content)}</{name}>")


def page(title: str, look: str, *body: str, mark: str = "") -> str:
    """A whole page that asks the network for nothing: its style lies inside, and its pictures must.

    Args:
        title: of the page, and its first heading.
        look: `audit` or `paper`, the style sheet that is added to the one that all reports share.
        body: what stands below the heading.
        mark: the colour of what stands out, where the style sheet asks for one.
    """
    style = "".join(LOOKS.joinpath(f"{name}.css").read_text(encoding="utf-8") for name in ("report", look))
    style = style.replace("$mark", mark)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )
    whole = element("html", head, element("body", element("h1", title), *body), lang="en")
    return f"<!doctype html>\n{whole}\n"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        content: text or HTML.
        note: small print below it, such as an interval.
        classes: of the cell, for its style.
        key: what the table is sorted by, where that is not its text.
    """

    content: str
    note: str = ""
    classes: str = ""
    key: int | float | None = None


def number(
    value: int | float | None,
    form: str,
    interval: tuple[float, float] | None = None,
    *,
    between: str = "–",
    unit: str = "",
    classes: str = "",
) -> Cell:
    """A number as a cell, its interval below it; a dash where it was not measured.

    Args:
        value: the number, or None.
        form: how it and its interval are formatted, such as `.4f`.
        interval: its lower and upper end.
        between: what stands between the two ends; of signed ones it is ` to `, as a dash would be a minus.
        unit: written after the number.
        classes: of the cell.
    """
    classes = f"mt-number {classes}".rstrip()
    if value is None:
        return Cell("–", "", f"{classes} mt-missing", math.inf)
    ends = [format(end, form) for end in interval or ()]
    note = (" to " if any(end[0] in "+-" for end in ends) else between).join(ends)
    return Cell(f"{value:{form}}{unit}", note, classes, value)


def table(
    columns: Sequence[str | Cell], rows: Iterable[Sequence[str | Cell]], label: str, main: int | None = None
) -> Html:
    """A table that scrolls sideways where it is wider than the page.

    Args:
        columns: the heads.
        rows: as many cells each; the first one names the row.
        label: what the table is of, for those who do not see it.
        main: the row that stands out, counted from 0.
    """
    head = element("tr", *(_cell("th", column, scope="col") for column in columns))
    body = [
        element("tr", *_row(row), class_="mt-main" if place == main else None)
        for place, row in enumerate(rows)
    ]
    whole = element("table", element("thead", head), element("tbody", *body), class_="mt-table")
    return element("div", whole, class_="mt-wide", tabindex=0, role="region", aria_label=label)


def _row(cells: Sequence[str | Cell]) -> list[Html]:
    first, *others = cells
    return [_cell("th", first, scope="row"), *(_cell("td", cell) for cell in others)]


def _cell(name: str, cell: str | Cell, scope: str | None = None) -> Html:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    note = [element("small", cell.note)] if cell.note else []
    # As JavaScript writes it: the script that sorts keeps what is infinite at the end.
    key = "Infinity" if cell.key == math.inf else cell.key
    return element(name, cell.content, *note, scope=scope, class_=cell.classes, data_key=key)


def facts(rows: Iterable[tuple[str, str, str]]) -> Html:
    """Names and values, with a few words about each where there are any."""
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", element("b", value), *([" ", element("small", note)] if note else [])),
            )
            for name, value, note in rows
        ),
        class_="mt-facts",
    )


def details(summary: str, *content: str) -> Html:
    """What is shown only when its summary is pressed."""
    return element("details", element("summary", summary), *content)


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as an address that holds them; `kind` is their media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def figure(content: str, caption: str) -> Html:
    """A picture, or other HTML, with a caption below it."""
    return element("figure", content, element("figcaption", caption))


def _escaped(part: str) -> str:
    return part if isinstance(part, Html) else escape(part)
