import os
import shutil
import tracemalloc

import pytest
import torch
from small_sources import SIZE, as_parquet, as_tar, contents, one_line, picture_classes

from maxtunnel.data import is_store, open_store, preparation, prepare, verify
from maxtunnel.data.folders import list_images, read_files, read_folder
from maxtunnel.data.mean import mean_image
from maxtunnel.data.preparation import find_source
from maxtunnel.support.files import FormatError


@pytest.mark.parametrize("resize", ["bilinear", "antialias"])
def test_a_store_holds_what_the_folder_does(classes, tmp_path, small_shards, resize):
    seen = []
    manifest = prepare(
        classes, tmp_path / "out", size=SIZE, resize=resize, on_progress=lambda *what: seen.append(what)
    )
    folder = read_folder(classes, SIZE, resize)
    prepared = open_store(tmp_path / "out")
    assert torch.equal(prepared.pixels.load(), folder.pixels)
    assert torch.equal(prepared.mean, mean_image(folder.pixels))
    assert [str(classes / path) for path in prepared.paths] == [str(path) for path in folder.paths]
    assert prepared.class_names == ("ant", "bee", "cat")
    assert prepared.labels.tolist() == [0] * 4 + [1] * 5 + [2] * 2
    assert manifest == prepared.manifest
    assert [shard.images for shard in manifest.shards] == [3, 3, 3, 2]
    assert (manifest.images, manifest.size, manifest.resize, manifest.seed) == (11, SIZE, resize, None)
    assert seen == [("prepare", done, 11, "") for done in range(1, 12)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes", "out"]


def test_a_flat_folder_has_no_labels(classes, tmp_path):
    prepare(classes / "bee", tmp_path / "out", size=SIZE)
    prepared = open_store(tmp_path / "out")
    assert prepared.class_names == ()
    assert prepared.labels.tolist() == [-1] * 5


def test_all_sources_give_the_same_store(classes, tmp_path, small_shards):
    files = list_images(classes)
    for number, half in enumerate((files[:5], files[5:])):
        as_tar(classes, tmp_path / "tars" / f"s-{number}.tar", half)
        as_parquet(classes, tmp_path / "parquet" / f"train-0000{number}-of-00002.parquet", half)
    sources = {
        "folder": classes,
        "tars": tmp_path / "tars",
        "tar": as_tar(classes, tmp_path / "one.tar"),
        "parquets": tmp_path / "parquet",
        "parquet": as_parquet(classes, tmp_path / "one.parquet", rows=100),
    }
    for select in (None, "3x4"):
        stores = {}
        for name, source in sources.items():
            prepare(source, tmp_path / f"{name}-{select}", size=SIZE, select=select)
            stores[name] = open_store(tmp_path / f"{name}-{select}")
        for name, prepared in stores.items():
            assert torch.equal(prepared.pixels.load(), stores["folder"].pixels.load()), name
            assert torch.equal(prepared.labels, stores["folder"].labels)
            assert list(prepared.paths) == list(stores["folder"].paths)
            names = tuple("012"[("ant", "bee", "cat").index(c)] for c in stores["folder"].class_names)
            assert prepared.class_names == (names if "tar" in name else stores["folder"].class_names)


def test_workers_change_nothing(classes, tmp_path, small_shards):
    prepare(classes, tmp_path / "one", size=SIZE, workers=1)
    prepare(classes, tmp_path / "many", size=SIZE, workers=5)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


@pytest.mark.usefixtures("small_shards")
def test_unreadable_images_are_listed(classes, tmp_path):
    good = [path for path in list_images(classes) if path.stem != "001"]
    for path in set(list_images(classes)) - set(good):
        path.write_bytes(path.read_bytes()[:60] if "ant" in str(path) else b"")
    notes = []
    manifest = prepare(classes, tmp_path / "out", size=SIZE, on_progress=lambda *what: notes.append(what[3]))
    assert [name for name, _ in manifest.skipped] == ["ant/001.png", "bee/001.png", "cat/001.png"]
    assert manifest.skipped[1][1].startswith("is empty")
    assert all(str(tmp_path) not in reason for _, reason in manifest.skipped)
    assert notes[-1] == "3 skipped"
    prepared = open_store(tmp_path / "out")
    assert torch.equal(prepared.pixels.load(), read_files(good, SIZE).pixels)
    assert torch.equal(prepared.mean, mean_image(prepared.pixels.load()))
    assert prepared.labels.tolist() == [0] * 3 + [1] * 4 + [2]
    verify(tmp_path / "out")
    with pytest.raises(FormatError, match="strict") as error:
        prepare(classes, tmp_path / "out", size=SIZE, strict=True)
    one_line(error, "ant/001.png")


def test_strict_stops(classes, tmp_path):
    (classes / "bee" / "001.png").write_bytes(b"no image")
    with pytest.raises(FormatError) as error:
        prepare(classes, tmp_path / "out", size=SIZE, strict=True)
    one_line(error, classes / "bee" / "001.png")
    assert not (tmp_path / "out").exists()


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"no file of 1 .*a\.jpg") as error:
        prepare(tmp_path / "in", tmp_path / "out")
    one_line(error)
    assert not (tmp_path / "out").exists()


def test_memory_does_not_grow_with_the_images(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 32)
    picture_classes(tmp_path / "few", {"a": 48})
    file = tmp_path / "few" / "a" / "000.png"
    (tmp_path / "many" / "a").mkdir(parents=True)
    for number in range(640):
        os.link(file, tmp_path / "many" / "a" / f"{number}.png")
    peaks = []
    for name in ("few", "few", "many"):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        tracemalloc.start()
        prepare(tmp_path / name, tmp_path / "out", size=64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A shard is 393 kB, and all 640 images would be 7.9 MB.
    assert peaks[2] < peaks[1] + 1_000_000


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_few_images_wait_to_be_decoded(classes, tmp_path, monkeypatch, kind):
    source = {"tar": as_tar, "parquet": as_parquet}[kind](classes, tmp_path / f"x.{kind}")
    kind_of_source, taken, waiting = type(find_source(source)), [], []
    images = kind_of_source.images

    def counted(self, items):
        for found in images(self, items):
            taken.append(found)
            yield found

    monkeypatch.setattr(kind_of_source, "images", counted)

    def count(phase, done, total, note):
        waiting.append(len(taken) - done)

    prepare(source, tmp_path / "out", size=SIZE, workers=1, on_progress=count)
    assert max(waiting) == 4
    assert len(taken) == 11


def test_what_is_in_the_way(classes, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "dangling"):
        with pytest.raises(ValueError, match="is no store") as error:
            prepare(classes, tmp_path / name, size=SIZE)
        one_line(error, tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "bare").mkdir()
    prepare(classes, tmp_path / "bare", size=SIZE)
    assert is_store(tmp_path / "bare")


@pytest.mark.parametrize(("size", "workers"), [(0, 1), (4097, 1), (16, 0)])
def test_settings_out_of_range(classes, tmp_path, size, workers):
    with pytest.raises(ValueError, match=r"expected 1 to 4096|at least 1"):
        prepare(classes, tmp_path / "out", size=size, workers=workers)


def test_distinct_needs_a_draw(classes, tmp_path):
    with pytest.raises(ValueError, match="give `select`"):
        prepare(classes, tmp_path / "out", distinct=True)
