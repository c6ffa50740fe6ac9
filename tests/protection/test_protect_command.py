"""`maxtunnel protect`, run as a person runs it, on sound models and on broken ones."""

import json
import shutil

import pytest
from PIL import Image, ImageOps
from typer.main import get_command
from typer.testing import CliRunner

from maxtunnel.commands.app import app, spellings_of
from maxtunnel.commands.console import explain

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS = """
import torch
from torch import nn

class Argmax(nn.Sequential):
    def forward(self, x):
        return super().forward(x).flatten(1).argmax(1)

def layers():
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)

build = lambda: nn.Sequential(*layers())
frozen = lambda: nn.Sequential(*layers()).requires_grad_(False)
decides = lambda: Argmax(*layers())
unpooled = lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2))
large = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2))
metric = lambda model: model(torch.ones(4, 3, 16, 16)).mean((1, 2, 3))
broken = lambda model: {}["accuracy"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(MODELS)
    return tmp_path


def call(*arguments):
    """The exit status, the error as `main` prints it, and the output, in this process, which is quicker."""
    arguments = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, arguments)
    if result.exception is None or isinstance(result.exception, SystemExit):
        return result.exit_code, result.output
    return explain(result.exception, spellings_of(arguments)), result.output


def test_it_writes_weights_page_and_record(folder, photographs_folder):
    status, output = call(
        "protect", "models.py:build", "--data", photographs_folder, "--holdout", other(photographs_folder),
        "--size", 16, "--weights", "1", "--steps", 2, "--width", 4, "--alone",
        "--metric", "models.py:metric", "--out", "out",
    )  # fmt: skip
    assert status == 0, output
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "protect.html", "protect.json", "readers", "weight-1.safetensors"
    ]  # fmt: skip
    for text in ("original", "weight 1", "outputs lost", "load_state_dict", "Report: out/protect.html"):
        assert text in output
    content = json.loads((folder / "out" / "protect.json").read_text())
    assert content["origin"]["model"] == "models.py:build"
    assert content["config"]["weights"] == [1.0]
    assert content["models"][0]["score"]["ci95"] is not None


def test_an_earlier_result_is_kept_unless_it_is_gone_on_with(folder, photographs_folder, capsys):
    command = (
        "protect", "models.py:build", "--data", photographs_folder, "--holdout", other(photographs_folder),
        "--size", 16, "--weights", "1", "--width", 4, "--alone", "--out", "out", "--steps",
    )  # fmt: skip
    assert call(*command, 2, "--resume")[0] == 2
    assert "out holds no protection to go on with: leave --resume out" in capsys.readouterr().err
    assert call(*command, 2)[0] == 0
    before = {path.name: path.read_bytes() for path in (folder / "out").glob("*.safetensors")}
    capsys.readouterr()
    assert call(*command, 2)[0] == 2
    assert (
        "out holds a protection: go on with it (--resume), or name another --out" in capsys.readouterr().err
    )
    assert call(*command, 3, "--resume")[0] == 2
    assert "other settings: give the same (only --minutes may differ)" in capsys.readouterr().err
    assert call(*command, 2, "--resume")[0] == 0
    assert {path.name: path.read_bytes() for path in (folder / "out").glob("*.safetensors")} == before


@pytest.mark.parametrize("command", ["protect", "audit"])
def test_minutes_and_steps_are_not_given_both(photographs_folder, capsys, command):
    status, _ = call(command, "models.py:build", "--data", photographs_folder, "--minutes", 1, "--steps", 2)
    assert status == 2
    assert "--minutes and --steps both bound the work: give one of them" in capsys.readouterr().err


def other(photographs):
    """A folder of the negatives of the same photographs, beside that of them all."""
    held = photographs.parent / "held"
    held.mkdir()
    for path in photographs.rglob("*.png"):
        ImageOps.invert(Image.open(path).convert("RGB")).save(held / path.name)
    return held


def test_copies_of_what_is_trained_on_are_not_measured_on(folder, photographs_folder, capsys):
    held = photographs_folder.parent / "copies"
    shutil.copytree(photographs_folder, held)
    status, _ = call("protect", "models.py:build", "--data", photographs_folder, "--holdout", held, "--size",
                     16, "--steps", 2)  # fmt: skip
    assert status == 2
    assert "photographs of --holdout are in --data too, pixel by pixel" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        ("models.py:unpooled", [], "unpooled: the model has no max pooling"),
        ("models.py:frozen", [], "frozen has no weight that may be trained: requires_grad is False for all"),
        ("models.py:decides", [], "decides: it returns no floating-point tensor"),
        ("models.py:large", [], "a 3x3 window with stride 2x2: a gradient passes 2x2 windows with"),
        ("models.py:nothing", [], "models.py holds no 'nothing'"),
        ("8-8-8", [], "8-8-8 is a network of ours"),
        ("models.py:build", ["--weights", "much"], "--weights is 'much': expected numbers with commas"),
        ("models.py:build", ["--weights", "-1"], "--weights is -1: expected finite numbers of at least 0"),
        ("models.py:build", ["--levels", "2"], "--levels is 2: expected numbers of poolings, in call order"),
        ("models.py:build", ["--learning-rate", "0"], "--learning-rate is 0.0: expected a finite number"),
        ("models.py:build", ["--metric", "models.py:broken"], "--metric fails with the model as it was (Key"),
        ("models.py:build", ["--minutes", "0.01"], "--minutes is 0.01: 100 steps for each"),
        ("models.py:build", ["--out", "models.py"], "models.py cannot be written to"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, photographs_folder, capsys, target, more, message):
    held = other(photographs_folder)
    bound = [] if "--minutes" in more else ["--steps", 2]
    status, _ = call("protect", target, "--data", photographs_folder, "--holdout", held, "--size", 16,
                     "--width", 4, *bound, *more)  # fmt: skip
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("maxtunnel: ")]
    assert status == 2
    assert len(errors) == 1
    assert message in errors[0]
    assert "`" not in errors[0]
    assert not [*folder.rglob("*.safetensors")]


def test_what_an_audit_asks_too_is_asked_in_the_same_words():
    audit, protect = (get_command(app).commands[name] for name in ("audit", "protect"))
    theirs = {parameter.name: parameter for parameter in audit.params}
    for parameter in protect.params:
        if parameter.name in ("target", "data", "holdout", "size", "resize", "preprocess", "levels"):
            assert parameter.help == theirs[parameter.name].help
            assert parameter.metavar == theirs[parameter.name].metavar
            assert parameter.opts == theirs[parameter.name].opts
