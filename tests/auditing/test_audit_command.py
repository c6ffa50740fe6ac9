"""`maxtunnel audit`, run as a person runs it, on sound models and on broken ones."""

import json

import pytest
import torch
from typer.testing import CliRunner

from maxtunnel.auditing import AuditConfig, audit, load_target
from maxtunnel.auditing.readers import READERS
from maxtunnel.commands.app import app, spellings_of
from maxtunnel.commands.console import explain

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS = """
import torch
from torch import nn
from torch.nn import functional as F

class Wrong(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.function = forward

    def forward(self, x):
        return self.function(x)

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1))

def stop():
    raise RuntimeError("no weights\\nhere")

def leave(x=None):
    raise SystemExit("bye")

def fail(x):
    raise KeyError("layer")

size = lambda: nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(7, 2))
raising = lambda: Wrong(fail)
leaving = lambda: Wrong(leave)
dictionary = lambda: {"model": build()}
unpooled = lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2))
adaptive = lambda: nn.AdaptiveMaxPool2d(1)
not_a_number = lambda: Wrong(lambda x: F.max_pool2d(x, 2) * float("nan"))
inner_nan = lambda: Wrong(lambda x: F.max_pool2d(x * float("nan"), 2).nan_to_num())
grey = lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2))
number = 3
half = lambda x: x / 2
metric = lambda model: model(torch.zeros(1, 3, 16, 16)).mean()
broken_metric = lambda model: {}["accuracy"]
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "syntax.py").write_text("def")
    (tmp_path / "script.py").write_text("raise SystemExit(2)")
    return tmp_path / "models.py"


def call(*arguments):
    """The exit status and the error as `main` prints it, in this process, which is quicker."""
    arguments = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, arguments)
    if result.exception is None or isinstance(result.exception, SystemExit):
        return result.exit_code, result.output
    return explain(result.exception, spellings_of(arguments)), result.output


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        ("models.py:size", [], "size fails on photographs of 16x16 pixels, width x height, 1 at a time"),
        ("models.py:raising", [], "raising fails"),
        ("models.py:stop", [], "models.py:stop() fails (RuntimeError: no weights here)"),
        ("models.py:leave", [], "models.py:leave() fails (SystemExit: bye)"),
        ("models.py:leaving", [], "width x height, 1 at a time (SystemExit: bye)"),
        ("script.py:build", [], "script.py cannot be imported (SystemExit: 2)"),
        ("models.py:dictionary", [], "gave a dict: expected a torch.nn.Module"),
        ("models.py:number", [], "gave a int"),
        ("models.py:unpooled", [], "no max pooling: it has no switches, so nothing can leak"),
        ("models.py:adaptive", [], "adaptive_max_pool2d"),
        ("models.py:not_a_number", [], "returns NaN"),
        ("models.py:inner_nan", [], "NaN among the pooled values"),
        ("models.py:grey", [], "--preprocess"),
        ("models.py:nothing", [], "models.py holds no 'nothing'"),
        ("models.py:unpoold", [], "models.py holds no 'unpoold' (is unpooled meant?)"),
        ("syntax.py:build", [], "syntax.py cannot be imported (SyntaxError"),
        ("nowhere.py:build", [], "nowhere.py does not exist: expected a file of Python"),
        ("no.such.package:build", [], "no.such.package cannot be imported (ModuleNotFoundError"),
        ("nothing", [], "'nothing' names nothing"),
        ("nowhere.pt2", [], "nowhere.pt2 does not exist: expected package.module:callable"),
        ("nowhere.pth", [], "nowhere.pth does not exist: expected package.module:callable"),
        ("models.py", [], "names nothing"),
        ("8-8-8", ["--preprocess", "imagenet"], "leave --preprocess out"),
        (
            "models.py:build",
            ["--levels", "3,1"],
            "--levels is 3: expected numbers of poolings, in call order 1 to 2",
        ),
        ("models.py:build", ["--levels", "one"], "--levels is 'one': expected all, or numbers from 1"),
        ("models.py:build", ["--preprocess", "0.5"], "--preprocess is '0.5': expected MEAN/STD"),
        ("models.py:build", ["--preprocess", "1,1,1/0,1,1"], "above 0"),
        ("models.py:build", ["--metric", "models.py:metric"], "give --mitigations some minutes"),
        ("models.py:build", ["--data", "empty"], "empty"),
        ("models.py:build", ["--out", "models.py"], "models.py is a file: give a folder"),
        ("models.py:build", ["--out", "models.py/out"], "models.py is a file: give a folder"),
        ("models.py:build", ["--holdout", "photographs/class0"], "shares photographs with --data"),
    ],
)
def test_what_is_broken_gets_one_line(models, photographs_folder, capsys, target, more, message):
    (models.parent / "empty").mkdir()
    data = [] if "--data" in more else ["--data", photographs_folder]
    status, _ = call("audit", target, *data, "--size", 16, "--steps", 2, "--out", "out", *more)
    errors = capsys.readouterr().err
    assert status == 2
    assert message in errors
    assert errors.startswith("maxtunnel: ")
    assert len(errors.strip().splitlines()) == 1
    assert not (models.parent / "out").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("decoders/audit-so-far.json", "holds an audit: go on with it (--resume), or name another --out"),
        ("audit.json", "out holds the report of an audit: name another --out"),
    ],
)
def test_a_folder_that_holds_an_audit_is_refused(models, photographs_folder, capsys, file, message):
    path = models.parent / "out" / file
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    arguments = ("audit", "models.py:build", "--data", photographs_folder, "--size", 16, "--steps", 2)
    assert call(*arguments, "--out", "out")[0] == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert [each.read_text() for each in (models.parent / "out").rglob("*.*")] == ["{}"]


def many(folder, tmp_path, times=8):
    """More photographs than the fixture has: the same ones under other names."""
    target = tmp_path / "many"
    target.mkdir()
    for path in folder.rglob("*.png"):
        for number in range(times):
            (target / f"{number}-{path.name}").write_bytes(path.read_bytes())
    return target


def test_an_audit_from_the_command_line(models, photographs_folder, tmp_path):
    data = many(photographs_folder, tmp_path)
    (data / "broken.png").write_bytes(b"no picture")
    arguments = ("--data", data, "--size", 16, "--steps", 8, "--out", tmp_path / "out", "--mitigations", 1,
                 "--width", 4)  # fmt: skip
    status, output = call("audit", "models.py:build", *arguments, "--metric", "models.py:metric",
                          "--preprocess", "models.py:half")  # fmt: skip
    assert status == 0, output
    assert "broken.png" in output
    assert "audit.html" in output
    assert (tmp_path / "out" / "audit.html").stat().st_size > 20_000
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert [level["name"] for level in content["levels"]] == ["2", "3"]
    assert [level["window"] for level in content["levels"]][1].startswith("3x3 window with stride 2x2")
    assert content["config"]["steps"] == 8
    assert [level["number"] for level in content["levels"]] == [1, 2]
    assert content["images"] == {"given": 87, "trained": 87, "measured": 9, "searched": 9}
    assert all(mitigation["metric"] is not None for mitigation in content["mitigations"])
    assert content["config"]["decoder"] == "both"
    assert {
        "known", "second", "mean", "random", "fixed", "other", "where", "what", "both", "untrained"
    } == set(content["rows"])  # fmt: skip


def test_a_broken_metric_gets_one_line(models, photographs_folder, tmp_path, capsys):
    data = many(photographs_folder, tmp_path)
    arguments = ("--data", data, "--size", 16, "--steps", 2, "--mitigations", 1, "--out", tmp_path / "out")
    status, _ = call("audit", "models.py:build", *arguments, "--metric", "models.py:broken_metric")
    assert status == 2
    assert "--metric fails with nothing done (KeyError" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_exported_program_of_a_fixed_batch(models, photographs_folder, tmp_path, capsys):
    build = load_target("models.py:build").model.eval()
    torch.export.save(torch.export.export(build, (torch.rand(2, 3, 16, 16),)), tmp_path / "model.pt2")
    target = load_target("model.pt2")
    assert target.batch == 2
    images = (torch.rand(17, 3, 16, 16) * 255).to(torch.uint8)
    config = AuditConfig(steps=2, images=8, width=4, decoder="mirrored")
    found = audit(target, images, holdout=images[:9], config=config)
    assert found.images["trained"] == 17
    assert found.untrained == ""
    plain = audit(build, images, holdout=images[:9], config=config)
    assert plain.rows["known"].rmse == pytest.approx(found.rows["known"].rmse)
    call("audit", "model.pt2", "--data", photographs_folder, "--size", 32, "--out", "out")
    assert (
        "exported for images of 3 channels and 16x16 pixels, width x height: give that --size"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("decoder", ["strong", "mirrored"])
def test_the_decoder_is_chosen_by_its_kind(models, photographs_folder, tmp_path, decoder):
    data = many(photographs_folder, tmp_path)
    arguments = ("--data", data, "--size", 16, "--steps", 2, "--out", tmp_path / "out", "--decoder", decoder)
    status, output = call("audit", "models.py:build", *arguments)
    assert status == 0, output
    config = json.loads((tmp_path / "out" / "audit.json").read_text())["config"]
    assert config["decoder"] == decoder
    page = (tmp_path / "out" / "audit.html").read_text()
    assert [kind for kind, reader in READERS.items() if reader.title in page] == [decoder]


def test_levels_are_chosen_by_number(models, photographs_folder, tmp_path):
    data = many(photographs_folder, tmp_path)
    arguments = ("--data", data, "--size", 16, "--steps", 2, "--out", tmp_path / "out", "--levels", "2",
                 "--decoder", "mirrored")  # fmt: skip
    status, output = call("audit", "models.py:build", *arguments)
    assert status == 0, output
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert [(level["number"], level["name"]) for level in content["levels"]] == [(2, "3")]
    assert (tmp_path / "out" / "pictures" / "alone-2.png").exists()
    assert not (tmp_path / "out" / "pictures" / "alone-1.png").exists()
