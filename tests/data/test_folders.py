import numpy as np
import pytest
import torch
from small_pictures import RGB, photograph, refusal, saved

from maxtunnel.data.folders import (
    evenly_spaced,
    label_by_folder,
    list_images,
    list_names,
    read_files,
    read_folder,
)
from maxtunnel.data.formats import SUFFIXES
from maxtunnel.data.images import read_image, resize

# Of the others this Pillow may write none, and PGM is grey.
WRITTEN = [suffix for suffix in SUFFIXES if suffix not in ("pgm", "heic", "heif", "avif")]


@pytest.fixture
def folder(tmp_path):
    """Ten images in three class folders and what must be passed over or skipped."""
    root = tmp_path / "photographs"
    for index, place in enumerate(["b/2", "b/10", "a/1", "a/z", "c/0", "c/1", "c/2", "c/3", "top", "a-1"]):
        path = root / f"{place}.{WRITTEN[index % len(WRITTEN)].upper()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        saved(path, np.full((20 + index, 30, 3), 20 * index, np.uint8))
    (root / ".cache").mkdir()
    saved(root / ".cache" / "thumbnail.png", RGB)
    (root / "a" / "._1.jpg").write_bytes(b"resource fork")
    (root / "notes.txt").write_text("no image")
    return root


def test_list_images_is_sorted_and_passes_over_the_rest(folder):
    names = [path.relative_to(folder).as_posix() for path in list_images(str(folder))]
    places = ["a-1", "a/1", "a/z", "b/10", "b/2", "c/0", "c/1", "c/2", "c/3", "top"]
    assert [name.rsplit(".", 1)[0] for name in names] == places
    assert {name.rsplit(".", 1)[1].lower() for name in names} == set(WRITTEN)


def test_list_images_refuses_what_holds_none(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    message = refusal(list_images, tmp_path)
    assert message.startswith(f"{tmp_path} holds no image, only 1 .txt: give one with files that end in")
    assert all(suffix in message for suffix in SUFFIXES)
    for wrong, reason in (("missing", "No such file"), ("notes.txt", "Not a directory")):
        message = refusal(list_images, tmp_path / wrong)
        assert str(tmp_path / wrong) in message
        assert reason in message


@pytest.mark.parametrize("workers", [1, 4, None])
def test_read_folder_keeps_the_order_and_lists_what_it_skipped(folder, workers):
    bad = [folder / "a" / "0.jpg", folder / "b" / "3.png"]
    for path in bad:
        path.write_bytes(b"no image")
    seen = []
    result = read_folder(folder, 16, on_progress=lambda *what: seen.append(what), workers=workers)
    assert seen == [("read", done, 12, "photographs") for done in range(1, 13)]
    assert result.paths == tuple(path for path in list_images(folder) if path not in bad)
    assert [path for path, _ in result.skipped] == bad
    assert all(reason.startswith(str(path)) for path, reason in result.skipped)
    assert result.pixels.shape == (10, 3, 16, 16)
    for pixels, path in zip(result.pixels, result.paths, strict=True):
        assert torch.equal(pixels, resize(read_image(path), (16, 16)))


def test_limit_resize_and_a_list_of_files(folder):
    files = list_images(folder)
    for path in files:
        saved(path, photograph((40, 50)))
    assert read_folder(folder, 8, limit=3).paths == (files[0], files[3], files[6])
    assert read_folder(folder, 8, limit=99).paths == tuple(files)
    given_files = read_files([files[5], str(files[1])], 8, "antialias")
    assert given_files.paths == (files[5], files[1])
    assert torch.equal(given_files.pixels[1], resize(read_image(files[1]), (8, 8), "antialias"))
    assert read_folder(folder, None).pixels.shape == (10, 3, 40, 50)
    with pytest.raises(ValueError, match="`limit` is 0"):
        read_folder(folder, 8, limit=0)


def test_read_folder_refuses_mixed_sizes_and_a_folder_without_one_readable_file(folder, tmp_path):
    with pytest.raises(ValueError, match="30x22 but the images before it 30x29: give a `size`"):
        read_folder(folder, None)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"")
    assert "no file of 1 " in refusal(read_folder, tmp_path / "bad", 8)
    assert "no file of 0 " in refusal(read_files, [], 8)


def test_names_are_the_paths_inside_the_folder(folder, monkeypatch):
    names = list_names(folder)
    assert [folder / name for name in names] == list_images(folder)
    monkeypatch.chdir(folder)
    assert list_names(".") == names


def test_the_first_folder_on_the_path_is_the_class():
    labels, classes = label_by_folder(["b/x/1.png", "a/2.png", "b/1.png", "c/a/1.png"])
    assert labels.tolist() == [1, 0, 1, 2]
    assert classes == ("a", "b", "c")


def test_a_file_in_no_folder_leaves_all_without_a_class():
    labels, classes = label_by_folder(["a/1.png", "top.png"])
    assert labels.tolist() == [-1, -1]
    assert classes == ()


def test_evenly_spaced_numbers_are_distinct_sorted_and_end_within():
    for count in range(12):
        assert evenly_spaced(count, None) == evenly_spaced(count, 99) == list(range(count))
        for limit in range(1, count + 1):
            numbers = evenly_spaced(count, limit)
            steps = np.diff([*numbers, count])
            assert (len(numbers), numbers[0]) == (limit, 0)
            assert steps.max() - steps.min() <= 1


def test_the_current_folder_is_told_by_its_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    notes = set()
    read_folder(".", 8, on_progress=lambda phase, done, total, note: notes.add(note))
    assert notes == {"photographs"}
