"""Whatever takes photographs takes a folder or a store."""

from pathlib import Path

import pytest
import torch
from small_sources import SIZE, one_line

from maxtunnel.data import MappedPixels, image_set, prepare, read_photographs
from maxtunnel.data.image_set import refuse_copies, refuse_trained_on


@pytest.mark.parametrize("limit", [None, 4, 100])
@pytest.mark.parametrize("room", [True, False])
def test_a_folder_and_its_store_read_the_same(classes, prepared, monkeypatch, limit, room):
    monkeypatch.setattr(image_set, "_fits", lambda pixels: room)
    folder = read_photographs(classes, SIZE, limit=limit)
    stored = read_photographs(prepared, SIZE, limit=limit)
    assert isinstance(stored.pixels, torch.Tensor if room else MappedPixels)
    assert torch.equal(stored.pixels[:], folder.pixels)
    assert torch.equal(stored.labels, folder.labels)
    assert stored.class_names == folder.class_names == ("ant", "bee", "cat")
    assert [str(classes / path) for path in stored.paths] == folder.paths


def test_a_flat_folder_and_its_store_have_no_classes(classes, tmp_path):
    (classes / "bee" / "000.png").write_bytes(b"")
    prepare(classes / "bee", tmp_path / "out", size=SIZE)
    for source in (classes / "bee", tmp_path / "out"):
        found = read_photographs(source, SIZE)
        assert found.labels is None
        assert found.class_names == ()
        assert [Path(path).name for path, _ in found.skipped] == ["000.png"]


def test_a_store_made_otherwise_is_refused(prepared):
    for size, resize in ((32, "bilinear"), (SIZE, "antialias")):
        with pytest.raises(ValueError, match="`size` 16 and `resize` bilinear") as error:
            read_photographs(prepared, size, resize)
        one_line(error, prepared)
    with pytest.raises(ValueError, match="`limit` is 0"):
        read_photographs(prepared, SIZE, limit=0)


def test_reading_a_folder_is_told_with_its_name(classes, prepared):
    seen = []
    read_photographs(classes, SIZE, limit=4, on_progress=lambda *what: seen.append(what))
    assert seen == [("read", done, 4, "classes") for done in range(1, 5)]
    read_photographs(prepared, SIZE, on_progress=lambda *what: seen.append(what))
    assert len(seen) == 4


@pytest.mark.usefixtures("small_shards")
def test_classes_are_numbered_over_all_files_however_few_are_read(classes, tmp_path):
    (classes / "ant" / "000.png").write_bytes(b"")
    prepare(classes, tmp_path / "out", size=SIZE)
    found = read_photographs(classes, SIZE, limit=2)
    assert found.class_names == ("ant", "bee", "cat")
    assert found.labels.tolist() == [1]
    stored = read_photographs(tmp_path / "out", SIZE, limit=3)
    assert stored.labels.tolist() == [0, 1, 1]
    assert stored.paths == ["ant/001.png", "bee/000.png", "bee/003.png"]


def test_photographs_that_are_trained_on_are_not_measured_on(classes, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(classes)
    same = tmp_path / "same"
    prepare(classes, same, size=SIZE)
    (tmp_path / "link").symlink_to(classes)
    for trained, measured in ((classes, "."), (tmp_path / "link", classes), (prepared, same)):
        with pytest.raises(ValueError, match="which is `data` too: measure on photographs that were not"):
            refuse_trained_on(trained, measured)
    for trained, measured in ((classes, "ant"), (classes / "ant", classes)):
        with pytest.raises(
            ValueError, match=rf"^`test` is {measured}, which shares photographs with `train`"
        ):
            refuse_trained_on(trained, measured, ("train", "test"))
    prepare(classes / "ant", classes / "store", size=SIZE)
    for trained, measured in (("ant", "bee"), (prepared, classes / "store"), (classes, classes / "store")):
        refuse_trained_on(trained, measured)


@pytest.mark.parametrize(("copies", "refused"), [(0, False), (1, False), (2, True), (100, True)])
def test_copies_are_found_whatever_they_are_called(copies, refused):
    drawn = torch.randint(0, 256, (300, 3, 4, 4), dtype=torch.uint8, generator=generator())
    trained, measured = drawn[:200], torch.cat([drawn[:copies], drawn[200:]])[:100]
    if not refused:
        refuse_copies(trained, measured)
        return
    with pytest.raises(
        ValueError,
        match=rf"^{copies} of the 100 photographs of `holdout` are in `data` too, .* \(number 1 is ",
    ):
        refuse_copies(trained, measured)
    with pytest.raises(ValueError, match=r"\(number 1 is number 2 there\)"):
        refuse_copies(trained.roll(1, 0), measured)


def generator():
    return torch.Generator().manual_seed(0)
