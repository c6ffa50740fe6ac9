"""Which image files are read, and what a file of another kind is, told by its first bytes."""

import io
from functools import cache
from importlib.util import find_spec

from PIL import features

Stream = io.BytesIO | io.BufferedReader
# The suffixes that image files are looked for by.
SUFFIXES = ("jpg", "jpeg", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif", "pgm", "heic", "heif", "avif")

_ALWAYS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_PGM = (b"P2", b"P5")  # written out, and as bytes; Pillow's PPM reads them, and others that are not asked for
_AVIF = {b"avif", b"avis"}
# The last two are containers of pictures whose coding the brand does not tell.
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
START = 64  # bytes that tell what a file is


def readable(start: bytes) -> tuple[str, ...]:
    """Pillow's names of the formats to try on a file with this start; empty where none can read it."""
    kind = _container(start)
    if kind == "HEIC" and _heif():
        return ("HEIF",)
    if kind == "AVIF" and features.check("avif"):
        return ("AVIF",)
    if start[:2] in _PGM:
        return ("PPM",)
    return () if kind else _ALWAYS


def describe(start: bytes) -> str:
    """Why a file with this start cannot be read, and what to do: the rest of a sentence about it."""
    kind = _container(start)
    if kind == "HEIC":
        return "is a HEIC photograph, which needs pillow-heif: pip install pillow-heif"
    if kind == "AVIF":
        return "is an AVIF photograph, which needs a Pillow that reads them: pip install 'pillow>=11.3'"
    if kind:
        found = f"is a video or another medium ({start[4:12]!r})"
    else:
        found = f"is no image that can be read (it starts with {start[:8]!r})" if start else "is empty"
    return f"{found}: give a JPEG, PNG, WebP, BMP, TIFF or GIF"


@cache
def _heif() -> bool:
    """Whether Pillow reads HEIC here, now that it has been asked to."""
    if find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def _container(start: bytes) -> str:
    """`HEIC`, `AVIF` or `other` for an ISO media file (it begins with its length, `ftyp` and its brands)."""
    if start[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(start[:4]), len(start))
    # Between the first brand and the others stands a version.
    brands = {start[place : place + 4] for place in (8, *range(16, end - 3, 4))}
    return "AVIF" if brands & _AVIF else "HEIC" if brands & _HEIC else "other"
