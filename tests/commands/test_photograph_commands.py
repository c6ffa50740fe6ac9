"""demo and reconstruct; tests/codec/test_switch_files.py has encode, decode and inspect."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.data import photographs
from maxtunnel.data.images import read_image, to_float
from maxtunnel.evaluation.metrics import rmse
from maxtunnel.report import demo
from maxtunnel.report.demo import run_demo
from maxtunnel.report.sheet import CAPTION, MARGIN, sheet
from maxtunnel.zoo.names import load, shipped
from tools.command_line import call, here

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def photograph(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (61, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def small_photographs(monkeypatch):
    """Those of the package, 96 pixels of them; tests/test_package.py has the demo of the whole ones."""
    small = {name: pixels[:, 80:176, 80:176] for name, pixels in photographs.demo_photographs().items()}
    monkeypatch.setattr(demo, "demo_photographs", lambda: small)


@pytest.mark.usefixtures("small_photographs")
def test_demo_shows_both_decoders_of_the_same_switches(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(demo, "sheet", lambda rows: drawn.extend(rows) or sheet(rows))
    output = call("demo", "--out", tmp_path / "demo")
    assert read_image(tmp_path / "demo" / "demo.png").shape[1] == 2 * MARGIN + 3 * (96 + CAPTION)
    assert [row.name for row in drawn] == ["originals", "16-16-16 (shipped)", "16-16-16-strong (shipped)"]
    originals, paper, strong = (row.images for row in drawn)
    errors = [rmse(images, to_float(originals)) for images in (paper, strong)]
    bits = "3.5 bits per pixel and colour channel"
    assert drawn[1].caption == f"{bits}, read by the paper's decoder: RMSE {errors[0]:.3f}"
    assert drawn[2].caption == f"the same switches, read by a strong decoder: RMSE {errors[1]:.3f}"
    assert all(f"{error:.4f}" in output for error in errors)
    # The pictures are of the switches that are named.
    code = load("16-16-16").encode(to_float(originals))
    assert torch.allclose(strong, load("16-16-16-strong").decode(code), atol=1e-5)


@pytest.mark.usefixtures("small_photographs")
def test_demo_shows_the_models_asked_for(tmp_path):
    output = call("demo", "-m", "8-8-8", "-m", "16-16-16", "--out", tmp_path / "demo")
    assert read_image(tmp_path / "demo" / "demo.png").shape[1] == 2 * MARGIN + 3 * (96 + CAPTION)
    assert [name for name in shipped() if f"\n{name} (shipped) " in output] == ["8-8-8", "16-16-16"]


@pytest.mark.usefixtures("small_photographs")
def test_switches_of_another_encoder_are_not_called_the_same(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(demo, "sheet", lambda rows: drawn.extend(rows) or sheet(rows))
    run_demo(tmp_path, ["8-8-8", "16-16-16"])
    assert not any("same switches" in row.caption for row in drawn)


def test_reconstruct_keeps_the_size(tmp_path, photograph):
    output, _ = here("reconstruct", photograph, "--model", "8-8-8", "--out", tmp_path / "out")
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
    Image.open(Path(photographs.__file__).with_name("chelsea.jpg")).resize(size).save(tmp_path / "cat.png")
    call("reconstruct", tmp_path / "cat.png", "-m", "16-16-16", "-o", tmp_path / "out")
    assert read_image(tmp_path / "out" / "cat-16-16-16.png").shape == (3, size[1], size[0])


def test_reconstruct_does_what_it_can_and_names_the_rest(tmp_path, photograph):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "photo.jpg").write_bytes(photograph.read_bytes())
    (tmp_path / "more" / "text.jpg").write_text("no picture")
    arguments = ("-m", "8-8-8", "-o", tmp_path / "out")
    # What stands in a folder is skipped; what was asked for by name is an error.
    _, errors = here("reconstruct", photograph, tmp_path / "more", *arguments)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "photo-8-8-8-2.png",
        "photo-8-8-8.png",
    ]
    assert "skipped (1):" in errors
    assert "text.jpg" in errors
    here("reconstruct", photograph, tmp_path / "more" / "text.jpg", *arguments, status=2)


@pytest.mark.parametrize("command", ["encode", "reconstruct"])
def test_a_folder_of_which_nothing_can_be_read_is_a_failure(tmp_path, command):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.jpg").write_text("no picture")
    _, errors = here(command, tmp_path / "bad", "-m", "8-8-8", "-o", tmp_path / "out", status=2)
    assert "skipped (1):" in errors


@pytest.mark.parametrize("command", ["encode", "reconstruct"])
def test_a_photograph_that_was_asked_for_is_missed_however_its_path_is_written(
    tmp_path, monkeypatch, photographs_folder, command
):
    monkeypatch.chdir(tmp_path)
    Path("bad.jpg").write_text("no picture")
    _, errors = here(command, "./bad.jpg", "photographs/class0/00.png", "-m", "8-8-8", "-o", "out", status=2)
    assert "skipped (1):" in errors
    _, errors = here(command, "./bad.jpg", "-m", "8-8-8", "-o", "out", status=2)
    assert errors.startswith("maxtunnel: bad.jpg is no image")


def test_demo_draws_nothing_where_one_model_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "evaluate", lambda *_, **__: pytest.fail("a network was measured"))
    with pytest.raises(ValueError, match="no model 'nope'"):
        run_demo(tmp_path, ["8-8-8", "nope"])
