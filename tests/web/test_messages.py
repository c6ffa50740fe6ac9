"""What of a visitor's message gets through to the server behind."""

import json

import pytest

from maxtunnel.web.messages import Misled, cleaned

FILE = {"_type": "gradio.FileData"}


@pytest.fixture
def sent(tmp_path):
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "a.png").write_bytes(b"data")
    return str(tmp_path / "hash" / "a.png")


def through(message, folder):
    return json.loads(cleaned(json.dumps(message).encode(), folder))


def test_of_a_file_its_path_and_name_get_through(sent, tmp_path):
    file = {"path": sent, "url": "http://host/", "orig_name": "a", "is_stream": True, "meta": 3}
    kept = {"path": sent, "orig_name": "a", "meta": FILE}
    message = {
        "fn_index": 3,
        "session_hash": "x",
        "data": [file, [{"deep": file}], 1.5, None, "http://host/"],
    }
    expected = message | {"data": [kept, [{"deep": kept}], 1.5, None, "http://host/"]}
    assert through(message | {"oauth_token": "t", "batched": True}, tmp_path) == expected
    assert through({"data": [{"path": sent, "orig_name": ["b"]}]}, tmp_path)["data"][0]["orig_name"] is None


@pytest.mark.parametrize("path", ["http://host/a", "/etc/passwd", "", None, 3, ["a"], {"path": "a"}])
def test_a_file_elsewhere_is_refused(sent, tmp_path, path):
    for file in ({"path": path}, {"path": path, "url": sent, "meta": FILE}, {"url": path}):
        for message in ({"data": [file]}, {"data": [[{"a": {"b": [file]}}]]}, {"event_data": file}):
            with pytest.raises(Misled, match="were sent to this page"):
                through(message, tmp_path)


def test_what_is_no_message_is_refused(tmp_path):
    deep = b'{"data": ' + b"[" * 990 + b"]" * 990 + b"}"
    for body in (b"", b"{", b"[]", b"3", b"\xff\xfe\xff", b"[" * 100_000, deep, b"1" * 5000):
        with pytest.raises(ValueError, match=r"."):
            cleaned(body, tmp_path)
