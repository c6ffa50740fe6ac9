"""`tools/check_plan.py`: runs beside what is planned, and their rows in the document."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tools.command_line import here

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def tool(monkeypatch):
    """The tool, whose commands run in this process."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    found = import_module("check_plan")

    def seconds_of(*arguments):
        here(*arguments)
        return 1234.5

    monkeypatch.setattr(found, "seconds_of", seconds_of)
    return found


def test_every_work_is_run_and_entered_and_nothing_is_left(
    tool, photographs_folder, tmp_path, monkeypatch, capsys
):
    scratch, document = tmp_path / "scratch", tmp_path / "scale.md"
    scratch.mkdir()
    document.write_text((ROOT / "docs" / "scale.md").read_text())
    before = document.read_text()
    arguments = [photographs_folder, 8, "--scratch", scratch, "--document", document]
    monkeypatch.setattr(sys, "argv", ["check_plan.py", *map(str, arguments)])
    tool.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in printed] == [
        "`prepare`", "`evaluate` of the store", "`encode --coding packed`", "`encode --coding entropy`"
    ]  # fmt: skip
    assert all("| 8 | 1,234.5 s | " in line for line in printed)
    # A store of 8 photographs of 128x128.
    assert 0.4 < float(re.search(r"1,234.5 s \| [0-9.]+ s \| ([0-9.]+) MB", printed[0])[1]) < 0.8
    assert list(scratch.iterdir()) == []
    lines = document.read_text().splitlines()
    assert [line for line in lines if line not in printed] == before.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| `prepare` | 1,000 |"))
    assert lines[first - 4 : first] == [printed[0], printed[2], printed[3], printed[1]]
    # A later run takes the place of its own rows alone.
    monkeypatch.setattr(tool, "seconds_of", lambda *arguments: here(*arguments) and 2.0)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--works", "encode-packed"])
    tool.main()
    renewed = document.read_text().splitlines()
    assert [line for line in renewed if line not in lines] == capsys.readouterr().out.splitlines()
    assert len(renewed) == len(lines)


def test_what_it_does_not_know_or_cannot_run_it_says(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["check_plan.py", str(tmp_path), "3", "--works", "sing"])
    with pytest.raises(SystemExit):
        tool.main()
    assert "sing: expected some of prepare,encode-packed" in capsys.readouterr().err
