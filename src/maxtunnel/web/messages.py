"""What a visitor's message may hold: values, and files that were sent to the page before."""

import json
from pathlib import Path

from maxtunnel.web.uploads import lies_within

# What the page sends. The server behind knows more, such as tokens and batches.
_FIELDS = ("data", "event_data", "fn_index", "session_hash", "trigger_id")
_FILE = {"_type": "gradio.FileData"}


class Misled(ValueError):
    """A message that names a file which was not sent to the page."""


def cleaned(body: bytes, folder: Path) -> bytes:
    """The message as the server behind is to receive it: written anew from what was checked.

    Of a file it keeps the path, which lies among the uploads, and the name; Gradio fetches what other fields
    of a file may hold. So nothing depends on how two readers of JSON take the same bytes.

    Raises:
        ValueError: this is no message of the page; `Misled` where it names a file elsewhere.
    """
    try:
        message = json.loads(body)
        if not isinstance(message, dict):
            raise ValueError("this is no message of the page")
        kept = {key: _checked(message[key], folder) for key in _FIELDS if key in message}
        return json.dumps(kept).encode()
    except RecursionError:
        raise ValueError("this is no message of the page") from None


def _checked(value: object, folder: Path) -> object:
    """A value, however deep, its files reduced to what is needed of them."""
    if isinstance(value, list):
        return [_checked(each, folder) for each in value]
    if not isinstance(value, dict):
        return value
    # Gradio tells a file by its path, and some of its controls by an address.
    if "path" in value or "url" in value:
        path, name = value.get("path"), value.get("orig_name")
        if not lies_within(path, folder):
            raise Misled("only files that were sent to this page can be used")
        return {"path": path, "orig_name": name if isinstance(name, str) else None, "meta": dict(_FILE)}
    return {key: _checked(each, folder) for key, each in value.items()}
