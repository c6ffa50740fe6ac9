import os
import tarfile
from pathlib import Path

import pytest
from small_sources import PNG, SIZE, add, make_tar, one_line

from maxtunnel.data import open_store, prepare
from maxtunnel.support.files import FormatError


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


def prepared_tar(tmp_path, members):
    manifest = prepare(make_tar(tmp_path / "x.tar", members), tmp_path / "out", size=SIZE)
    store = open_store(tmp_path / "out")
    labels = [store.class_names[label] if label >= 0 else None for label in store.labels.tolist()]
    return dict(zip(store.paths, labels, strict=True)), manifest


def test_names_with_dots_are_images(tmp_path):
    names = [f"v1.{number} final.png" for number in range(9)] + ["plain.png"]
    found, manifest = prepared_tar(tmp_path, [(name, PNG) for name in names])
    assert list(found) == names
    assert (manifest.found, manifest.images, manifest.ignored) == (10, 10, ())


def test_names_with_dots_keep_their_labels(tmp_path):
    members = [
        ("d.1/v1.0 a.png", PNG),
        ("d.1/v1.0 a.cls", b"1"),
        ("d.1/v1.1 b.png", PNG),
        ("d.1/v1.1 b.cls", b"0"),
    ]
    members += [("pair.left.png", PNG), ("pair.right.png", PNG), ("pair.cls", b"2"), ("pair.left.cls", b"0")]
    found, manifest = prepared_tar(tmp_path, members)
    assert found == {
        "d.1/v1.0 a.png": "1",
        "d.1/v1.1 b.png": "0",
        "pair.left.png": "0",
        "pair.right.png": "2",
    }
    assert (manifest.found, manifest.ignored) == (4, ())


@pytest.mark.parametrize("first", [".cls", ".png"])
def test_labels_that_stand_apart_are_found(tmp_path, first):
    images = [(f"{name}.png", PNG) for name in "abc"]
    labels = [(f"{name}.cls", str(number).encode()) for number, name in enumerate("abc")]
    found, manifest = prepared_tar(tmp_path, images + labels if first == ".png" else labels + images)
    assert found == {"a.png": "0", "b.png": "1", "c.png": "2"}
    assert manifest.ignored == ()


def test_a_label_beside_its_image_comes_first(tmp_path):
    """Shards that were joined may count their samples from 0 again."""
    members = [
        ("0.png", PNG),
        ("0.cls", b"0"),
        ("1.png", PNG),
        ("1.cls", b"1"),
        ("0.png", PNG),
        ("0.cls", b"2"),
    ]
    prepare(make_tar(tmp_path / "x.tar", members), tmp_path / "out", size=SIZE)
    assert open_store(tmp_path / "out").labels.tolist() == [0, 1, 2]


def test_masks_and_hidden_members_are_ignored_and_told(tmp_path):
    members = [
        ("a.png", PNG),
        ("a.mask.png", PNG),
        ("a.depth.exr", b""),
        ("._a.png", b""),
        ("b.seg.png", PNG),
    ]
    found, manifest = prepared_tar(tmp_path, members)
    assert list(found) == ["a.png", "b.seg.png"]
    assert manifest.ignored == ((".exr", 1), (".mask.png", 1), ("hidden", 1))


def test_a_member_with_a_name_that_no_store_can_hold_is_skipped(tmp_path):
    found, manifest = prepared_tar(tmp_path, [("\udcff.png", PNG), ("b.png", PNG)])
    assert list(found) == ["b.png"]
    assert manifest.skipped == (("\\udcff.png", "has a name that is no UTF-8: rename it"),)
    assert manifest.found == 2


def test_special_members_are_counted(tmp_path):
    path = make_tar(tmp_path / "x.tar", [("a.png", PNG)])
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            link = tarfile.TarInfo(f"link{kind.decode()}.png")
            link.type, link.linkname = kind, "a.png"
            archive.addfile(link)
        add(archive, "b.png", PNG)
    manifest = prepare(path, tmp_path / "out", size=SIZE)
    assert (manifest.found, manifest.images) == (4, 2)
    assert manifest.ignored == (("link or special file", 2),)
