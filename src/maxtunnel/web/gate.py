"""What may be asked of the server: the few routes that the page needs, within bounds, and nothing else.

Gradio's server can do much more than this page: fetch addresses, stand in front of other servers, run
functions by name. Whatever is not on the list here is not found; files are given out and taken in only where
uploads lie. A path is compared as the server behind reads it, decoded once, and letter by letter: to that
server a path that begins with a scheme is an address, wherever it would lead as a path.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypedDict

from maxtunnel.web.inputs import Limits
from maxtunnel.web.messages import Misled, cleaned
from maxtunnel.web.results import ADDRESS, Results
from maxtunnel.web.uploads import LONGEST_NAME, LONGEST_PATH, lies_within

Header = tuple[bytes, bytes]


class Scope(TypedDict, total=False):
    """A connection, as far as it is looked at here (ASGI 3)."""

    type: str
    method: str
    path: str
    raw_path: bytes
    headers: list[Header]


class Message(TypedDict, total=False):
    """What is received from the visitor, or sent to the visitor, as far as it is looked at here (ASGI 3)."""

    type: str
    status: int
    headers: Iterable[Header]
    body: bytes
    more_body: bool


Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
PROGRESS = f"{API}/upload_progress"
JOIN = f"{API}/queue/join"
_STREAM_CLOSED = re.compile(rf"{API}/stream/\w+/close")
MOST_MESSAGE = 256 * 1024  # bytes of a message that is no upload: the page sends a few hundred
_DISGUISE = re.compile(rb"%(?:2f|5c|00)", re.IGNORECASE)  # encoded slashes, backslashes and NUL
_UNUSUAL = re.compile(r"[\x00-\x1f\x7f\\?]")
_FORM = 64 * 1024  # what a form adds to the file in it
_OPEN = re.compile(
    r"/|/config/?|/(assets|static|svelte)/.+|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/log(in|out)/?"
    rf"|{API}/(queue/(join|data)|heartbeat/\w+|upload|file=.+|startup-events|theme\.css|info/?"
    r"|login_check/?|user/?|token/?|app_id/?|cancel|reset/?)"
)
# Gradio's scripts evaluate templates and carry inline parts; nothing is loaded from elsewhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS: tuple[Header, ...] = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Refused(Exception):
    """A request that gets no further: the status and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Gate:
    """An ASGI application before another one.

    Args:
        application: what stands behind.
        folder: where uploads lie.
        limits: of an upload.
        results: what answers refer to, given out here.
    """

    def __init__(self, application: Application, folder: Path, limits: Limits, results: Results) -> None:
        self._application, self._folder = application, folder
        self._limits, self._results = limits, results

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        if scope["type"] != "http":
            return
        try:
            if await self._answer(scope, send):
                return
            checked = await self._check(scope, receive)
        except Refused as refusal:
            await _refuse(refusal, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._application(scope, checked, send_with_headers)

    async def _answer(self, scope: Scope, send: Send) -> bool:
        """Answer what need not be passed on; whether it was that."""
        path = scope["path"]
        if path.startswith(ADDRESS):
            await self._give(scope, send)
        elif path == PROGRESS:
            # Gradio answers "not found" where an upload was quicker than this question.
            await _send(send, 200, "text/event-stream", b'data: {"msg": "done"}\n\n')
        elif scope["method"] == "POST" and _STREAM_CLOSED.fullmatch(path):
            # Said when the camera is closed, of an answer that may be long done. No answer here is a stream.
            await _send(send, 200, "application/json", b'{"msg": "success"}')
        else:
            return False
        return True

    async def _give(self, scope: Scope, send: Send) -> None:
        """Answer with a result; its address is all that is needed, and nobody can guess one."""
        kept = self._results.get(scope["path"])
        if kept is None or scope["method"] not in ("GET", "HEAD"):
            raise Refused(404, "this result is no longer kept: compute it again")
        cached = (b"cache-control", b"private, max-age=1800")
        await _send(send, 200, kept.kind, kept.data if scope["method"] == "GET" else b"", cached)

    async def _check(self, scope: Scope, receive: Receive) -> Receive:
        """How the application is to receive the request; `Refused` where it may not."""
        path = scope["path"]
        if not _OPEN.fullmatch(path) or _is_disguised(scope):
            raise Refused(404, "there is nothing here")
        if path.startswith(FILE) and not lies_within(path.removeprefix(FILE), self._folder):
            raise Refused(403, "only files that were sent to this page can be fetched")
        if scope["method"] in ("GET", "HEAD"):
            return receive
        if path == UPLOAD:
            self._check_length(scope)
            return receive
        body = await _read(receive, MOST_MESSAGE)
        return _replay(self._cleaned(body) if path == JOIN else body, receive)

    def _check_length(self, scope: Scope) -> None:
        """Refuse by the announced length, to which the server holds its sender, before a byte is stored."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        if not length.isdigit():
            raise Refused(411, "an upload says how long it is")
        if int(length) > self._limits.max_bytes + _FORM:
            megabytes = self._limits.max_megabytes
            raise Refused(413, f"the file exceeds the maximum allowed size of {megabytes} MB")

    def _cleaned(self, body: bytes) -> bytes:
        """A message with nothing in it that leads out of the uploads."""
        try:
            return cleaned(body, self._folder)
        except Misled as error:
            raise Refused(400, str(error)) from None
        except ValueError:
            raise Refused(400, "this is no message of the page") from None


def _is_disguised(scope: Scope) -> bool:
    """Whether a path is spelt as the page never does: encoded to become another, or no path of a disk."""
    path, raw = scope["path"], scope.get("raw_path", b"")
    if _DISGUISE.search(raw) or _UNUSUAL.search(path) or len(path) > LONGEST_PATH:
        return True
    return any(part == ".." or len(part) > LONGEST_NAME for part in path.split("/"))


async def _read(receive: Receive, most: int) -> bytes:
    """A whole body; `Refused` above `most` bytes."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            raise Refused(413, f"a message of more than {most} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(refusal: Refused, send: Send) -> None:
    # Of a failed upload Gradio's page shows the body, of another error its `detail`.
    if refusal.status == 413:
        await _send(send, 413, "text/plain; charset=utf-8", str(refusal).encode())
    else:
        body = json.dumps({"detail": str(refusal)}).encode()
        await _send(send, refusal.status, "application/json", body)


async def _send(send: Send, status: int, kind: str, body: bytes, *headers: Header) -> None:
    told = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        *headers,
        *_HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
