import errno
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from maxtunnel.data import (
    MappedPixels,
    export,
    image_set,
    is_store,
    open_store,
    preparation,
    prepare,
    read_photographs,
    store,
    verify,
)
from maxtunnel.data.images import list_images, mean_image, read_folder
from maxtunnel.data.preparation import draw, find_source
from maxtunnel.support.files import FormatError

SIZE = 16


@pytest.fixture
def small_shards(monkeypatch):
    """Three images a shard."""
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 3)


@pytest.fixture
def classes(tmp_path):
    """Eleven pictures of several shapes in three classes; in the store's order."""
    return picture_classes(tmp_path / "classes", {"bee": 5, "ant": 4, "cat": 2})


def picture_classes(folder, counts, seed=0):
    values = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            shape = (*values.integers(12, 40, 2), 3)
            picture = Image.fromarray(values.integers(0, 256, shape, dtype=np.uint8))
            picture.save(folder / name / f"{number:03d}.png")
    return folder


def as_tar(folder, tar, files=None):
    """WebDataset shards of a folder of class folders."""
    tar.parent.mkdir(exist_ok=True, parents=True)
    names = sorted({file.parent.name for file in list_images(folder)})
    with tarfile.open(tar, "w") as archive:
        for file in files or list_images(folder):
            key = f"{file.parent.name}/{file.stem}"
            add(archive, f"{key}.png", file.read_bytes())
            add(archive, f"{key}.cls", str(names.index(file.parent.name)).encode())
            add(archive, f"{key}.json", b"{}")
    return tar


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def as_parquet(folder, out, files=None, rows=2):
    """Parquet in the Hugging Face layout of a folder of class folders."""
    out.parent.mkdir(exist_ok=True, parents=True)
    names = sorted({file.parent.name for file in list_images(folder)})
    files = files or list_images(folder)
    images = [{"bytes": f.read_bytes(), "path": f.relative_to(folder).as_posix()} for f in files]
    labels = [names.index(file.parent.name) for file in files]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"image": images, "label": pa.array(labels, pa.int32())})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, out, row_group_size=rows)
    return out


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def one_line(error, *words):
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert str(word) in text, text


def interrupt_at(count):
    def stop(phase, done, total, note):
        if done == count:
            raise KeyboardInterrupt

    return stop


# What a store holds.


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


def test_a_shard_is_an_arrow_file_of_raw_pixels(classes, tmp_path):
    prepare(classes, tmp_path / "out", size=SIZE)
    table = pa.ipc.open_file(pa.memory_map(str(tmp_path / "out" / "shard-00000.arrow"))).read_all()
    assert table.column_names == ["pixels", "label", "path"]
    pixels = table["pixels"].combine_chunks().to_numpy_ndarray()
    assert np.array_equal(pixels, read_folder(classes, SIZE).pixels.numpy())
    assert table["label"].to_pylist()[-1] == 2
    assert table["path"].to_pylist()[0] == "ant/000.png"
    # Raw: the pixels stand in the file as they are.
    assert pixels.tobytes() in (tmp_path / "out" / "shard-00000.arrow").read_bytes()


def test_a_flat_folder_has_no_labels(classes, tmp_path):
    prepare(classes / "bee", tmp_path / "out", size=SIZE)
    prepared = open_store(tmp_path / "out")
    assert prepared.class_names == ()
    assert prepared.labels.tolist() == [-1] * 5


def test_a_folder_is_listed_as_everywhere(classes):
    for name in (".hidden.png", "notes.txt", "b.c/x.JPG", "b/x.jpeg", ".git/x.png", "b-c/x.png", "top.png"):
        (classes / name).parent.mkdir(exist_ok=True)
        (classes / name).write_bytes(b"")
    (classes / "link").symlink_to(classes / "ant")
    listed = [path.relative_to(classes).as_posix() for path in list_images(classes)]
    assert find_source(classes).keys.to_pylist() == listed
    assert find_source(classes).class_names == ()


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


# The draw.


def test_the_draw_is_the_papers(tmp_path):
    folder = tmp_path / "classes"
    counts = {"e": 9, "d": 5, "c": 7, "b": 6, "a": 8}
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}.jpg").touch()
    source = find_source(folder)

    old = np.random.RandomState(3)
    names = [name for name in sorted(counts) if counts[name] >= 6]
    wanted = []
    for name in old.choice(names, 10):
        wanted += [f"{name}/{file}" for file in old.choice(sorted(os.listdir(folder / name)), 6)]
    drawn = source.keys.take(draw(source, "10x6", False, 3)).to_pylist()
    assert drawn == wanted
    assert len(set(drawn)) < 60

    distinct = source.keys.take(draw(source, "4x6", True, 3)).to_pylist()
    assert len(set(distinct)) == 24
    assert {key[0] for key in distinct} == set("abce")


