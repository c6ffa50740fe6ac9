"""train and pretrain."""

import json
import re
from shutil import copytree

import pytest

from maxtunnel.commands.app import command_line
from maxtunnel.commands.spelling import spellings
from tools.command_line import call, here, refuse

pytestmark = pytest.mark.usefixtures("one_thread")

# A value of every parameter but `resume`; that of an option which has a default is the default.
VALUES = {
    "architecture": "8-8",
    "data": "photographs",
    "val": "others",
    "out": "run",
    "recipe": "fast",
    "encoder": "random",
    "decoder": "mirrored",
    "width": "64",
    "start": "8-8-8-strong",
    "steps": "5",
    "batch": "16",
    "learning_rate": "0.001",
    "rate_weight": "0.001",
    "withheld": "0.5",
    "minutes": "1",
    "target_rmse": "0.1",
    "size": "128",
    "resize": "bilinear",
    "seed": "0",
    "precision": "32",
    "devices": "1",
    "nodes": "1",
    "logger": "tensorboard",
    "history": "",
}


def parameters(command):
    return spellings(command_line().commands[command].params)


def test_train_resume_and_use(tmp_path, photographs_folder):
    others = copytree(photographs_folder / "class0", tmp_path / "others")
    arguments = ("--data", photographs_folder, "--val", others, "--size", "16")
    output, _ = here("train", "4-4", *arguments, "--steps", 60, "--out", tmp_path / "run")
    reached = re.search(r"RMSE 0\.\d{4} on 6 photographs", output)
    assert reached
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["steps"] == 60
    resumed, _ = here("train", "--resume", tmp_path / "run")
    # The run was done: its result is told again, and nothing is trained further.
    assert resumed == f"{reached[0]}\nSaved in {tmp_path / 'run'}\n"
    photograph = photographs_folder / "class0" / "00.png"
    call("reconstruct", photograph, "-m", tmp_path / "run", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "00-run.png").exists()
    second = ("--steps", 20, "--encoder", tmp_path / "run", "--out", tmp_path / "second")
    assert "RMSE" in here("train", "4-4", *arguments, *second)[0]
    errors = refuse("train", "4-4", *arguments, "--out", tmp_path / "run")
    assert "holds a run already" in errors
    assert "--resume" in errors


def test_an_encoder_learns_and_is_shown_as_a_variant(tmp_path, photographs_folder):
    others = copytree(photographs_folder / "class0", tmp_path / "others")
    arguments = ("--data", photographs_folder, "--val", others, "--size", "16")
    learned = ("--encoder", "learned", "--decoder", "strong", "--width", 8, "--rate-weight", 0.001)
    output, _ = here("train", "4-4+linear", *arguments, *learned, "--steps", 3, "--out", tmp_path / "run")
    assert "RMSE" in output
    assert "4-4+linear" in here("summary", tmp_path / "run")[0]
    error = refuse("train", "4-4", *arguments, "--rate-weight", 0.001, "--out", tmp_path / "other")
    assert "--rate-weight is what switches cost an encoder that learns: give --encoder learned" in error


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--width", 64), "--width is that of a strong decoder: give --decoder strong too, or leave it out"),
        (
            ("--encoder", "learned", "--width", 8),
            "--width is that of a strong decoder: give --decoder strong too, or leave it out",
        ),
        (("--encoder", "learnt"), "--encoder is learnt: expected random, learned, or a model ("),
        (("--encoder", "none.pth"), "none.pth does not exist: expected a network's file"),
        (("--start", "nowhere/run"), "nowhere/run does not exist: expected a network's file"),
        (("--out", "file"), "file cannot be written to, as"),
    ],
)
def test_what_would_be_ignored_or_is_no_choice_is_said(
    tmp_path, photographs_folder, monkeypatch, given, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    quick = ("--data", photographs_folder, "--size", "16", "--steps", 2, "--out", tmp_path / "run")
    assert message in refuse("train", "4-4", *quick, *given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (command, name)
        for command in ("train", "pretrain")
        for name in parameters(command)
        if name != "resume"
    ],
)
def test_a_resumed_run_takes_nothing_else(command, name):
    """Not even a value that is the default, which a person who gives it expects to count."""
    spelling = parameters(command)[name]
    # A flag has no value.
    given = [part for part in (spelling if spelling.startswith("--") else "", VALUES[name]) if part]
    error = refuse(command, *given, "--resume", "nowhere")
    assert f"--resume takes everything from the run's config, so leave out {spelling} (" in error


def test_all_that_must_be_left_out_is_named():
    error = refuse("train", "8-8", "--seed", "1", "--resume", "nowhere", "-o", "run", "--val", "others")
    assert "leave out ARCH, --val, --out, --seed (" in error
