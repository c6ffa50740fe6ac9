"""What lies in a folder: linked folders, rings of links, links that lead nowhere, and all else told."""

import os

import pytest
import torch
from small_pictures import refusal
from small_sources import SIZE, picture_classes

from maxtunnel.data import open_store, prepare, read_photographs
from maxtunnel.data.folders import list_names
from maxtunnel.data.survey import count_kinds, survey, tell


def test_a_class_folder_that_is_a_link_is_entered(tmp_path):
    picture_classes(tmp_path / "elsewhere", {"bee": 3})
    root = picture_classes(tmp_path / "root", {"ant": 1})
    (root / "bee").symlink_to(tmp_path / "elsewhere" / "bee")
    assert list_names(root) == ["ant/000.png", "bee/000.png", "bee/001.png", "bee/002.png"]
    manifest = prepare(root, tmp_path / "out", size=SIZE)
    assert (manifest.found, manifest.images, manifest.class_names) == (4, 4, ("ant", "bee"))
    assert read_photographs(root, SIZE).labels.tolist() == [0, 1, 1, 1]


def test_each_folder_is_entered_once_and_rings_end(tmp_path):
    root = picture_classes(tmp_path / "root", {"ant": 2, "bee/deep": 1})
    (root / "bee" / "ring").symlink_to(root / "bee")
    (root / "bee" / "out").symlink_to(tmp_path)
    (root / "aa").symlink_to(root / "bee")
    outside = picture_classes(tmp_path / "outside", {"x": 1, "x/y": 1})
    for name, target in (("l1", outside / "x" / "y"), ("l2", outside / "x"), ("l3", outside / "x")):
        (root / name).symlink_to(target)
    (outside / "x" / "back").symlink_to(root)
    found = survey(root)
    assert found.images == ["ant/000.png", "ant/001.png", "bee/deep/000.png", "l1/000.png", "l2/000.png"]
    # ring, out, aa, l2/y, l3 and back.
    assert found.ignored == (("link to a folder that is read already", 6),)
    assert found.skipped == ()


def test_one_link_that_leads_nowhere_ends_nothing(tmp_path):
    root = picture_classes(tmp_path / "root", {"ant": 2, "bee": 1})
    (root / "bee" / "gone.png").symlink_to(tmp_path / "gone.png")
    (root / "cat").symlink_to(tmp_path / "gone")
    (root / "ant" / "ring.jpg").symlink_to("ring.jpg")
    manifest = prepare(root, tmp_path / "out", size=SIZE)
    reasons = dict(manifest.skipped)
    assert set(reasons) == {"bee/gone.png", "cat", "ant/ring.jpg"}
    assert all("is a link to" in reason and "cannot be found" in reason for reason in reasons.values())
    assert (manifest.found, manifest.images) == (6, 3)
    photographs = read_photographs(root, SIZE)
    told = sorted(reason for _, reason in photographs.skipped)
    assert [text.split(" is a link to ")[0] for text in told] == [
        str(root / name) for name in ("ant/ring.jpg", "bee/gone.png", "cat")
    ]
    assert torch.equal(photographs.pixels, open_store(tmp_path / "out").pixels.load())


def test_what_is_no_image_is_counted(tmp_path):
    root = picture_classes(tmp_path / "root", {"ant": 2})
    for name in ("notes.txt", "ant/more.TXT", "README", "ant/.DS_Store", ".git/config", "a.jp2"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    expected = ((".jp2", 1), (".txt", 2), ("hidden", 2), ("without suffix", 1))
    assert survey(root).ignored == expected
    assert read_photographs(root, SIZE).ignored == expected
    manifest = prepare(root, tmp_path / "out", size=SIZE)
    assert manifest.ignored == expected
    assert manifest.account() == "8 found: 2 images, 6 ignored (1 .jp2, 2 .txt, 2 hidden, 1 without suffix)"


def test_very_many_kinds_are_told_together():
    kinds = [f".{number}" for number in range(1000)] + [".txt"] * 5
    ignored = count_kinds(kinds)
    assert len(ignored) == 21
    assert dict(ignored)[".txt"] == 5
    assert sum(count for _, count in ignored) == 1005
    assert tell(((".txt", 1234), ("hidden", 1))) == "1,234 .txt, 1 hidden"


def test_a_folder_without_images_tells_what_it_holds_and_what_is_wrong(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.parquet.gz").touch()
    (tmp_path / "in" / "photographs").symlink_to(tmp_path / "unplugged")
    message = refusal(list_names, tmp_path / "in")
    assert "holds no image, only 3 .gz; photographs is a link to" in message


def test_a_folder_that_must_not_be_read_is_skipped(tmp_path, monkeypatch):
    root = picture_classes(tmp_path / "root", {"ant": 2, "lost+found": 1})
    scandir = os.scandir

    def deny(place):
        if str(place).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", deny)
    found = survey(root)
    assert found.images == ["ant/000.png", "ant/001.png"]
    assert found.skipped == (
        ("lost+found", "cannot be read (Permission denied): allow it, or move the folder away"),
    )
    assert "Permission denied" in refusal(survey, root / "lost+found")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_with_the_name_of_an_image_is_never_opened(tmp_path):
    root = picture_classes(tmp_path / "root", {"ant": 1})
    os.mkfifo(root / "ant" / "pipe.jpg")
    found = survey(root)
    assert found.images == ["ant/000.png"]
    assert found.skipped == (("ant/pipe.jpg", "is neither a file nor a folder: delete it"),)


def test_a_name_that_no_store_can_hold_is_skipped(tmp_path):
    root = picture_classes(tmp_path / "root", {"ant": 2})
    bad = os.path.join(os.fsencode(root), b"ant", b"\xff.png")
    with open(bad, "wb") as file:
        file.write((root / "ant" / "000.png").read_bytes())
    manifest = prepare(root, tmp_path / "out", size=SIZE)
    assert manifest.skipped == (("ant/\\udcff.png", "has a name that is no UTF-8: rename it"),)
    assert (manifest.found, manifest.images) == (3, 2)
    # In memory any name will do.
    assert len(read_photographs(root, SIZE).paths) == 3
