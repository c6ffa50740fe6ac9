"""What all commands have in common: the help, errors in one line, and quick starts."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer import rich_utils
from typer.main import get_command

from maxtunnel.commands.app import COMMANDS, STUDIES, app
from tools.command_line import call, here, refuse, run

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reconstruct", "nowhere.jpg"], "nowhere.jpg"),
        (["reconstruct", "x.png", "--model", "9-9-9"], "no model '9-9-9'"),
        (["reconstruct", "x.png", "--model", "16-16-61"], "no model '16-16-61' (is 16-16-16 meant?)"),
        (["evaluate", "8-8-8", "--data", "nowhere"], "nowhere"),
        (["evaluate", "8-8-8", "--data", ".", "--size", "4"], "size"),
        (["evaluate", "8-8-8", "--data", ".", "--resize", "cubic"], "'bilinear', 'antialias'"),
        (["encode", "x.jpg", "--coding", "zip"], "'entropy', 'packed'"),
        (["train", "8-x", "--data", ".", "--out", "run"], "no architecture"),
        (["train"], "--resume RUN (maxtunnel train --help shows how)"),
        (["train", "--resume", "nowhere"], "nowhere is no run"),
        (["demo", "--model", "9-9-9"], "no model '9-9-9'"),
        (["demo", "--out", "/dev/null/x"], "/dev/null is a file: give a folder"),
        (["train", "8-8", "--data", ".", "--out", "r", "--steps", "5", "--minutes", "1"], "one of them"),
        (
            ["train", "8-8-strong", "--data", ".", "--out", "r"],
            "a network's name: give its filters alone, 8-8",
        ),
        (["summary", "big"], "no architecture"),
        (["import", "nowhere.caffemodel", "x.safetensors"], "nowhere.caffemodel"),
        (["encode", "nowhere.jpg"], "nowhere.jpg"),
        (["encode", "x.jpg", "--out", "/dev/null"], "/dev/null is a file: give a folder"),
        (["decode", "x.mxt", "--out", "/dev/null"], "/dev/null is a file: give a folder"),
        (["reconstruct", "x.jpg", "--out", "/dev/null"], "/dev/null is a file: give a folder"),
        (["decode", "nowhere.mxt"], "nowhere.mxt"),
        (["decode", "nowhere.mxt", "--levels", "deep"], "expected all"),
        (["inspect", "."], "give a switch file"),
        (["reproduce", "--test", ".", "--out", "r"], "no prepared store"),
        (["figure", "3"], "--data"),
        (["figure", "2", "-m", "big"], "no architecture"),
        (["serve", "--max-side", "100"], "--max-side is 100: expected one of 128"),
        (["serve", "--auth", "name"], "NAME:PASSWORD"),
        (["sing"], "sing"),
        (["demo", "--sing"], "--sing"),
        (["encode", ""], "an argument is empty: is a variable not set?"),
        (["evaluate", "8-8-8", "--data="], "--data= is empty: is a variable not set?"),
        (["evaluate", "8-8-8", "--data", "d", "--json", "."], ". is a folder: give a file to write to"),
        (["models", "--csv", f"{__file__}/t.csv"], "test_main.py is a file: give a folder"),
        (["figure", "1", "--data", "d", "--seed", str(2**63)], "--seed"),
        (["figure", "1", "--data", "d", "-m", "8-8-8", "-m", "6-12-24"], "--model has 2: Figure 1 shows one"),
        (["figure", "1", "--data", "d", "--out", __file__], "test_main.py is a file: give a folder"),
    ],
)
def test_errors_are_one_line_and_status_2(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refuse(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_with_an_error_as_main_does(tmp_path):
    output, errors = run("inspect", tmp_path / "nowhere.mxt", status=2)
    assert output == ""
    assert errors.startswith("maxtunnel: ")
    assert len(errors.splitlines()) == 1


def processor_seconds():
    """Of the processes that ended so far, whatever else the machine was doing meanwhile."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_quick():
    began = processor_seconds()
    output, _ = run("--help")
    assert "Commands" in output
    # Alone it takes 0.2 to 0.4 s; with PyTorch it would take several.
    assert processor_seconds() - began < 2


def test_help_without_a_word_is_help():
    assert run() == run("--help")
    assert here("study") == here("study", "--help")


def test_help_lists_the_commands_in_their_order():
    commands = list(get_command(app).commands)
    assert commands == [*(example.split()[1] for _, example in COMMANDS), "study"]
    lines = [line.strip("│ ").split(" ")[0] for line in call("--help").splitlines()]
    assert [word for word in lines if word in commands] == commands


@pytest.mark.parametrize("example", [example for _, example in (*COMMANDS, *STUDIES)])
def test_the_help_of_a_command_ends_with_its_example(example):
    names = example.partition(" --")[0].split()[1:]
    words = call(*names[: 2 if names[0] == "study" else 1], "--help").split()
    assert " ".join(words).endswith(f"Example: {example}")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv[1:] = ['--help']; from maxtunnel.__main__ import main; main(); "
        "print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "Usage:" in output
    assert output.splitlines()[-1] == "[]"


def test_the_library_exports_what_the_readme_uses():
    import maxtunnel

    assert all(getattr(maxtunnel, name) is not None for name in maxtunnel.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = maxtunnel.nothing
    assert Path(maxtunnel.__file__).parent.joinpath("native", "pooling.cpp").exists()


@pytest.mark.parametrize("command", ["", *get_command(app).commands, "study swwae"])
def test_no_help_is_cut_at_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 80)
    text = call(*command.split(), "--help")
    assert "Usage:" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_completion_works_and_stays_out_of_the_help():
    output, _ = run("--help")
    assert "completion" not in output
    environment = {
        **os.environ,
        "_MAXTUNNEL_COMPLETE": "complete_bash",
        "COMP_WORDS": "maxtunnel eva",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-m", "maxtunnel"]
    assert subprocess.check_output(command, env=environment, text=True).split() == ["evaluate"]
    assert "_MAXTUNNEL_COMPLETE=complete_bash" in run("--show-completion", "bash")[0]
