"""`maxtunnel serve` with Gradio's own defence off, so that a test sees what the gate alone keeps out.

Gradio fetches addresses for its visitors, but none of this machine or its network. Here it may, every name
leads to this machine, and what comes with the header `x-unguarded: 1` goes round the gate.
"""

import os
import sys

import safehttpx

from maxtunnel.__main__ import main
from maxtunnel.web import serving
from maxtunnel.web.gate import Gate

UNGUARDED = {"x-unguarded": "1"}


async def to_this_machine(host):
    return "127.0.0.1"


class Beside(Gate):
    """A gate that one can walk round."""

    async def __call__(self, scope, receive, send):
        if (b"x-unguarded", b"1") in scope.get("headers", ()):
            await self._application(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


if __name__ == "__main__":
    safehttpx.is_public_ip = lambda ip: True
    safehttpx.async_validate_url = to_this_machine
    serving.Gate = Beside
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    sys.exit(main())
