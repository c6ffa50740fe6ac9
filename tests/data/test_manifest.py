import json

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


@pytest.mark.parametrize("version", [1, 3])
def test_another_version_is_named(prepared, version):
    path = prepared / "manifest.json"
    path.write_text(path.read_text().replace('"version": 2', f'"version": {version}'))
    with pytest.raises(FormatError, match=rf"version {version}: expected .*, version 2; prepare") as error:
        open_store(prepared)
    one_line(error, path)


def test_what_was_found_must_add_up(prepared):
    path = prepared / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"found": 12}))
    with pytest.raises(FormatError, match="does not add up") as error:
        open_store(prepared)
    one_line(error, path)


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"format": "maxtunnel store", "version": 2}', "\xff"])
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
