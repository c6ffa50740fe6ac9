"""`maxtunnel contours`: photographs to pictures of their contours."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from maxtunnel.codec.files import reconstruct_files
from maxtunnel.data.images import read_image, shrink, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.ridges import thin
from maxtunnel.models.cedn import cedn
from maxtunnel.models.segnet import segnet
from maxtunnel.report.contour_files import contour_files
from maxtunnel.report.contours import lines, over
from tools.command_line import call, refuse

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two photographs, and a network of each kind."""
    folder = tmp_path_factory.mktemp("contours")
    for name, size in (("cat", (60, 44)), ("cup", (45, 60))):
        pixels = demo_photographs()["chelsea" if name == "cat" else "coffee"]
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize(size).save(folder / f"{name}.png")
    network().save(folder / "outlines.safetensors")
    segnet(11, 2).save(folder / "streets.safetensors")
    return folder


def network(seed=2):
    found = cedn(2, side=3, seed=seed)
    with torch.no_grad():
        found.decoder.constant += 1
    return found


def inside(path, picture):
    """Whether a picture stands somewhere in the sheet, pixel for pixel."""
    sheet, tile = np.asarray(Image.open(path).convert("RGB")), picture.permute(1, 2, 0).numpy()
    height, width = tile.shape[:2]
    return any(
        np.array_equal(sheet[top : top + height, left : left + width], tile)
        for top in range(sheet.shape[0] - height + 1)
        for left in range(sheet.shape[1] - width + 1)
        if np.array_equal(sheet[top, left], tile[0, 0])
    )


def test_the_sheet_has_photograph_contours_and_both(folder, tmp_path):
    text = call("contours", folder / "cat.png", "--model", folder / "outlines.safetensors", "--out", tmp_path)
    path = tmp_path / "cat-contours.png"
    assert str(path) in text.replace("\n", "")
    cat = read_image(folder / "cat.png")
    strength = network().answer(to_float(cat)[None])[0, 0].sigmoid()
    for picture in (cat, lines(thin(strength)), over(thin(strength), cat)):
        assert inside(path, picture)
    assert not inside(path, lines(strength))
    contour_files(folder / "cat.png", folder / "outlines.safetensors", tmp_path, thick=True)
    assert inside(path, lines(strength))


def test_a_network_is_given_photographs_as_large_as_its_file_says(folder, tmp_path):
    own = network()
    own.side = 30
    own.save(tmp_path / "small.safetensors")
    contour_files(folder / "cat.png", tmp_path / "small.safetensors", tmp_path, thick=True)
    cat = read_image(folder / "cat.png")
    said = own.answer(to_float(shrink(cat, 30))[None])
    wide = F.interpolate(said, tuple(cat.shape[1:]), mode="bilinear")[0, 0]
    assert inside(tmp_path / "cat-contours.png", lines(wide.sigmoid()))
    # Another side is that of the picture alone.
    [(path, about)], _ = contour_files(
        folder / "cat.png", tmp_path / "small.safetensors", tmp_path, side=40, thick=True
    )
    wide = F.interpolate(said, tuple(shrink(cat, 40).shape[1:]), mode="bilinear")[0, 0]
    assert inside(path, lines(wide.sigmoid()))
    assert about.endswith("; read at 30x22")


def test_every_condition_is_shown_beside_the_others(folder, tmp_path):
    images = [folder / "cat.png", folder / "cup.png"]
    written, skipped = contour_files(
        images, folder / "outlines.safetensors", tmp_path, "all", side=40, strengths=True
    )
    assert not skipped
    assert [path.name for path, _ in written] == [
        "cat-contours.png", "cat-strength.png", "cup-contours.png", "cup-strength.png",
    ]  # fmt: skip
    with Image.open(tmp_path / "cup-strength.png") as grey:
        assert (grey.mode, grey.size) == ("L", (45, 60))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["cat.png", "--model", "streets.safetensors"], "has 11 answers a pixel, as for classes"),
        (["cat.png", "--model", "outlines.safetensors", "--switches", "other"], "needs another image"),
        (["broken.png", "--model", "outlines.safetensors"], "broken.png"),
        (["cat.png", "--model", "missing.safetensors"], "missing.safetensors"),
        (["empty", "--model", "outlines.safetensors"], "empty holds no image"),
        (["cat.png", "--model", "cat.png"], "cat.png"),
    ],
)
def test_what_cannot_be_is_one_line(folder, tmp_path, options, message, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "broken.png").write_bytes((folder / "cat.png").read_bytes()[:300])
    (folder / "empty").mkdir(exist_ok=True)
    error = refuse("contours", *options, "--out", str(tmp_path))
    assert message in error
    (folder / "broken.png").unlink()
    assert not list(tmp_path.glob("*.png"))


def test_a_picture_of_another_network_is_not_replaced(folder, tmp_path):
    contour_files(folder / "cat.png", folder / "outlines.safetensors", tmp_path)
    contour_files(folder / "cat.png", folder / "outlines.safetensors", tmp_path)
    network(seed=5).save(tmp_path / "others.safetensors")
    with pytest.raises(ValueError, match="was not made by this network"):
        contour_files(folder / "cat.png", tmp_path / "others.safetensors", tmp_path)
    contour_files(folder / "cat.png", tmp_path / "others.safetensors", tmp_path, force=True)


def test_a_file_that_cannot_be_read_is_skipped_among_others(folder, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes((folder / "cat.png").read_bytes()[:300])
    written, skipped = contour_files(
        [broken, folder / "cat.png"], folder / "outlines.safetensors", tmp_path / "out"
    )
    assert [path.name for path, _ in written] == ["cat-contours.png"]
    assert [path for path, _ in skipped] == [broken]


def test_pictures_beside_the_photographs_are_no_photographs(tmp_path, folder):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "cat.png").write_bytes((folder / "cat.png").read_bytes())
    for _ in range(2):
        written, skipped = contour_files(place, folder / "outlines.safetensors", place)
        assert ([path.name for path, _ in written], skipped) == (["cat-contours.png"], [])
    written, _ = reconstruct_files(place, "8-8-8", place)
    written, _ = reconstruct_files(place, "8-8-8", place)
    assert [path.name for path, _ in written] == ["cat-8-8-8.png"]
    # In another folder they are pictures as any other.
    written, _ = contour_files(place, folder / "outlines.safetensors", tmp_path / "out")
    assert len(written) == 3
