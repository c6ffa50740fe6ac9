"""One table, three ways to give it to people: lines on a terminal, CSV and LaTeX."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.support.files import replacing

# A number, a text, the two ends of an interval, or nothing known.
Cell = str | int | float | tuple[float, float] | None

_GAP = "  "
_ESCAPES = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "–": "--", "±": r"$\pm$", **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: in CSV.
        head: for people.
        form: how numbers are written for people, as in `format`.
        text: whether it holds words, which stand at the left.
        interval: whether it holds intervals, whose ends are two columns in CSV: NAME_low and NAME_high.
    """

    name: str
    head: str
    form: str = ""
    text: bool = False
    interval: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under heads; the first column names the row.

    Attributes:
        title: what the table shows.
        columns, rows: each row has a cell for each column.
        total: a last row, set apart; None for none.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] | None = None

    def as_text(self) -> list[list[str]]:
        """The cells of all rows, the total too, as people read them."""
        rows = [*self.rows, *([] if self.total is None else [self.total])]
        return [
            [_text(cell, column.form) for cell, column in zip(row, self.columns, strict=True)] for row in rows
        ]


def as_lines(table: Table, width: int | None = None) -> list[str]:
    """A table for a terminal of so many columns; None for one without an end.

    Where it is too narrow, names get a line of their own; where it is much too narrow, so does every value.
    Nothing is cut, and no value is broken.
    """
    rows = table.as_text()
    heads = [column.head for column in table.columns]
    lines = _side_by_side(table, heads, rows, 0)
    if width is None or max(map(_width, lines)) <= width:
        return lines
    lines = _side_by_side(table, heads[1:], [row[1:] for row in rows], 1, [row[0] for row in rows])
    if max(_width(line) for line in lines if line.startswith(_GAP)) <= width:
        return lines
    return list(_one_below_the_other(heads, rows))


def write_tables(
    tables: Sequence[Table], csv_file: str | Path | None = None, latex_file: str | Path | None = None
) -> None:
    """Write tables as CSV, as LaTeX or both; several stand below each other, an empty line between them."""
    if csv_file is not None:
        write_csv(tables, csv_file)
    if latex_file is not None:
        with replacing(latex_file) as temporary:
            temporary.write_text("\n".join(map(as_latex, tables)), encoding="utf-8")


def write_csv(tables: Sequence[Table], path: str | Path) -> None:
    """Write CSV with whole numbers and full precision; what is not known is empty."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        for number, table in enumerate(tables):
            if number:
                file.write("\r\n")
            rows = [*table.rows, *([] if table.total is None else [table.total])]
            writer = csv.writer(file)
            writer.writerow([name for column in table.columns for name in _names(column)])
            for row in rows:
                cells = zip(row, table.columns, strict=True)
                writer.writerow([value for cell, column in cells for value in _values(cell, column)])


def as_latex(table: Table) -> str:
    r"""A `tabular` in the style of booktabs, its title in a comment."""
    columns = "".join("l" if column.text else "r" for column in table.columns)
    title = " ".join(table.title.split())
    rows = [_latex_row(row) for row in table.as_text()]
    if table.total is not None:
        rows.insert(-1, r"\midrule")
    lines = [
        f"% {title}",
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row([column.head for column in table.columns]),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _text(cell: Cell, form: str) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, tuple):
        between = " to " if "+" in form else "–"
        return f"{cell[0]:{form}}{between}{cell[1]:{form}}"
    return cell if isinstance(cell, str) else f"{cell:{form}}"


def _side_by_side(
    table: Table, heads: Sequence[str], rows: Sequence[Sequence[str]], first: int, names: Sequence[str] = ()
) -> list[str]:
    """Columns from number `first` on beside each other; with `names`, indented below the name of each row."""
    columns = table.columns[first:]
    widths = [max(map(_width, cells)) for cells in zip(heads, *rows, strict=True)]
    indent = _GAP if names else ""

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell + " " * (width - _width(cell)) if column.text else " " * (width - _width(cell)) + cell
            for cell, width, column in zip(cells, widths, columns, strict=True)
        ]
        return indent + _GAP.join(padded).rstrip()

    rule = indent + _GAP.join("─" * width for width in widths)
    lines = [line(heads), rule]
    for number, cells in enumerate(rows):
        if table.total is not None and number == len(rows) - 1:
            lines.append(rule)
        if names and (number == 0 or names[number] != names[number - 1]):
            lines.append(names[number])
        lines.append(line(cells))
    return lines


def _one_below_the_other(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    width = max(map(_width, heads[1:]))
    for row in rows:
        yield row[0]
        for head, cell in zip(heads[1:], row[1:], strict=True):
            yield f"{_GAP}{head}{' ' * (width - _width(head))}{_GAP}{cell}".rstrip()


def _width(text: str) -> int:
    """Columns that a terminal shows a text in."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _names(column: Column) -> tuple[str, ...]:
    return (f"{column.name}_low", f"{column.name}_high") if column.interval else (column.name,)


def _values(cell: Cell, column: Column) -> tuple[str | int | float | None, ...]:
    if isinstance(cell, tuple):
        return cell
    return (None, None) if column.interval else (cell,)


def _latex_row(cells: Sequence[str]) -> str:
    return (
        " & ".join(re.sub(r"[\\~^–±&%$#_{}]", lambda sign: _ESCAPES[sign[0]], cell) for cell in cells)
        + r" \\"
    )