def test_a_selection_is_stored_in_its_order_with_the_classes_it_has(classes, tmp_path, small_shards):
    prepare(classes, tmp_path / "out", size=SIZE, select="1x4", seed=1)
    prepared = open_store(tmp_path / "out")
    source = find_source(classes)
    keys = source.keys.take(draw(source, "1x4", False, 1)).to_pylist()
    assert list(prepared.paths) == keys
    assert prepared.class_names == (keys[0].split("/")[0],)
    assert prepared.labels.tolist() == [0] * 4
    for key, image in zip(keys, prepared.pixels.load(), strict=True):
        assert torch.equal(image, read_folder([classes / key], SIZE).pixels[0])
    assert (prepared.manifest.select, prepared.manifest.seed) == ("1x4", 1)


@pytest.mark.parametrize("select", ["", "100", "100x", "0x4", "3X4", "-1x4", "1x4x2", "٣x٤", "1e3x2"])
def test_a_wrong_selection_is_refused(classes, tmp_path, select):
    with pytest.raises(ValueError, match="CLASSESxIMAGES") as error:
        prepare(classes, tmp_path / "out", select=select)
    one_line(error, repr(select))


@pytest.mark.parametrize(("select", "distinct"), [("1x6", False), ("3x4", True)])
def test_too_few_classes_to_draw_from(classes, tmp_path, select, distinct):
    with pytest.raises(ValueError, match=r"only [02] of 3 have so many"):
        prepare(classes, tmp_path / "out", select=select, distinct=distinct)


# Cut off and gone on.


