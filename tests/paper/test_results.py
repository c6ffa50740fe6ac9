"""Results are kept while they can be used, and tabulated by the rows of Table II."""

import csv
import json

import pytest
import torch
from paper_results import result

from maxtunnel.commands.tables import tabulate_table2
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
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


def test_table_2_goes_into_files_as_it_is_printed(tmp_path):
    table = tabulate_table2(tabulate([result("8-8-8", "shipped", [0.1]), result("8-8-8", "seed0", [0.2])]))
    assert max(map(len, as_lines(table))) <= 80
    write_tables([table], tmp_path / "t.csv", tmp_path / "t.tex")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["network"] for row in rows] == [row.name for row in ROWS]
    assert (float(rows[0]["rmse"]), rows[0]["from"]) == (pytest.approx(0.1), "shipped")
    assert rows[1]["rmse"] == ""
    assert r"8-8-8 & 1.75 & 0.1464 & 0.1000 & shipped & -- & -- \\" in (tmp_path / "t.tex").read_text()
