"""One table as lines for a terminal, as CSV and as LaTeX."""

import csv

from maxtunnel.support.tables import Column, Table, as_latex, as_lines, write_tables

TABLE = Table(
    "Title",
    (
        Column("network", "network", text=True),
        Column("rmse", "RMSE", ".4f"),
        Column("rmse", "95 %", ".4f", interval=True),
        Column("bits", "bits", ","),
    ),
    (("8-8-8 (shipped)", 0.123456, (0.12, 0.13), 1234), ("a_b & c", None, None, 5)),
    ("total", "", "", 1239),
)


def test_a_wide_terminal_shows_columns_side_by_side():
    assert as_lines(TABLE) == [
        "network            RMSE           95 %   bits",
        "───────────────  ──────  ─────────────  ─────",
        "8-8-8 (shipped)  0.1235  0.1200–0.1300  1,234",
        "a_b & c               –              –      5",
        "───────────────  ──────  ─────────────  ─────",
        "total                                   1,239",
    ]
    assert as_lines(TABLE, 45) == as_lines(TABLE)


def test_on_a_narrow_one_names_stand_above_their_numbers():
    lines = as_lines(TABLE, 44)
    assert lines[:5] == [
        "    RMSE           95 %   bits",
        "  ──────  ─────────────  ─────",
        "8-8-8 (shipped)",
        "  0.1235  0.1200–0.1300  1,234",
        "a_b & c",
    ]


def test_on_a_very_narrow_one_every_value_has_its_line_and_none_is_broken():
    assert as_lines(TABLE, 20)[:4] == [
        "8-8-8 (shipped)",
        "  RMSE  0.1235",
        "  95 %  0.1200–0.1300",
        "  bits  1,234",
    ]


def test_wide_letters_take_two_columns():
    table = Table("", (Column("a", "a", text=True), Column("b", "b")), (("猫", 1), ("xyz", 2)))
    assert as_lines(table)[2:] == ["猫   1", "xyz  2"]


def test_signed_intervals_have_a_word_between():
    column = Column("d", "d", "+.1f", interval=True)
    assert Table("", (column,), (((0.1, 0.2),),)).as_text() == [["+0.1 to +0.2"]]


def test_csv_has_full_precision_and_ends_of_intervals(tmp_path):
    write_tables([TABLE, TABLE], csv_file=tmp_path / "t.csv")
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert rows[0] == ["network", "rmse", "rmse_low", "rmse_high", "bits"]
    assert rows[1] == ["8-8-8 (shipped)", "0.123456", "0.12", "0.13", "1234"]
    assert rows[2] == ["a_b & c", "", "", "", "5"]
    assert rows[4] == []
    assert rows[5:] == rows[:4]


def test_latex_is_escaped(tmp_path):
    text = as_latex(TABLE)
    assert r"a\_b \& c & -- & -- & 5 \\" in text
    assert r"network & RMSE & 95 \% & bits \\" in text
    assert r"0.1200--0.1300" in text
    assert text.index(r"\midrule" + "\ntotal") > text.index("a\\_b")
    assert r"\begin{tabular}{lrrr}" in text
    assert as_latex(Table("t", (Column("a", "\\~^"),), ())).count("text") == 3
    write_tables([TABLE], latex_file=tmp_path / "t.tex")
    assert (tmp_path / "t.tex").read_text() == text
