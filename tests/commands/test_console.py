"""What the command line says when something goes wrong, and while it works."""

import re
from io import StringIO

import pytest
import torch
import typer
from rich.console import Console

from maxtunnel.commands import console
from maxtunnel.commands.console import explain, finish_with_skipped, progress
from maxtunnel.support.files import FormatError
from maxtunnel.support.numbers import counted
from maxtunnel.support.progress import Stopped
from maxtunnel.training.loop import TrainingStopped


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("a\n  b"), 2, "a b"),
        (ValueError("`steps` is 0"), 2, "--steps is 0"),
        (FormatError("x.mxt is damaged"), 2, "x.mxt is damaged"),
        (FileNotFoundError(2, "No such file or directory", "x.png"), 2, "x.png: No such file or directory"),
        (IsADirectoryError(21, "Is a directory", ".x.png", None, "x.png"), 2, " x.png: Is a directory"),
        (OSError("the disk is full"), 2, "the disk is full"),
        (Stopped("stopped, saved"), 130, "stopped, saved"),
        (TrainingStopped("stopped, saved"), 130, "stopped, saved"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 130, "interrupted"),
        (typer.BadParameter("Value error, x"), 2, "x (maxtunnel COMMAND --help shows how)"),
        (ValueError(), 2, "ValueError"),
    ],
)
def test_what_a_person_can_mend_is_one_line(capsys, error, status, line):
    assert explain(error, {"steps": "--steps"}) == status
    assert capsys.readouterr().err.splitlines()[-1].endswith(line)


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")]
)
def test_too_little_memory_says_what_to_do(capsys, error):
    assert explain(error) == 2
    assert explain(MemoryError()) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("or fewer filters (MemoryError)")
    assert explain(error) == 2
    assert "not enough memory: take fewer or smaller photographs" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), TypeError("alloc"), KeyError("x")])
def test_a_defect_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        explain(error)


def test_numbers_of_things():
    assert [counted(number, "photograph") for number in (1, 3925)] == ["1 photograph", "3,925 photographs"]
    assert counted(2, "class") == "2 classes"


def test_skipped_files_are_named_and_can_fail(capsys, tmp_path):
    finish_with_skipped([])
    assert capsys.readouterr().err == ""
    skipped = [(tmp_path, "x.png is damaged")]
    finish_with_skipped(skipped)
    assert capsys.readouterr().err == "skipped (1):\n  x.png is damaged\n"
    with pytest.raises(typer.Exit) as ended:
        finish_with_skipped(skipped, fail=True)
    assert ended.value.exit_code == 2


def test_a_log_gets_a_line_every_half_minute(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with progress() as on_progress:
        for second in range(0, 100, 10):
            now[0] = float(second)
            on_progress("train", second, 1000, "loss 1")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["train: 40 of 1,000 loss 1", "train: 80 of 1,000 loss 1"]


@pytest.mark.parametrize("width", [80, 140])
def test_bars_show_the_time_left_on_any_terminal(width):
    terminal = Console(width=width, force_terminal=True, file=StringIO(), legacy_windows=False)
    bars = console.bars_on(terminal)
    for phase in ("train", "all runs, seconds"):
        task = bars.add_task(phase, note="RMSE 0.1315, 1234 images/s and whatever else there is to say")
        bars.update(task, completed=49_999, total=50_000)
    lines = [line.rstrip() for line in drawn(terminal, bars)]
    for phase, line in zip(("train", "all runs, seconds"), lines, strict=True):
        assert line.startswith(phase)
        assert "49999/50000" in line
        assert re.search(r"-:--:--|\d:\d\d:\d\d", line)
        assert "RMSE 0.1315" in line
        assert len(line) <= width


def drawn(terminal, bars):
    """The lines of bars as a terminal shows them."""
    with terminal.capture() as capture:
        terminal.print(bars.get_renderable())
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get()).splitlines()