@pytest.mark.usefixtures("small_shards")
def test_interrupted_anywhere_it_ends_the_same(classes, tmp_path):
    (classes / "bee" / "001.png").write_bytes(b"no image")
    prepare(classes, tmp_path / "whole", size=SIZE)
    for count in range(1, 12):
        out = tmp_path / f"out{count}"
        with pytest.raises(KeyboardInterrupt):
            prepare(classes, out, size=SIZE, on_progress=interrupt_at(count))
        assert not out.exists()
        done = []
        prepare(classes, out, size=SIZE, on_progress=lambda _, n, total, note: done.append(n))  # noqa: B023
        assert done == list(range((count - 1) // 3 * 3 + 1, 12))
        assert contents(out) == contents(tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("step", ["_keep", "write_mean", "os.rename", "Manifest.save"])
def test_interrupted_between_two_files_it_ends_the_same(classes, tmp_path, monkeypatch, step):
    prepare(classes, tmp_path / "whole", size=SIZE)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"maxtunnel.data.preparation.{step}", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(classes, tmp_path / "out", size=SIZE)
    assert not (tmp_path / "out").exists()
    prepare(classes, tmp_path / "out", size=SIZE)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("moment", ["decoding", "writing"])
def test_killed_it_goes_on(classes, tmp_path, monkeypatch, moment):
    count = random.Random(moment).randrange(4, 12)
    code = f"""
import os, signal, sys
from maxtunnel.data import preparation, store
preparation.SHARD_IMAGES = 3
hash_file = store._hash_file
def kill_decoding(phase, done, total, note):
    if done == {count} and {moment == "decoding"}:
        os.kill(os.getpid(), signal.SIGKILL)
def kill_writing(path):
    # The shard is written but not yet under its name.
    if "shard-0000{(count - 1) // 3}" in path.name and {moment == "writing"}:
        os.kill(os.getpid(), signal.SIGKILL)
    return hash_file(path)
store._hash_file = kill_writing
preparation.prepare(sys.argv[1], sys.argv[2], size={SIZE}, on_progress=kill_decoding)
"""
    run = subprocess.run([sys.executable, "-c", code, classes, tmp_path / "out"], check=False)
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    left = [path.name for path in (tmp_path / ".out.partial" / "store").glob(".shard*")]
    assert len(left) == (moment == "writing")
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 3)
    done = []
    prepare(classes, tmp_path / "out", size=SIZE, on_progress=lambda _, n, total, note: done.append(n))
    prepare(classes, tmp_path / "whole", size=SIZE)
    assert done[0] == (count - 1) // 3 * 3 + 1
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("change", ["settings", "file", "shard", "progress", "sum"])
def test_other_work_is_not_gone_on_with(classes, tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        prepare(classes, tmp_path / "out", size=SIZE, on_progress=interrupt_at(8))
    partial = tmp_path / ".out.partial"
    if change == "file":
        shutil.copy(classes / "ant" / "001.png", classes / "ant" / "002.png")
    elif change != "settings":
        name = {"shard": "store/shard-00000.arrow", "progress": "progress.json", "sum": "total-00002.npy"}
        os.truncate(partial / name[change], 100)
    size = SIZE + 1 if change == "settings" else SIZE
    done = []
    prepare(classes, tmp_path / "out", size=size, on_progress=lambda _, n, total, note: done.append(n))
    assert done == list(range(1, 12))
    assert torch.equal(open_store(tmp_path / "out").pixels.load(), read_folder(classes, size).pixels)
    assert not partial.exists()


def test_a_second_run_at_the_same_time_is_refused(classes, tmp_path):
    def again(*_):
        prepare(classes, tmp_path / "out", size=SIZE)

    with pytest.raises(ValueError, match="written by another run") as error:
        prepare(classes, tmp_path / "out", size=SIZE, on_progress=again)
    one_line(error, tmp_path / ".out.partial")


def test_what_is_there_is_not_made_again(classes, tmp_path, monkeypatch):
    first = prepare(classes, tmp_path / "out", size=SIZE)
    monkeypatch.setattr(preparation, "read_image", None)
    (tmp_path / ".out.partial").mkdir()
    seen = []
    assert prepare(classes, tmp_path / "out", size=SIZE, on_progress=lambda *w: seen.append(w)) == first
    assert seen == [("prepare", 11, 11, "already there")]
    assert not (tmp_path / ".out.partial").exists()
    before = contents(tmp_path / "out")
    for other in ({"size": 8}, {"size": SIZE, "resize": "antialias"}, {"size": SIZE, "select": "1x2"}):
        with pytest.raises(ValueError, match="other settings") as error:
            prepare(classes, tmp_path / "out", **other)
        one_line(error, tmp_path / "out")
    (classes / "ant" / "000.png").unlink()
    with pytest.raises(ValueError, match="other files"):
        prepare(classes, tmp_path / "out", size=SIZE)
    assert contents(tmp_path / "out") == before


@pytest.mark.usefixtures("small_shards")
def test_a_full_disk_is_explained_and_gone_on_from(classes, tmp_path, monkeypatch):
    write, shards = store.write_shard, []

    def full(path, *rest):
        shards.append(path)
        if len(shards) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "write_shard", full)
        with pytest.raises(OSError, match="make room") as error:
            prepare(classes, tmp_path / "out", size=SIZE)
    one_line(error, tmp_path / "out", tmp_path / ".out.partial", "No space left")
    assert not (tmp_path / "out").exists()

    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(tmp_path)
        patch.setattr(preparation.shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(OSError, match=r"0\.0 GB are needed and 0\.0 GB free"):
            prepare(classes, tmp_path / "out", size=SIZE)
    done = []
    prepare(classes, tmp_path / "out", size=SIZE, on_progress=lambda _, n, total, note: done.append(n))
    assert done[0] == 7
    assert open_store(tmp_path / "out").manifest.images == 11


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_arrow_tells_of_a_full_disk_by_number():
    with pytest.raises(OSError, match="space") as error, pa.OSFile("/dev/full", "wb") as file:
        file.write(b"x" * 100_000)
    assert error.value.errno == errno.ENOSPC


# Images that cannot be read.


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
    assert torch.equal(prepared.pixels.load(), read_folder(good, SIZE).pixels)
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


# Stores that are not whole.


@pytest.fixture
def prepared(classes, tmp_path, small_shards):
    prepare(classes, tmp_path / "out", size=SIZE)
    return tmp_path / "out"


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_whole_store_is_verified(prepared):
    seen = []
    verify(prepared, lambda *what: seen.append(what))
    assert seen == [("verify", done, 4, "") for done in range(1, 5)]
    manifest = open_store(prepared).manifest
    for number, shard in enumerate(manifest.shards):
        data = (prepared / f"shard-{number:05d}.arrow").read_bytes()
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", ["shard-00001.arrow", "manifest.json", "mean.npy"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "longer"])
def test_a_damaged_store_is_noticed_on_opening(prepared, name, damage):
    path = prepared / name
    if damage == "missing":
        path.unlink()
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        os.truncate(path, path.stat().st_size // 2 if damage == "truncated" else 0)
    with pytest.raises(FormatError) as error:
        open_store(prepared)
    one_line(error, name)


def test_one_altered_pixel_is_found_by_verify(prepared):
    path = prepared / "shard-00002.arrow"
    pixels = open_store(prepared).pixels.load()
    flip(path, path.read_bytes().index(pixels[6].numpy().tobytes()))
    assert not torch.equal(open_store(prepared).pixels.load(), pixels)
    with pytest.raises(FormatError, match="altered") as error:
        verify(prepared)
    one_line(error, path)


def test_random_damage_never_opens_with_anything_but_a_format_error(prepared):
    path = prepared / "shard-00000.arrow"
    whole, values = path.read_bytes(), random.Random(0)
    refused, head = 0, whole.index(open_store(prepared).pixels.load()[0].numpy().tobytes())
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(3):
            place = values.choice([values.randrange(head), values.randrange(len(data) - 700, len(data))])
            data[place] = values.randrange(256)
        path.write_bytes(data)
        try:
            opened = open_store(prepared)
        except FormatError:
            refused += 1
        else:
            assert opened.pixels.load().shape == (11, 3, SIZE, SIZE)
            assert len(opened.paths[:]) == 11
    assert 0 < refused < 200


@pytest.mark.parametrize(
    ("key", "value"),
    [("size", 32), ("class_names", ["a", "b", "c"]), ("images", 12), ("shards", []), ("resize", 3)],
)
def test_an_edited_manifest_is_noticed(prepared, key, value):
    path = prepared / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises((FormatError, TypeError)) as error:
        open_store(prepared)
    if key != "resize":  # what is no text at all the run-time type checks of the tests see first
        one_line(error, "manifest.json")


def test_a_later_version_is_named(prepared):
    path = prepared / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(FormatError, match="version 2"):
        open_store(prepared)


def test_what_is_no_store(classes, tmp_path, prepared):
    assert is_store(prepared)
    for path in (classes, tmp_path / "none", classes / "ant" / "000.png"):
        assert not is_store(path)
        with pytest.raises(FormatError, match="is no store"):
            open_store(path)


# Pixels on disk.


def test_mapped_pixels_are_indexed_as_a_tensor(prepared):
    pixels = open_store(prepared).pixels
    whole = pixels.load()
    assert (len(pixels), pixels.shape, pixels.dtype) == (11, whole.shape, torch.uint8)
    numbers = torch.tensor([10, 0, 3, 3, -1])
    for which in (
        numbers,
        slice(2, 9),
        slice(None, None, 4),
        slice(0, 0),
        torch.tensor([], dtype=torch.int64),
    ):
        assert torch.equal(pixels[which], whole[which])
    some = pixels.select(numbers)
    assert torch.equal(some.load(), whole[numbers])
    assert torch.equal(some[torch.tensor([4, 0])], whole[[10, 10]])
    with pytest.raises(IndexError):
        pixels[torch.tensor([11])]


def test_what_is_read_is_ones_own(prepared):
    pixels = open_store(prepared).pixels
    pixels[:].add_(1)
    pixels[:].zero_()
    verify(prepared)


# Everything that takes data takes a folder or a store.


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
        with pytest.raises(ValueError, match="--size 16 --resize bilinear") as error:
            read_photographs(prepared, size, resize)
        one_line(error, prepared)
    with pytest.raises(ValueError, match="the limit is 0"):
        read_photographs(prepared, SIZE, limit=0)


# Out again.


def test_an_export_is_read_by_others_and_prepared_again(prepared, tmp_path):
    seen = []
    export(prepared, tmp_path / "hf", on_progress=lambda *what: seen.append(what))
    assert seen[-1] == ("export", 11, 11, "")
    table = pq.read_table(tmp_path / "hf")
    original = open_store(prepared)
    assert table["label"].to_pylist() == original.labels.tolist()
    for row, image in zip(table["image"].to_pylist(), original.pixels.load(), strict=True):
        picture = Image.open(io.BytesIO(row["bytes"]))
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), image.permute(1, 2, 0).numpy())
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["ant", "bee", "cat"], "_type": "ClassLabel"}

    prepare(tmp_path / "hf", tmp_path / "again", size=SIZE)
    again = open_store(tmp_path / "again")
    for name in ("manifest", "path"):
        assert getattr(again, name) != getattr(original, name)
    assert torch.equal(again.pixels.load(), original.pixels.load())
    assert torch.equal(again.labels, original.labels)
    assert list(again.paths) == list(original.paths)
    # The same content, wherever it came from.
    assert again.manifest.content_sha256 == original.manifest.content_sha256
    with pytest.raises(ValueError, match="is there already"):
        export(prepared, tmp_path / "hf")


def test_an_export_without_labels(classes, tmp_path):
    prepare(classes / "ant", tmp_path / "out", size=SIZE)
    export(tmp_path / "out", tmp_path / "hf")
    assert pq.read_table(tmp_path / "hf").column_names == ["image"]
    prepare(tmp_path / "hf", tmp_path / "again", size=SIZE)
    assert (
        contents(tmp_path / "again")["shard-00000.arrow"] == contents(tmp_path / "out")["shard-00000.arrow"]
    )


def test_an_export_cut_off_leaves_nothing(prepared, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        export(prepared, tmp_path / "hf", on_progress=interrupt_at(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes", "out"]


# However many images.


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
    listing, taken, waiting = find_source(source), [], []

    def images(items):
        for found in listing.images(items):
            taken.append(found)
            yield found

    monkeypatch.setattr(preparation, "find_source", lambda path: preparation.replace(listing, images=images))

    def count(phase, done, total, note):
        waiting.append(len(taken) - done)

    prepare(source, tmp_path / "out", size=SIZE, workers=1, on_progress=count)
    assert max(waiting) == 4
    assert len(taken) == 11


# Hostile and mistaken input.


@pytest.mark.parametrize("name", ["empty", "none", "text.txt", "bad.parquet", "bad.tar", "empty.tar"])
def test_what_is_no_source(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" * 10)
    (tmp_path / "bad.tar").write_bytes(os.urandom(4096))
    tarfile.open(tmp_path / "empty.tar", "w").close()
    with pytest.raises(FormatError) as error:
        prepare(tmp_path / name, tmp_path / "out")
    one_line(error, tmp_path / name)
    assert not (tmp_path / "out").exists()


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
    with pytest.raises(ValueError, match="give select"):
        prepare(classes, tmp_path / "out", distinct=True)


PICTURE = io.BytesIO()
Image.new("RGB", (20, 20), "red").save(PICTURE, "PNG")
PNG = PICTURE.getvalue()


def make_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            add(archive, name, data)
    return path


def test_names_in_a_tar_are_never_paths_on_disk(tmp_path):
    (tmp_path / "in").mkdir()
    names = ["../../escaped.png", "/tmp/maxtunnel-escaped.png", "a/../../b.png", "plain.png"]
    make_tar(tmp_path / "in" / "x.tar", [(name, PNG) for name in names])
    with tarfile.open(tmp_path / "in" / "x.tar", "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            link = tarfile.TarInfo(f"link{kind.decode()}.png")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    before = set(tmp_path.rglob("*"))
    manifest = prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    assert list(open_store(tmp_path / "out").paths) == names
    assert manifest.skipped == ()
    made = {path.relative_to(tmp_path).as_posix() for path in set(tmp_path.rglob("*")) - before}
    assert made == {"out", "out/manifest.json", "out/mean.npy", "out/shard-00000.arrow"}
    assert not Path("/tmp/maxtunnel-escaped.png").exists()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.png", PNG), ("a.jpg", PNG)], "in one sample"),
        ([("a.png", PNG), ("a.png", PNG)], "twice"),
        ([("a.png", PNG), ("a.cls", b"cat")], "number of a class"),
        ([("a.png", PNG), ("a.cls", b"-2")], "label -2"),
        ([("a.png", PNG), ("a.cls", b"99999999")], "label 99999999"),
        ([("a.png", PNG), ("a.cls", b"1"), ("b.png", PNG)], "label None"),
        ([("a.txt", b"x")], "holds no image"),
    ],
)
def test_odd_samples_are_named(tmp_path, members, message):
    path = make_tar(tmp_path / "x.tar", members)
    with pytest.raises(FormatError, match=message) as error:
        prepare(path, tmp_path / "out")
    one_line(error, path)


def test_a_tar_cut_short(tmp_path):
    path = make_tar(tmp_path / "x.tar", [(f"{n}.png", os.urandom(5000)) for n in range(4)])
    os.truncate(path, 9000)
    with pytest.raises(FormatError) as error:
        prepare(path, tmp_path / "out")
    one_line(error, path)


def test_a_tar_that_points_back_ends(tmp_path):
    member = tarfile.TarInfo("a.png")
    member.size = -512
    (tmp_path / "x.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(FormatError) as error:
        prepare(tmp_path / "x.tar", tmp_path / "out")
    one_line(error, tmp_path / "x.tar")


def test_damaged_images_in_a_tar_are_skipped(tmp_path):
    path = make_tar(tmp_path / "x.tar", [("a.png", PNG), ("d/b.png", PNG[:50]), ("c.png", b"")])
    manifest = prepare(path, tmp_path / "out", size=SIZE)
    assert [name for name, _ in manifest.skipped] == ["d/b.png", "c.png"]
    assert manifest.skipped[1][1].startswith("is empty")


def image_column(count, data=PNG):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": data, "path": f"{n}.png"} for n in range(count)], kind)


NAMED = {"huggingface": '{"info": {"features": {"label": {"names": ["a"]}}}}'}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"picture": [1]}), r"columns picture: int64: expected image: struct"),
        (pa.table({"image": [PNG]}), "expected image: struct"),
        (pa.table({"image": pa.array([{"path": "a"}])}), "expected image: struct"),
        (pa.table({"image": pa.array([{"bytes": 1}])}), "expected image: struct"),
        (pa.table({"image": image_column(1), "label": ["cat"]}), "labels of type string"),
        (pa.table({"image": image_column(2), "label": [0, None]}), "label None"),
        (pa.table({"image": image_column(2), "label": [0, -1]}), "label -1"),
        (pa.table({"image": image_column(1), "label": [1]}, metadata=NAMED), r"label 1 among .*0\.\.0"),
        (pa.table({"image": image_column(1), "label": [0]}, metadata={"huggingface": "{"}), "metadata"),
        (pa.table({"image": image_column(1), "label": [0]}, metadata={"huggingface": "[]"}), "metadata"),
        (pa.table({"image": image_column(0)}), "holds no image"),
    ],
)
def test_odd_parquet_is_named(tmp_path, table, message):
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(FormatError, match=message) as error:
        prepare(tmp_path / "x.parquet", tmp_path / "out")
    one_line(error, tmp_path / "x.parquet")


