"""What is kept and for how long, what is served, and what the page is built of."""

import os
import re
import socket
import time

import pytest

from maxtunnel.report.html import data_uri
from maxtunnel.web import serve, serving
from maxtunnel.web.results import KEEP_SECONDS, Results

pytestmark = pytest.mark.usefixtures("one_thread")


def test_results_are_exact_unguessable_and_bounded(monkeypatch):
    results = Results(room=1000)
    first = results.put(b"a" * 400, "image/png")
    assert results.put(b"a" * 400, "image/png") == first
    assert Results().put(b"a" * 400, "image/png") != first
    assert results.get(first)[:2] == (b"a" * 400, "image/png")
    results.put(b"b" * 400, "image/png")
    results.put(b"c" * 400, "image/png")
    assert results.get(first) is None
    address = results.put(b"x", "image/png")
    assert results.get(address) is not None
    later = time.monotonic() + 2 * KEEP_SECONDS
    monkeypatch.setattr("time.monotonic", lambda: later)
    assert results.get(address) is None
    html = f'<img src="{data_uri(bytes(range(256)), "image/png")}"><p>data:;base64,</p>'
    lifted = results.lift(html)
    assert results.get(re.search(r'src="([^"]+)"', lifted)[1]).data == bytes(range(256))
    assert lifted.endswith("<p>data:;base64,</p>")


def test_old_uploads_go_and_samples_stay(tmp_path):
    for number, age in enumerate((10_000, 5_000, 0)):
        path = tmp_path / f"{number}"
        path.write_bytes(bytes(10))
        os.utime(path, (time.time() - age,) * 2)
    serving.sweep(tmp_path, {tmp_path / "0"}, seconds=6000.0, most=1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2"]
    serving.sweep(tmp_path, {tmp_path / "0"}, seconds=4000.0, most=1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "2"]
    serving.sweep(tmp_path, {tmp_path / "0"}, seconds=4000.0, most=5)
    assert [p.name for p in tmp_path.iterdir()] == ["0"]


def test_what_cannot_be_served_is_told_before_anything_starts(monkeypatch):
    for auth in ("name", ":x", "x:"):
        with pytest.raises(ValueError, match="NAME:PASSWORD"):
            serve(auth=auth)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="cannot listen on 127"):
            serve(port=taken.getsockname()[1])
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        serve(port=0)
