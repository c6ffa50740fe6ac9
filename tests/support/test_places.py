import os

import pytest

from maxtunnel.support.files import FormatError
from maxtunnel.support.places import Place, is_address, without_secrets


@pytest.fixture(params=["path", "file", "memory"])
def folder(request, tmp_path):
    return {
        "path": Place(str(tmp_path / "folder")),
        "file": Place(f"file://{tmp_path}/folder"),
        "memory": Place(f"memory://{tmp_path.name}/folder"),
    }[request.param]


def test_what_is_written_is_read_and_listed(folder):
    assert folder.files() == {}
    assert not folder.is_folder()
    (folder / "b/two.bin").write_bytes(b"22")
    (folder / "one.bin").write_bytes(b"1")
    (folder / "one.bin").write_bytes(b"333")
    assert {name: size for name, (size, _) in folder.files().items()} == {"b/two.bin": 2, "one.bin": 3}
    assert folder.is_folder()
    assert (folder / "one.bin").read_bytes() == b"333"
    with (folder / "b/two.bin").open() as file:
        file.seek(1)
        assert file.read() == b"2"
    before = (folder / "one.bin").stamp()
    assert before == (folder / "one.bin").stamp()
    (folder / "one.bin").write_bytes(b"4444")
    assert (folder / "one.bin").stamp() != before
    (folder / "b").delete()
    (folder / "none").delete()
    assert list(folder.files()) == ["one.bin"]


def test_names_are_those_of_paths():
    place = Place("s3://bucket/some.folder/x.tar")
    assert (place.name, place.stem, place.suffix) == ("x.tar", "x", ".tar")
    assert place.parent / "y" == Place("s3://bucket/some.folder/y")
    assert is_address("s3://bucket")
    assert not is_address("a/b")


def test_what_is_not_there_is_said_in_a_line(tmp_path):
    with pytest.raises(FormatError, match=r"^\S+/nothing is not there: look at the address$"):
        Place(f"file://{tmp_path}/nothing").read_bytes()
    with pytest.raises(FormatError, match=r"nosuch://x cannot be reached .*nosuch"):
        Place("nosuch://x").files()


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    place = Place(str(tmp_path / "x"))
    place.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", None)
    with pytest.raises(FormatError, match="cannot be reached"):
        place.write_bytes(b"new")
    assert place.read_bytes() == b"old"
    assert list(place.parent.files()) == ["x"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ftp://me:p@ss@host/x.tar", "ftp://me:***@host/x.tar"),
        ("s3://key:secret@bucket/x", "s3://key:***@bucket/x"),
        ("https://token@host/x.tar", "https://***@host/x.tar"),
        ("https://host/x.tar?signature=abc", "https://host/x.tar?***"),
        ("hf://datasets/a/b@main/x?.tar", "hf://datasets/a/b@main/x?.tar"),
        ("/a:b@c/x?.jpg", "/a:b@c/x?.jpg"),
    ],
)
def test_addresses_are_shown_without_their_secrets(address, shown):
    assert str(Place(address)) == shown
    assert (Place(address) / "y").address == f"{address}/y"
    assert without_secrets(f"{address} cannot be read") == f"{shown} cannot be read"


def test_reasons_of_others_keep_secrets_too():
    with pytest.raises(FormatError) as error:
        Place("nosuch://me:secret@host/x").files()
    assert "secret" not in str(error.value)