def test_parquet_as_others_write_it(tmp_path):
    """No paths, empty rows, labels of -1 (a test set), several row groups, one of them empty."""
    rows = [{"bytes": PNG, "path": None}, {"bytes": None, "path": None}, None, {"bytes": PNG, "path": None}]
    kind = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": [-1] * 4, "more": [1.0] * 4})
    with pq.ParquetWriter(tmp_path / "x.parquet", table.schema) as writer:
        for part in (table[:3], table[:0], table[3:]):
            writer.write_table(part)
    manifest = prepare(tmp_path / "x.parquet", tmp_path / "out", size=SIZE)
    assert [name for name, _ in manifest.skipped] == ["x.parquet/000000001", "x.parquet/000000002"]
    assert all(reason.startswith("is empty") for _, reason in manifest.skipped)
    assert list(open_store(tmp_path / "out").paths) == ["x.parquet/000000000", "x.parquet/000000003"]
    assert manifest.class_names == ()


def test_a_large_row_group_is_read_once_and_onward(tmp_path, monkeypatch):
    pictures = picture_classes(tmp_path / "classes", {"a": 150})
    path = as_parquet(pictures, tmp_path / "x.parquet", rows=1000)
    opened = []
    monkeypatch.setattr(preparation, "SHARD_IMAGES", 40)
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *a, **k: opened.append(1) or batches(*a, **k))
    prepare(path, tmp_path / "out", size=SIZE)
    assert len(opened) == 1
    assert torch.equal(open_store(tmp_path / "out").pixels.load(), read_folder(pictures, SIZE).pixels)


def test_files_that_must_not_mix(classes, tmp_path):
    folder = tmp_path / "mixed"
    for name in ("train-00000-of-00001", "test-00000-of-00001"):
        as_parquet(classes, folder / f"{name}.parquet")
    with pytest.raises(FormatError, match="splits test, train"):
        prepare(folder, tmp_path / "out")
    (folder / "test-00000-of-00001.parquet").unlink()
    as_tar(classes, folder / "x.tar")
    with pytest.raises(FormatError, match="folder of one kind"):
        prepare(folder, tmp_path / "out")
    (folder / "x.tar").unlink()
    as_parquet(classes, folder / "other.parquet", list_images(classes)[:2])
    other = pq.read_table(folder / "other.parquet")
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["x"]}}}})}
    pq.write_table(other.replace_schema_metadata(metadata), folder / "other.parquet")
    with pytest.raises(FormatError, match="other class names"):
        prepare(folder, tmp_path / "out")
