"""`maxtunnel segment`, and classes as pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.data.dense import read_label_image
from maxtunnel.data.images import shrink
from maxtunnel.models.cedn import cedn
from maxtunnel.models.segnet import segnet_basic
from maxtunnel.report.classes import class_colours, class_names, class_sheet, colour, legend_list, overlay
from maxtunnel.report.dense_files import segment_files
from maxtunnel.report.sheet import GAP, MARGIN
from tools.command_line import here, refuse


@pytest.fixture
def model(tmp_path):
    network = segnet_basic(11, 2)
    torch.nn.init.ones_(network.decoder.constant)
    path = tmp_path / "network.safetensors"
    network.save(path)
    return path


def photograph(path, height, width, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def height(path):
    with Image.open(path) as picture:
        return picture.size[1]


def test_classes_have_names_and_colours_of_their_own():
    assert class_names(11)[8] == "car"
    assert class_names(21)[8] == "cat"
    assert class_names(3) == ("class 1", "class 2", "class 3")
    for classes in (2, 3, 11, 21):
        assert len({tuple(row) for row in class_colours(classes)[:classes].tolist()}) == classes
    # Void, and what is no class, is black.
    assert class_colours(11)[255].tolist() == class_colours(11)[11].tolist() == [0, 0, 0]
    assert class_colours(11)[3].tolist() == [128, 64, 128]
    labels = torch.tensor([[0, 3], [8, 255]])
    picture = colour(labels, 11)
    assert picture[:, 0, 1].tolist() == [128, 64, 128]
    assert colour(labels.expand(5, 2, 2), 11).shape == (5, 3, 2, 2)
    pixels = torch.full((3, 2, 2), 200, dtype=torch.uint8)
    assert overlay(pixels, labels, 11)[0, 0, 1] == round(0.55 * 128 + 0.45 * 200)
    assert "rgb(128,64,128)" in legend_list(11, class_names(11))


@pytest.mark.parametrize(("height", "width"), [(20, 30), (4, 300), (200, 3)])
def test_a_sheet_holds_its_pictures_pixel_for_pixel(height, width):
    pictures = [
        (name, torch.full((3, height, width), 10 * n, dtype=torch.uint8)) for n, name in enumerate("abc")
    ]
    sheet = np.asarray(class_sheet(pictures, range(11), 11))
    for n in range(3):
        assert (sheet == 10 * n).all(-1).sum() >= height * width
    # And a patch of each class in the legend.
    assert (sheet == [64, 0, 128]).all(-1).any()


@pytest.mark.parametrize(("height", "width"), [(20, 30), (30, 400), (200, 3)])
def test_what_stands_above_narrow_pictures_does_not_overlap(height, width):
    """Each of six is written out, with nothing beside it for as wide as pictures lie apart at least."""
    heads = [sign * 20 for sign in "mwoaxz"]
    blank = torch.full((3, height, width), 255, dtype=torch.uint8)
    dark = (np.asarray(class_sheet([(head, blank) for head in heads], (), 11)) < 128).any(-1)
    assert not dark[:, :MARGIN].any()
    assert not dark[:, -MARGIN:].any()
    # Apart by a row of pictures.
    lines = groups(dark.any(1), 16)
    words = [groups(dark[line].any(0), GAP) for line in lines]
    assert [len(line) for line in words] == ([1] * 6 if width == 400 else [3, 3])


def groups(there, apart):
    """The numbers of what is there, cut where so many are not."""
    numbers = np.flatnonzero(there)
    return np.split(numbers, np.flatnonzero(np.diff(numbers) >= apart) + 1)


@pytest.mark.usefixtures("one_thread")
def test_pictures_of_any_size_and_masks(tmp_path, model):
    folder, out = tmp_path / "photographs", tmp_path / "out"
    photograph(folder / "odd.png", 37, 53)
    photograph(folder / "large.jpg", 90, 200, seed=1)
    photograph(folder / "tiny.png", 1, 1)
    whole = photograph(tmp_path / "whole.jpg", 64, 64).read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    text, errors = here("segment", folder, "--model", model, "--out", out, "--side", 64, "--masks")
    assert sorted(path.name for path in out.glob("*.png")) == sorted(
        f"{name}-{kind}.png" for name in ("odd", "large", "tiny") for kind in ("classes", "mask")
    )
    assert "odd-classes.png" in text
    assert "broken.jpg is cut short" in errors
    # Classes as numbers, at the photograph's own size.
    mask = read_label_image(out / "large-mask.png")
    assert mask.shape == (1, 90, 200)
    assert int(mask.max()) < 11
    # The same network may replace its pictures, another one may not.
    here("segment", folder / "odd.png", "--model", model, "--out", out)
    segnet_basic(11, 2, seed=1).save(model)
    said = refuse("segment", str(folder / "odd.png"), "--model", str(model), "--out", str(out))
    assert "odd-classes.png is there, and was not made by this network" in said
    here("segment", folder / "odd.png", "--model", model, "--out", out, "--force")


@pytest.mark.usefixtures("one_thread")
def test_the_decoder_is_given_what_is_asked_for(tmp_path, model):
    first, second = photograph(tmp_path / "a.png", 24, 32), photograph(tmp_path / "b.png", 24, 32, seed=1)

    def mask(number, **asked):
        segment_files([first, second], model, tmp_path, masks=True, **asked)
        return read_label_image(tmp_path / f"{'ab'[number]}-mask.png")

    masks = {given: mask(0, switches=given) for given in ("known", "fixed", "other", "constant")}
    assert len({each.numpy().tobytes() for each in masks.values()}) == 4
    # The next image's switches, or those of one that is named.
    assert torch.equal(mask(0, switches="other", other=second), masks["other"])
    assert torch.equal(mask(0, switches="other", other=first), masks["known"])
    # All in one picture: that of all four, and the photograph.
    segment_files([first, second], model, tmp_path / "all", "all")
    assert height(tmp_path / "all" / "a-classes.png") > height(tmp_path / "a-classes.png")


def test_photographs_are_shrunk_and_never_enlarged():
    pixels = torch.zeros(3, 40, 100, dtype=torch.uint8)
    assert shrink(pixels, 50).shape == (3, 20, 50)
    assert shrink(pixels, 100) is pixels
    assert shrink(pixels[:, :1], 10).shape == (3, 1, 10)


def test_what_cannot_be_is_one_line(tmp_path, model):
    image, missing = photograph(tmp_path / "a.png", 24, 32), tmp_path / "nothing.png"
    empty = tmp_path / "empty"
    empty.mkdir()
    cedn(4, side=1).save(tmp_path / "contours.safetensors")
    asked = {
        (image, tmp_path / "no"): "no does not exist: expected the file of a network",
        (image, tmp_path): "is a folder: expected the file of a network",
        (image, image): "is a photograph, not a network",
        (image, tmp_path / "contours.safetensors"): "has one answer a pixel, as for contours",
        (missing, model): "nothing.png cannot be opened",
        (empty, model): "empty holds no image",
    }
    for (what, network), message in asked.items():
        assert message in refuse(
            "segment", str(what), "--model", str(network), "--out", str(tmp_path / "out")
        )
    said = refuse("segment", str(image), "--model", str(model), "--switches", "other")
    assert "--switches other needs another image: give it (--other), or two images" in said
    said = refuse(
        "segment", str(image), "--model", str(model), "--switches", "other", "--other", str(missing)
    )
    assert "nothing.png cannot be opened" in said
    # One of several that was named and cannot be read: the others are drawn, and the status says so.
    out = tmp_path / "out"
    _, errors = here("segment", image, missing, "--model", model, "--out", out, status=2)
    assert "nothing.png cannot be opened" in errors
    assert (out / "a-classes.png").is_file()


@pytest.mark.usefixtures("one_thread")
def test_the_switches_of_the_next_image_that_can_be_read_are_taken(tmp_path, model):
    folder = tmp_path / "photographs"
    photograph(folder / "a.png", 37, 53)
    photograph(folder / "c.png", 40, 50, seed=1)
    (folder / "b.png").write_text("text")
    written, skipped = segment_files(folder, model, tmp_path / "out", "all")
    assert [path.name for path, _ in written] == ["a-classes.png", "c-classes.png"]
    assert [path.name for path, _ in skipped] == ["b.png"]
    (folder / "c.png").unlink()
    written, skipped = segment_files(folder, model, tmp_path / "alone", "other")
    assert not written
    assert any("no other image can be read" in reason for _, reason in skipped)
