"""The page fetches nothing for anybody: addresses, however they are spelt, never get past the gate.

The server behind may fetch from this machine here (`tools/open_page.py`); a server notes what it is asked.
"""

import json
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from screen import PATIENCE
from web_files import encoded

from tools.load_page import API, Visitor, named, served
from tools.open_page import UNGUARDED

SCRIPT = Path(__file__).parents[1] / "tools" / "open_page.py"


@pytest.fixture(scope="module")
def asked():
    """A server on this machine: its host and port, and the requests that it got."""
    seen, picture = [], encoded((24, 16))

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200)
            self.send_header("content-type", "image/png")
            self.send_header("content-length", str(len(picture)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(picture)

        do_HEAD = do_POST = do_OPTIONS = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page():
    if find_spec("gradio") is None:
        pytest.skip("no Gradio: pip install 'gradio>=6.31,<7'")
    with served(program=[str(SCRIPT)]) as (address, _, lines):
        yield address
        assert "Traceback" not in "".join(lines), "".join(lines)


@pytest.fixture(scope="module")
def guest(page):
    """A visitor of that page, and a photograph that was sent to it."""
    guest = Visitor(page, PATIENCE)
    yield guest, guest.upload("cat.png", encoded((24, 16)))
    guest.http.close()


def spellings(host, upload):
    """Addresses, and paths that are none of an upload, many of which lead to one when they are normalised."""
    folder, up = str(Path(upload).parents[1]), "/.." * 12
    below = upload.removeprefix(folder)
    return [
        f"http://{host}/a", f"https://{host}/a", f"HTTP://{host}/a", f"ftp://{host}/a", f"//{host}/a",
        f"http://{host}/a?/../../..{upload}", f"http://{host}/a?{up}{upload}", f"http://{host}/a#{up}{upload}",
        f"http://{host}{up}{upload}", f"http://{host}/%2e%2e{up}{upload}", f"http://{host}/a?/%2e%2e{up}{upload}",
        f"http://{host}/a\0{up}{upload}", f"http://{host}\\a{up}{upload}", f"http:\\\\{host}\\a{up}{upload}",
        f"http:/{host}/a{up}{upload}", f" http://{host}/a{up}{upload}", f"\thttp://{host}/a{up}{upload}",
        f"x@http://{host}/a{up}{upload}", f"http://name:word@{host}/a{up}{upload}",
        f"%68ttp://{host}/a{up}{upload}", f"http%3a//{host}/a{up}{upload}", f"{folder}/../http://{host}/a",
        f"{folder}/http://{host}/a", f"{upload}{up}/http://{host}/a", f"file://{upload}", f"/{upload}",
        f"/.{upload}", f"{folder}/.{below}", f"{folder}/x/..{below}", f"{folder}/{below}", folder,
        f"{upload}/",
        f"{upload}\0", f"{folder}/%2e%2e/passwd",
        "/etc/passwd", f"{folder}{up}/etc/passwd", f"http://{host}/{'a/' * 3000}",
    ]  # fmt: skip


def encodings(path):
    """A path as a request may spell it."""
    once = quote(path, safe="")
    return {quote(path), quote(path, safe="/:"), quote(path, safe="/:?#@"), once, once.lower(), quote(once)}


def request(page, method, target):
    """Status and body of a request whose target is sent as it stands; libraries would normalise it."""
    connection = HTTPConnection(urlsplit(page).netloc, timeout=PATIENCE)
    connection.request(method, target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_the_server_behind_would_fetch(page, asked):
    # Otherwise the tests below showed nothing.
    host, seen = asked
    with httpx.Client(base_url=page, headers=UNGUARDED, timeout=PATIENCE) as client:
        for method in ("GET", "HEAD"):
            assert client.request(method, f"/{API}/file=http://{host}/by-{method}").status_code == 200
    visitor = Visitor(page, PATIENCE)
    visitor.http.headers.update(UNGUARDED)
    visitor.reconstruct(named(f"http://{host}/by-message"), "8-8-8", 128)
    visitor.http.close()
    assert seen == ["/by-GET", "/by-HEAD", "/by-message"]
    seen.clear()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_spelling_of_a_path_fetches(page, guest, asked, method):
    host, seen = asked
    path = guest[1]["path"]
    for spelling in spellings(host, path):
        for written in encodings(spelling):
            for route in (f"/{API}/file=", "/file=", f"/{API}/file/", f"/{API}/proxy=", "/static/"):
                status, body = request(page, method, f"{route}{written}")
                # A fragment or query that is no part of the path is not looked at by anybody.
                plain = written.split("?")[0].split("#")[0]
                assert 400 <= status < 500 or plain == path, (route, spelling, written, status)
                assert b"root:" not in body
    assert seen == []
    status, body = request(page, method, f"/{API}/file={quote(path)}")
    assert status == 200
    assert bool(body) == (method == "GET")


def test_no_path_in_a_message_fetches(guest, asked):
    visitor, sent = guest
    host, seen = asked
    for spelling in spellings(host, sent["path"]):
        file = named(spelling)
        for photograph in (
            file,
            [file],
            {"image": {"composite": [file]}},
            {"url": spelling, "meta": sent["meta"]},
            {"path": file, "meta": sent["meta"]},
            {"path": [spelling], "url": None},
        ):
            with pytest.raises(httpx.HTTPStatusError) as error:
                visitor.reconstruct(photograph, "8-8-8", 128)
            assert error.value.response.status_code == 400, spelling
    assert seen == []


def test_no_other_field_of_a_file_fetches(guest, asked):
    visitor, sent = guest
    host, seen = asked
    address = f"http://{host}/a"
    for more in (
        {"url": address, "is_stream": True},
        {"url": f"http://{host}/{API}/file={sent['path']}", "mime_type": address, "size": -1},
        {"orig_name": address, "video": {"path": address}, "meta": {"_type": address}},
        {"orig_name": {"path": address, "meta": sent["meta"]}},
    ):
        assert "mt-compare" in visitor.reconstruct(sent | more, "8-8-8", 128)
    assert seen == []


def test_what_was_checked_is_what_is_used(page, guest, asked):
    visitor, sent = guest
    host, seen = asked
    address, path = json.dumps(f"http://{host}/a"), json.dumps(sent["path"])
    meta = json.dumps(sent["meta"])
    message = {"fn_index": 0, "session_hash": visitor.session, "trigger_id": None}
    start = json.dumps(message)[:-1]
    # Of a name that stands twice the last counts, whichever a reader takes; other fields do not get through.
    for file in (
        rf'{{"path": "{sent["path"]}\ud800", "meta": {meta}}}',
        f'{{"path": {path}, "path": {address}, "meta": {meta}}}',
        f'{{"path": {address}, "meta": {meta}}}',
    ):
        for body in (f'{start}, "data": [{file}]}}', f'{start}, "event_data": {file}, "data": []}}'):
            for coded in (body.encode(), body.encode("utf-16"), body.encode("utf-32")):
                answer = visitor.http.post(f"{API}/queue/join", content=coded)
                assert answer.status_code == 400
    assert seen == []


def test_photographs_with_signs_in_their_names_are_taken(page, guest):
    visitor, _ = guest
    sent = visitor.upload("50%25 of C#, 1+1=2 & ü.png", encoded((24, 16)))
    assert "%25" in sent["path"]
    assert "#" in sent["path"]
    assert "mt-compare" in visitor.reconstruct(sent, "8-8-8", 128)
    assert request(page, "GET", f"/{API}/file={quote(sent['path'])}")[0] == 200
