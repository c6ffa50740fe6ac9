"""demo and reconstruct; tests/codec/test_switch_files.py has encode, decode and inspect."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maxtunnel.data import photographs
from maxtunnel.data.images import read_image
from maxtunnel.zoo.names import shipped
from tools.command_line import call, run

pytestmark = pytest.mark.usefixtures("one_thread")


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
    assert [name for name in shipped() if f"\n{name} (shipped) " in output] == ["8-8-8", "16-16-16"]


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
    Image.open(Path(photographs.__file__).with_name("chelsea.jpg")).resize(size).save(tmp_path / "cat.png")
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
