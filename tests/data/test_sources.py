import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_sources import as_parquet, as_tar, one_line

from maxtunnel.data import prepare
from maxtunnel.data.folders import list_images
from maxtunnel.data.images import read_image
from maxtunnel.data.preparation import find_source
from maxtunnel.support.files import FormatError


def test_a_folder_is_listed_as_everywhere(classes):
    for name in (".hidden.png", "notes.txt", "b.c/x.JPG", "b/x.jpeg", ".git/x.png", "b-c/x.png", "top.png"):
        (classes / name).parent.mkdir(exist_ok=True)
        (classes / name).write_bytes(b"")
    (classes / "link").symlink_to(classes / "ant")
    listed = [path.relative_to(classes).as_posix() for path in list_images(classes)]
    assert find_source(classes).keys.to_pylist() == listed
    assert find_source(classes).class_names == ()


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


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_a_pickled_source_gives_the_same_images(classes, tmp_path, kind):
    path = classes
    if kind != "folder":
        path = {"tar": as_tar, "parquet": as_parquet}[kind](classes, tmp_path / f"x.{kind}")
    source = find_source(path)
    items = np.array([7, 0, 10, 3, 3, 9])
    expected = {position: list_images(classes)[item].read_bytes() for position, item in enumerate(items)}
    assert files_of(source, items) == expected
    # Now the source of Parquet files has one open.
    again = pickle.loads(pickle.dumps(source))
    assert type(again) is type(source)
    assert again.keys.equals(source.keys)
    assert np.array_equal(again.labels, source.labels)
    assert (again.class_names, again.fingerprint) == (source.class_names, source.fingerprint)
    assert files_of(again, items) == expected
    assert files_of(source, items) == expected


def files_of(source, items):
    """The bytes of images by their position among `items`."""
    return {
        position: found.read_bytes() if isinstance(found, Path) else found.read()
        for position, found in source.images(items)
    }


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_a_part_is_a_source_of_some_and_small_when_pickled(classes, tmp_path, kind):
    path = classes
    if kind != "folder":
        path = tmp_path / "several"
        for number in range(6):
            files = list_images(classes)[2 * number : 2 * number + 2]
            {"tar": as_tar, "parquet": as_parquet}[kind](classes, path / f"{number}.{kind}", files)
    source = find_source(path)
    items = np.array([7, 6, 10, 7])
    part = pickle.loads(pickle.dumps(source.part(items)))
    expected = {position: list_images(classes)[item].read_bytes() for position, item in enumerate(items)}
    assert files_of(part, np.arange(4)) == expected
    assert part.keys.equals(source.keys.take(items))
    assert part.labels.tolist() == source.labels[items].tolist()
    assert part.reports() == []
    if kind != "folder":
        assert [file.name for file in part.files] == [f"3.{kind}", f"5.{kind}"]


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_an_address_gives_the_same_images_as_a_path(classes, tmp_path, kind):
    for name in (".hidden.png", "notes.txt"):
        (classes / "ant" / name).write_bytes(b"")
    path = classes
    if kind != "folder":
        path = {"tar": as_tar, "parquet": as_parquet}[kind](classes, tmp_path / "x" / f"x.{kind}").parent
    here, there = find_source(path), find_source(f"file://{path}")
    assert there.keys.equals(here.keys)
    assert (there.labels.tolist(), there.class_names) == (here.labels.tolist(), here.class_names)
    items = np.array([7, 0, 3])
    for (_, one), (_, other) in zip(here.images(items), there.images(items), strict=True):
        assert (read_image(one) == read_image(other)).all()
    assert find_source(f"file://{path}").fingerprint == there.fingerprint
    with pytest.raises(FormatError, match=r"holds no image|is not there"):
        find_source(f"file://{tmp_path}/nothing")
    with pytest.raises(FormatError, match=r"nosuch://x cannot be reached"):
        find_source("nosuch://x")


def test_a_folder_that_a_machine_does_not_see_is_no_folder_of_broken_photographs(classes):
    source = find_source(classes)
    classes.rename(classes.with_name("elsewhere"))
    with pytest.raises(
        FormatError, match=r"is not there: expected the folder that was listed, on every machine"
    ):
        next(source.images(np.arange(2)))
