import os
import tarfile
from pathlib import Path

import pytest
from small_sources import PNG, SIZE, make_tar, one_line

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
