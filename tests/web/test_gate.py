"""What the server answers to messages that no page would send: hostile files, paths and requests."""

import io
import re
from pathlib import Path

import httpx
import pytest
from screen import PATIENCE
from web_files import SVG, archive, bomb, encoded

from maxtunnel.data.images import read_image
from maxtunnel.web.page import PHOTOGRAPHS
from tools.load_page import API, named, served

BAD = {
    "bomb.png": (bomb(), "4097x4097 pixels"),
    "truncated.jpg": (encoded((256, 256), "JPEG")[:3000], "cut short"),
    "picture.svg": (SVG, "is no image"),
    "svg.png": (SVG, "is no image"),
    "archive.jpg": (archive(), "is no image"),
    "empty.png": (b"", "is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_photographs_are_refused_in_words_and_the_next_one_works(visitor, name):
    data, reason = BAD[name]
    html = visitor.reconstruct(visitor.upload(name, data), "8-8-8", 128)
    assert 'role="alert"' in html
    assert f"{name} " in html
    assert reason in html
    assert "mt-compare" in visitor.reconstruct(visitor.upload("cat.png", encoded((40, 30))), "8-8-8", 128)


def test_bad_switch_files_are_refused_in_words(visitor):
    for name, data in (
        ("archive.mxt", archive()),
        ("cat.mxt", encoded((8, 8))),
        ("end.mxt", b"\x89MXT\r\n\x1a\n"),
    ):
        html = visitor.ask("switch-file", "change", [visitor.upload(name, data), None, "8-8-8", 128])
        assert 'role="alert"' in html
        assert f"{name} is" in html


@pytest.mark.parametrize("announced", [True, False])
def test_oversize_files_are_refused_in_words_and_leave_nothing(server, visitor, announced):
    big = b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.png"\r\n\r\n' + bytes(
        3_000_000
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = big if announced else iter([big[:1_500_000], big[1_500_000:], b"\r\n--x--\r\n"])
    folder = Path(visitor.upload("cat.png", encoded((8, 8)))["path"]).parents[1]
    before = sorted(folder.rglob("*"))
    answer = httpx.post(f"{server}/{API}/upload", content=body, headers=headers, timeout=PATIENCE)
    assert answer.status_code == (413 if announced else 411)
    assert not announced or "exceeds the maximum allowed size of 2 MB" in answer.text
    assert sum(path.stat().st_size for path in folder.rglob("*") if path not in before) == 0
    assert "mt-compare" in visitor.reconstruct(visitor.upload("cat.png", encoded((41, 30))), "8-8-8", 128)


@pytest.mark.parametrize(
    "path",
    [
        f"/{API}/file=/etc/passwd",
        f"/{API}/file=../../../../etc/passwd",
        f"/{API}/file=%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        f"/{API}/file={PHOTOGRAPHS}/chelsea.jpg",
        f"/{API}/file=https://example.com/",
        f"/{API}/file=pyproject.toml",
        f"/{API}/file//etc/passwd",
        "/file=/etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        f"/{API}/proxy=https://example.com/",
        f"/{API}/openapi.json",
        f"/{API}/vibe-code",
        f"/{API}/stream/a/b/c/playlist.m3u8",
        f"/{API}/custom_component/a/b/c/d",
        "/monitoring/summary",
        "/docs",
        "/result/",
        "/result/0000000000000000000000000000000000000000",
    ],
)
def test_no_path_of_the_server_is_readable(server, path):
    answer = httpx.get(server + path, timeout=PATIENCE)
    assert 400 <= answer.status_code < 500
    assert "root:" not in answer.text
    assert "[project]" not in answer.text


@pytest.mark.parametrize(
    "path", ["run/predict", "api/predict", "call/lambda", "process_recording", "vibe-edit/"]
)
def test_functions_answer_to_the_page_alone(server, path):
    answer = httpx.post(f"{server}/{API}/{path}", json={"data": [], "fn_index": 0}, timeout=PATIENCE)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "https://example.com/cat.png", str(PHOTOGRAPHS), 3]
)
def test_messages_name_only_uploads(visitor, path):
    with pytest.raises(httpx.HTTPStatusError) as error:
        visitor.reconstruct(named(path), "8-8-8", 128)
    assert error.value.response.status_code == 400
    assert re.search("was sent|were sent", error.value.response.json()["detail"])
    nested = {"a": [{"b": named("/etc/passwd")}]}
    with pytest.raises(httpx.HTTPStatusError):
        visitor.reconstruct(nested, "8-8-8", 128)


def test_odd_messages_do_no_harm(server, visitor):
    join = f"{server}/{API}/queue/join"
    for body, status in ((b"{", 400), (b"[" * 100_000, 400), (b" " * 300_000, 413)):
        assert httpx.post(join, content=body, timeout=PATIENCE).status_code == status
    sent = visitor.upload("../../evil.png", encoded((20, 20)))
    assert ".." not in sent["path"]
    for network, side in (("/etc/passwd", 128), ("8-8-8", 10**9), ("8-8-8", "x"), (None, None)):
        assert 'role="alert"' in visitor.reconstruct(sent, network, side)
    assert "mt-hint" in visitor.reconstruct(None, "8-8-8", 128)


def test_a_result_is_given_out_as_what_it_is(server, visitor):
    html = visitor.reconstruct(visitor.upload("cat.png", encoded((33, 21))), "8-8-8", 128)
    address = re.search(r'href="(/result/[^"]+)"', html)[1]
    answer = httpx.get(server + address, timeout=PATIENCE)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert read_image(io.BytesIO(answer.content)).shape == (3, 21, 33)


def test_others_are_warned_of_and_a_password_is_asked_for():
    options = ("--host", "0.0.0.0", "--auth", "class:tunnel")
    with served(*options) as (address, _, lines), httpx.Client(base_url=address, timeout=PATIENCE) as client:
        assert client.get("/config").status_code == 401
        assert client.post(f"{API}/upload", files={"files": ("a.png", b"x")}).status_code == 401
        assert client.post("login", data={"username": "class", "password": "x"}).status_code == 400
        assert client.post("login", data={"username": "class", "password": "tunnel"}).status_code == 200
        assert client.get("/config").status_code == 200
        # Those networks that answer for every pixel are there that ship.
        assert "cedn-bsds" in client.get("/config").text
        sent = client.post(f"{API}/upload", files={"files": ("a.png", b"x")}).json()[0]
        assert Path(sent).exists()
    assert "unencrypted" in "".join(lines)
    # Stopped, it takes the uploads with it.
    assert not Path(sent).parents[1].exists()


def test_the_page_loads_nothing_from_elsewhere(server):
    html = httpx.get(server, timeout=PATIENCE).text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"'](https?:)?//", html)
    assert loaded == []
    assert httpx.get(f"{server}/config", timeout=PATIENCE).json()["analytics_enabled"] is False


def test_closing_a_stream_is_answered_though_there_is_none(server):
    # What Gradio's page says when the camera is closed; an error here would stand in its console.
    answer = httpx.post(f"{server}/{API}/stream/0123abc/close", json={}, timeout=PATIENCE)
    assert answer.json() == {"msg": "success"}
    assert httpx.get(f"{server}/{API}/stream/0123abc/close", timeout=PATIENCE).status_code == 404
    assert httpx.post(f"{server}/{API}/stream/0123abc", json={}, timeout=PATIENCE).status_code == 404
