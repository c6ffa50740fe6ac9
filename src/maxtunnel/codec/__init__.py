"""Switches as files: a code to bytes and back, in few bits, exactly, on every machine.

`dumps`, `loads`, `dump` and `load` are the whole of it for a user; docs/format.md specifies the bytes, and
docs/codec.md says what they cost.
"""

from maxtunnel.codec.coders import is_fast
from maxtunnel.codec.format import Header, Part, read_header
from maxtunnel.codec.serialisation import dump, dumps, load, loads, read_bytes, stored_bits

__all__ = [
    "Header",
    "Part",
    "dump",
    "dumps",
    "is_fast",
    "load",
    "loads",
    "read_bytes",
    "read_header",
    "stored_bits",
]
