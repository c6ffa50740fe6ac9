"""The paper's own text is the oracle of Table II, and our documents agree with published.json."""

import re
from pathlib import Path

import pytest

from maxtunnel.paper.networks import find_snapshots
from maxtunnel.paper.table import ROWS, select

ROOT = Path(__file__).parents[2]


def test_table_2_is_the_papers(shared):
    text = (shared / "paper.txt").read_text()
    for name in {str(row.architecture) for row in ROWS}:
        line = re.search(rf"^\[{name.replace('-', ',')}\] (.*)$", text, re.MULTILINE)[1]
        rows = [row for row in ROWS if str(row.architecture) == name]
        assert [float(number) for number in line.split()] == [
            *(row.rmse for row in rows),
            rows[0].bits_per_pixel,
        ]


def test_nominal_bits_are_table_2s():
    assert len(ROWS) == 14
    assert sorted({row.bits_per_pixel for row in ROWS}) == [1.75, 3.5, 7, 14]
    assert all(row.architecture.bits_per_pixel() == row.bits_per_pixel for row in ROWS)


def test_rows_are_chosen_by_name():
    chosen = select(" 16-16-16-pretrained,8-8-8")
    assert [row.name for row in chosen] == ["8-8-8", "16-16-16-pretrained"]
    assert select(None) == ROWS
    with pytest.raises(ValueError, match="no row '9-9-9'"):
        select("8-8-8,9-9-9")


def test_snapshots_are_found_by_their_names(tmp_path):
    for name in (
        "net8_8_8_iter_50000",
        "net8_8_8_iter_9000",
        "net12_24_48Pretrain_iter_50000",
        "net5_5_iter_1",
    ):
        (tmp_path / f"{name}.caffemodel").touch()
    found = {name: path.stem for name, path in find_snapshots(tmp_path).items()}
    assert found == {
        "8-8-8": "net8_8_8_iter_50000",
        "12-24-48-pretrained": "net12_24_48Pretrain_iter_50000",
    }
    with pytest.raises(ValueError, match="no snapshot"):
        find_snapshots(tmp_path / "nowhere")


def table_below(text, heading):
    """The cells of the first table below a heading of a Markdown document."""
    lines = text[text.index(heading) :].splitlines()
    first = next(
        number for number, line in enumerate(lines) if line.startswith("| ---") or line[:5] == "|---|"
    )
    rows = []
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_readme_has_the_published_numbers():
    by_name = {row.name: row.published for row in ROWS}
    table = table_below((ROOT / "README.md").read_text(), "## What the shipped networks reach")
    assert [row[0] for row in table] == [row.name for row in ROWS if not row.pretrained]
    for name, _, _, random, _, pretrained, _ in table:
        assert random == in_readme(by_name[name])
        assert pretrained == in_readme(by_name.get(f"{name}-pretrained"))


def in_readme(published):
    """An RMSE as the README has it: with a half where it is of every second photograph."""
    if published is None:
        return ""
    return f"{published.rmse:.4f}" + (" ½" if published.photographs == 1963 else "")


def test_quality_md_has_the_published_numbers_and_the_papers():
    text = (ROOT / "docs/quality.md").read_text()
    table = table_below(text, "The published snapshots on the same photographs")
    found = {row[0].replace(", random encoder", "").replace(", ", "-"): row for row in table}
    at_hand = [row for row in ROWS if row.published and row.published.rmse_of_200 is not None]
    assert set(found) == {row.name for row in at_hand}
    for row in at_hand:
        assert row.published.photographs == 3925
        assert (found[row.name][1], found[row.name][3]) == (f"{row.published.rmse:.4f}", f"{row.rmse:.4f}")


def test_models_md_has_the_published_numbers():
    table = table_below((ROOT / "docs/models.md").read_text(), "# The networks that ship")
    found = {row[0]: row[-1].split(",")[0] for row in table}
    expected = {row.name: f"{row.published.rmse:.4f}" if row.published else "none" for row in ROWS}
    assert found == expected
