import json
from dataclasses import replace

import pytest
from small_sources import one_line

from maxtunnel.data import Manifest, open_store
from maxtunnel.support.files import FormatError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 32),
        ("class_names", ["a", "b", "c"]),
        ("images", 12),
        ("shards", []),
        ("resize", 3),
        ("resize", "cubic"),
    ],
)
def test_an_edited_manifest_is_noticed(prepared, key, value):
    path = prepared / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(FormatError) as error:
        open_store(prepared)
    one_line(error, "manifest.json")


def test_a_later_version_is_named(prepared):
    path = prepared / "manifest.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 3'))
    with pytest.raises(FormatError, match=r"version 3.*newer maxtunnel") as error:
        open_store(prepared)
    one_line(error, path)


def test_a_store_of_version_1_is_read_and_says_nothing_of_what_was_found(prepared):
    path, before = prepared / "manifest.json", open_store(prepared).manifest
    values = json.loads(path.read_text()) | {"version": 1}
    for later in ("found", "ignored", "repeated"):
        del values[later]
    path.write_text(json.dumps(values))
    manifest = open_store(prepared).manifest
    assert manifest == replace(before, found=None)
    assert manifest.account() == ""


def test_what_was_found_must_add_up(prepared):
    path = prepared / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"found": 12}))
    with pytest.raises(FormatError, match="does not add up") as error:
        open_store(prepared)
    one_line(error, path)


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"format": "maxtunnel store", "version": 1}', "\xff"])
def test_what_is_no_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match="is damaged") as error:
        Manifest.load(tmp_path / "manifest.json")
    one_line(error, tmp_path / "manifest.json")


def test_a_manifest_is_read_as_it_was_written(prepared, tmp_path):
    manifest = Manifest.load(prepared / "manifest.json")
    assert manifest.save(tmp_path / "again.json") == manifest
    assert Manifest.load(tmp_path / "again.json") == manifest
    assert (tmp_path / "again.json").read_bytes() == (prepared / "manifest.json").read_bytes()
