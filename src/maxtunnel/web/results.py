"""Pictures and files that answers refer to, in memory: for a while, and never more than there is room for.

What a tab answers is HTML with its pictures inside. Gradio keeps the last answers of every visitor, so what
is large is taken out of them here and given an address that nobody can guess.
"""

import base64
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

ROOM = 256 * 10**6  # bytes
KEEP_SECONDS = 1800.0
ADDRESS = "/result/"
_INLINE = re.compile(r"data:([a-z]+/[a-z-]+);base64,([A-Za-z0-9+/]+=*)")


class Kept(NamedTuple):
    """Bytes, what they are, and when they were last put."""

    data: bytes
    kind: str
    put: float


class Results:
    """Bytes by address; the oldest go first.

    Args:
        room: bytes in all.
        seconds: how long each is kept.
    """

    def __init__(self, room: int = ROOM, seconds: float = KEEP_SECONDS) -> None:
        self._room, self._seconds = room, seconds
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def put(self, data: bytes, kind: str) -> str:
        """Keep bytes; their address, which is the same for the same bytes."""
        address = ADDRESS + hmac.digest(self._secret, kind.encode() + b"\0" + data, "sha256").hex()[:40]
        with self._lock:
            self._drop(address)
            self._kept[address] = Kept(data, kind, time.monotonic())
            self._bytes += len(data)
            while self._bytes > self._room or self._expired(next(iter(self._kept))):
                self._drop(next(iter(self._kept)))
        return address

    def get(self, address: str) -> Kept | None:
        """What was put there; None if it is gone or never was."""
        with self._lock:
            if address in self._kept and self._expired(address):
                self._drop(address)
            return self._kept.get(address)

    def lift(self, html: str) -> str:
        """The same HTML with addresses in the place of the data in it."""
        return _INLINE.sub(lambda found: self.put(base64.b64decode(found[2]), found[1]), html)

    def _expired(self, address: str) -> bool:
        return time.monotonic() - self._kept[address].put > self._seconds

    def _drop(self, address: str) -> None:
        kept = self._kept.pop(address, None)
        self._bytes -= 0 if kept is None else len(kept.data)
