"""The command line, run as a person runs it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maxtunnel.__main__ import app
from maxtunnel.data.images import read_image
from maxtunnel.zoo.names import WEIGHTS, shipped

pytestmark = pytest.mark.usefixtures("one_thread")


def run(*arguments, status=0):
    """Run in a process of its own; standard output and error as text."""
    done = subprocess.run(
        [sys.executable, "-m", "maxtunnel", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def call(*arguments):
    """Run in this process, which is quicker."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def photograph(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (61, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_demo_shows_every_shipped_network(tmp_path):
    output = call("demo", "--out", tmp_path / "demo")
    picture = read_image(tmp_path / "demo" / "demo.png")
    assert picture.shape[1] > 256 * (1 + len(shipped()))
    assert all(name in output for name in shipped())


def test_demo_shows_the_models_asked_for(tmp_path):
    output = call("demo", "-m", "8-8-8", "-m", "16-16-16", "--out", tmp_path / "demo")
    assert 256 * 3 < read_image(tmp_path / "demo" / "demo.png").shape[1] < 256 * 4
    assert [name for name in shipped() if f" {name} " in output] == ["8-8-8", "16-16-16"]


def test_reconstruct_keeps_the_size(tmp_path, photograph):
    output, _ = run("reconstruct", photograph, "--model", "8-8-8", "--out", tmp_path / "out")
    picture = read_image(tmp_path / "out" / "photo-8-8-8.png")
    assert picture.shape == (3, 61, 40)
    assert "photo-8-8-8.png" in output
    call("reconstruct", photograph, "-m", "8-8-8", "-o", tmp_path / "two", "--side-by-side")
    both = read_image(tmp_path / "two" / "photo-8-8-8.png")
    assert both.shape == (3, 61, 80)
    assert both[:, :, :40].equal(read_image(photograph))
    assert both[:, :, 40:].equal(picture)


@pytest.mark.parametrize("size", [(1024, 1024), (601, 399)])
def test_large_and_odd_photographs_come_back_at_their_own_size(tmp_path, size):
    chelsea = WEIGHTS.parent / "photographs" / "chelsea.jpg"
    Image.open(chelsea).resize(size).save(tmp_path / "cat.png")
    call("reconstruct", tmp_path / "cat.png", "-m", "16-16-16", "-o", tmp_path / "out")
    assert read_image(tmp_path / "out" / "cat-16-16-16.png").shape == (3, size[1], size[0])


def test_reconstruct_does_what_it_can_and_names_the_rest(tmp_path, photograph):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "photo.jpg").write_bytes(photograph.read_bytes())
    (tmp_path / "more" / "text.jpg").write_text("no picture")
    arguments = ("-m", "8-8-8", "-o", tmp_path / "out")
    # What stands in a folder is skipped; what was asked for by name is an error.
    _, errors = run("reconstruct", photograph, tmp_path / "more", *arguments)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "photo-8-8-8-2.png",
        "photo-8-8-8.png",
    ]
    assert "unreadable and skipped (1)" in errors
    assert "text.jpg" in errors
    run("reconstruct", photograph, tmp_path / "more" / "text.jpg", *arguments, status=2)


def test_evaluate_writes_json(tmp_path, photographs_folder):
    (photographs_folder / "bad.png").write_bytes(b"\x89PNG")
    output, errors = run(
        "evaluate",
        "8-8-8",
        "--data",
        photographs_folder,
        "--size",
        32,
        "--json",
        tmp_path / "r.json",
        "--limit",
        6,
    )
    assert json.loads((tmp_path / "r.json").read_text())["architecture"] == "8-8-8"
    assert "1.75" in output
    assert "bad.png" in errors


def test_train_resume_and_use(tmp_path, photographs_folder, photograph):
    arguments = ("--data", photographs_folder, "--val", photographs_folder / "class0", "--size", "16")
    output, errors = run("train", "4-4", *arguments, "--steps", 60, "--out", tmp_path / "run")
    assert "RMSE" in output
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["steps"] == 60
    run("train", "--resume", tmp_path / "run")
    assert "Saved" in output
    call("reconstruct", photograph, "-m", tmp_path / "run", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "photo-run.png").exists()
    # Another decoder on the same encoder.
    run(
        "train", "4-4", *arguments, "--steps", 20, "--encoder", tmp_path / "run", "--out", tmp_path / "second"
    )
    _, errors = run("train", "4-4", *arguments, "--out", tmp_path / "run", status=2)
    assert "holds a run already" in errors


def test_models_and_summary():
    output = call("models")
    assert all(name in output for name in shipped())
    output = call("summary", "48-96-192")
    assert "deconv1_2" in output
    assert "14 bits per pixel" in output
    assert "128x128" in call("summary", "8-8-8")


def test_import_caffe_says_what_a_missing_mean_costs(shared, tmp_path):
    snapshot = shared / "reference/snapshots/net8_8_8_iter_50000.caffemodel"
    output, errors = run("import-caffe", snapshot, tmp_path / "net.safetensors")
    assert "5-9 %" in output + errors
    assert (tmp_path / "net.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reconstruct", "nowhere.jpg"], "nowhere.jpg"),
        (["reconstruct", "x.png", "--model", "9-9-9"], "no model '9-9-9'"),
        (["evaluate", "8-8-8", "--data", "nowhere"], "nowhere"),
        (["evaluate", "8-8-8", "--data", ".", "--size", "4"], "size"),
        (["train", "8-x", "--data", ".", "--out", "run"], "no architecture"),
        (["train"], "--resume RUN"),
        (["train", "--resume", "nowhere"], "nowhere is no run"),
        (["train", "8-8", "--resume", "nowhere"], "give nothing else"),
        (["demo", "--model", "9-9-9"], "no model '9-9-9'"),
        (["demo", "--out", "/dev/null/x"], "/dev/null is a file: give a folder"),
        (["train", "8-8", "--data", ".", "--out", "r", "--steps", "5", "--minutes", "1"], "one of them"),
        (["summary", "big"], "no architecture"),
        (["import-caffe", "nowhere.caffemodel", "x.safetensors"], "nowhere.caffemodel"),
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
        (["serve", "--max-side", "100"], "a side of 128"),
        (["serve", "--auth", "name"], "NAME:PASSWORD"),
        (["sing"], "sing"),
    ],
)
def test_errors_are_one_line_and_status_2(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    _, errors = run(*arguments, status=2)
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert errors.startswith("maxtunnel: ")
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_and_gives_an_example():
    began = time.perf_counter()
    output, _ = run("--help")
    seconds = time.perf_counter() - began
    assert "Commands" in output
    # Alone it takes 0.2 to 0.4 s; the bound leaves room for a busy machine.
    assert seconds < 2
    for command in (
        "audit",
        "demo",
        "reconstruct",
        "evaluate",
        "train",
        "import-caffe",
        "models",
        "summary",
        "encode",
        "decode",
        "reproduce",
        "figure",
        "serve",
    ):
        assert "Example" in call(command, "--help")


def test_help_loads_nothing_heavy():
    code = "import sys, maxtunnel.__main__; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_library_exports_what_the_readme_uses():
    import maxtunnel

    assert all(getattr(maxtunnel, name) is not None for name in maxtunnel.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = maxtunnel.nothing
    assert Path(maxtunnel.__file__).parent.joinpath("native", "pooling.cpp").exists()
