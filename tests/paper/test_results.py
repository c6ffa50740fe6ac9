"""Results are kept while they can be used, and tabulated by the rows of Table II."""

import csv
import json

import pytest
import torch
from paper_results import result, trained

from maxtunnel.commands.tables import tabulate_table2
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.comparisons import strong_gain
from maxtunnel.paper.curve import curve, marks_of
from maxtunnel.paper.results import TableRow, measure_once, tabulate
from maxtunnel.paper.table import ROWS
from maxtunnel.support.progress import silent
from maxtunnel.support.tables import as_lines, write_tables


@pytest.mark.parametrize("kept", ["{", "[]", '{"sha256": "a", "rmse": 1}', "of another version"])
def test_an_evaluation_that_cannot_be_used_is_made_again(kept, tmp_path):
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 16, 16))
    pixels = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    arguments = network, ROWS[0], "seed0", pixels, "of the photographs", tmp_path, silent
    first = measure_once(*arguments)
    path = tmp_path / f"{ROWS[0].name}-seed0.json"
    sound = json.loads(path.read_text())
    if kept == "of another version":
        kept = json.dumps({key: value for key, value in sound.items() if key != "bits_images"})
    path.write_text(kept)
    assert measure_once(*arguments).evaluation == first.evaluation
    assert json.loads(path.read_text()) == sound


def test_the_table_prefers_what_ships():
    shipped, run = result("8-8-8", "shipped", [0.1]), result("8-8-8", "seed0", [0.2])
    line = tabulate([run, shipped])[0]
    assert line.ours is shipped
    assert line.runs == (run,)
    assert TableRow(line.row, None, (run,), None).spread is None


def test_the_strong_decoder_of_a_row_is_the_one_that_reads_the_switches_of_ours():
    run = result("8-8-8", "seed0", [0.2], switches="a")
    shipped = result("8-8-8", "shipped", [0.1], width=8, switches="b")
    same = result("8-8-8", "seed1", [0.15], width=4, switches="a")
    line = tabulate([shipped, same, run])[0]
    assert (line.ours, line.strong, line.strong_runs) == (run, same, (same,))
    assert line.same_switches
    assert strong_gain(line).mean == pytest.approx(0.05)
    # Of other switches there is an error, but no difference.
    line = tabulate([shipped, run])[0]
    assert (line.strong, strong_gain(line)) == (shipped, None)
    assert tabulate([run])[0].strong is None


def test_the_plot_has_marks_of_the_strong_decoder():
    strong = result("8-8-8-pretrained", "shipped", [0.05], width=8)
    marks = [mark for mark in marks_of(tabulate([strong])) if mark.series.startswith("strong")]
    assert [(mark.series, mark.row, mark.rmse) for mark in marks] == [
        ("strong decoder, pretrained", ROWS[1], strong.evaluation.rmse)
    ]
    axis = curve(marks).axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1.75"]
    (handle,) = (line for line in axis.lines if line.get_label() == marks[0].series)
    assert handle.get_ydata()[0] == pytest.approx(0.05)


def test_an_encoder_that_was_taken_from_what_ships_has_its_seed():
    assert result("6-12-24", "seed0", [0.1], trained(5, 0, encoder="6-12-24"), 8).seed == 4
    assert result("6-12-24", "seed3", [0.1], trained(5, 3, encoder="6-12-24/seed3"), 8).seed == 3


def test_the_table_has_columns_of_the_strong_decoder(tmp_path):
    errors = [0.1, 0.2, 0.3]
    ours = result("8-8-8", "shipped", errors, switches="a")
    strong = result("8-8-8", "shipped", [error / 2 for error in errors], width=8, switches="a")
    table = tabulate_table2(tabulate([ours, result("16-16-16", "shipped", errors), strong]))
    write_tables([table], tmp_path / "t.csv", tmp_path / "t.tex")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    first, _, second = rows[0], rows[1], next(row for row in rows if row["network"] == "16-16-16")
    assert float(first["strong_rmse"]) == pytest.approx(float(first["rmse"]) / 2)
    low, lower, high = (float(first[f"strong_lower_by{end}"]) for end in ("_low", "", "_high"))
    assert lower == pytest.approx(float(first["rmse"]) / 2)
    assert low <= lower <= high
    assert second["strong_rmse"] == second["strong_lower_by"] == second["strong_lower_by_low"] == ""
    assert "strong & lower by & 95" in (tmp_path / "t.tex").read_text()


def test_table_2_goes_into_files_as_it_is_printed(tmp_path):
    table = tabulate_table2(tabulate([result("8-8-8", "shipped", [0.1]), result("8-8-8", "seed0", [0.2])]))
    assert max(map(len, as_lines(table))) <= 80
    write_tables([table], tmp_path / "t.csv", tmp_path / "t.tex")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["network"] for row in rows] == [row.name for row in ROWS]
    assert (float(rows[0]["rmse"]), rows[0]["from"]) == (pytest.approx(0.1), "shipped")
    assert rows[1]["rmse"] == ""
    assert r"8-8-8 & 1.75 & 0.1464 & 0.1000 & shipped & -- & -- \\" in (tmp_path / "t.tex").read_text()
