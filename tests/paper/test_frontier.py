"""The frontier: what is measured, its table, its file and its figure."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from maxtunnel.commands.app import app
from maxtunnel.data.images import write_png
from maxtunnel.paper.frontier import Point, measure_frontier, read_frontier, tabulate
from maxtunnel.paper.frontier_figure import LOOKS, draw_frontier
from maxtunnel.support.files import FormatError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    generator = torch.Generator().manual_seed(0)
    for number in range(2):
        coarse = torch.rand(1, 3, 6, 6, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, (48, 48), mode="bicubic").clamp(0, 1)
        write_png(folder / f"{number}.png", smooth[0])
    return folder


@pytest.fixture(scope="module")
def frontier(folder):
    return measure_frontier(folder, ["8-8-8-strong", "8-8-8", "8-8-8-pretrained"], size=32)


def test_networks_and_files_of_the_same_photographs(frontier):
    assert (frontier.images, frontier.size) == (2, 32)
    networks = [point for point in frontier.points if point.nominal is not None]
    assert [point.series for point in networks] == [
        "pretrained, mirrored",
        "random, mirrored",
        "random, strong",
    ]
    assert {point.nominal for point in networks} == {1.75}
    # The strong decoder reads the very switches of the paper's: they cost the same.
    assert networks[1].stored == networks[2].stored
    assert networks[1].stored_ci95[0] <= networks[1].stored <= networks[1].stored_ci95[1]
    files = frontier.points[len(networks) :]
    assert {point.series for point in files} == {"JPEG", "WebP"}
    assert files[-1].rmse == 0
    assert {point.series for point in frontier.points} <= set(LOOKS)


def test_the_papers_best_at_as_many_bits_is_the_measure(frontier):
    def point(nominal, rmse=0.05):
        return Point("x", "random, strong", nominal, None, None, rmse, (rmse, rmse))

    of_the_papers_size = replace(frontier, size=128)
    # Table II at 1.75 bits: 0.1387 is the lowest.
    assert of_the_papers_size.of_the_paper(point(1.75, 0.06935)) == pytest.approx(0.5)
    assert of_the_papers_size.of_the_paper(point(0.4375)) is None
    assert of_the_papers_size.of_the_paper(point(None)) is None


def test_photographs_of_another_size_are_not_put_beside_the_paper(frontier):
    table = tabulate(frontier)
    assert table.title.endswith("Table II is of 128x128 pixels: nothing is put beside it")
    assert {row[-1] for row in table.rows} == {None}
    labels = [{line.get_label() for line in draw_frontier(each).axes[0].lines}
              for each in (frontier, replace(frontier, size=128))]  # fmt: skip
    assert labels[1] - labels[0] == {"Table II of the paper"}


def test_a_file_that_is_read_again(frontier, tmp_path):
    path = frontier.save(tmp_path)
    assert read_frontier(path) == frontier
    damaged = json.loads(path.read_text())
    damaged["points"][0]["rmse"] = "low"
    path.write_text(json.dumps(damaged))
    with pytest.raises(FormatError, match=r"frontier\.json holds no frontier .*rmse"):
        read_frontier(path)
    with pytest.raises(FormatError, match="maxtunnel frontier"):
        read_frontier(tmp_path / "none.json")


def test_one_row_a_point(frontier):
    table = tabulate(frontier)
    assert len(table.rows) == len(frontier.points)
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_figure_has_every_series(frontier):
    figure = draw_frontier(frontier)
    left, right = figure.axes
    assert {line.get_label() for line in right.lines} >= {"JPEG", "WebP", "random, strong"}
    assert {line.get_label() for line in left.lines} >= {"random, mirrored", "random, strong"}
    shown = next(line for line in right.lines if line.get_label() == "JPEG")
    assert len(shown.get_xdata()) == sum(point.series == "JPEG" for point in frontier.points)


def test_command_writes_all_of_it(folder, tmp_path):
    out = tmp_path / "out"
    command = ["frontier", "--data", str(folder), "--model", "8-8-8", "--size", "32", "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--csv", str(tmp_path / "table.csv")])
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"frontier.json", "frontier.png", "frontier.pdf"}
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert len(rows) == 1 + len(read_frontier(out / "frontier.json").points)


def test_no_photographs(tmp_path):
    with pytest.raises(ValueError, match="photographs"):
        measure_frontier(tmp_path, ["8-8-8"])


def test_the_document_has_the_numbers_that_ship():
    text = (ROOT / "docs/frontier.md").read_text()
    shipped = read_frontier(ROOT / "src/maxtunnel/paper/frontier.json")
    for point in shipped.points:
        name = point.name.removesuffix(" (shipped)")
        series = point.series if point.nominal else "–"
        line = next(line for line in text.splitlines() if line.startswith(f"| {name} | {series} |"))
        assert f"| {point.stored:.3f} | {point.rmse:.4f} |" in line
    assert sum(line.startswith("| ") for line in text.splitlines()) == 1 + len(shipped.points)
