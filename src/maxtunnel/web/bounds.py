"""How much work a file may ask for, looked at before any of it is done.

A file's length bounds little: a JPEG, at twelve bytes a scan, can go over all its pixels a million times, a
TIFF of one pixel can have a tile of a gigabyte, and switches are coded in less than a bit. A strong decoder
takes 4 to 30 times as long as the paper's, so it reads smaller photographs; and so does a network of a file
that is larger than those that ship.
"""

import io
import re

from PIL import Image

from maxtunnel.codec import Header, is_fast
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.files import FormatError
from maxtunnel.switches.window import Pair
from maxtunnel.web.inputs import SIDES, Limits
from maxtunnel.web.networks import decoders_of, network, relative_work, strong_of, without_decoder

MOST_SCANS = 100  # of a JPEG; a progressive one has about ten
MOST_SEGMENTS = 4096  # of a JPEG, scans among them; one by one, Pillow reads them before the first scan
# Steps of reading entropy-coded switches where there is no compiled coder: some 50 microseconds each.
MOST_PLAIN_STEPS = 2**16
# Longest side that a strong decoder reads here: 512x512 pixels take it two seconds of one core, 2048x2048
# would take it more than a minute. Inside it is asked five times: at 128x128 that is a second in all.
STRONG_SIDE, STRONG_SIDE_INSIDE = 512, 128
_STRONG_WIDTH = 112  # channels of the strong decoders that ship
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START, _SCAN, _END = 0xD8, 0xDA, 0xD9
_TILE_SIDES = (322, 323)  # tags of TIFF


def check_photograph(data: bytes, name: str, limits: Limits) -> None:
    """Refuse what decoding would take long or much memory for although it has few pixels.

    Raises:
        FormatError: a JPEG of very many scans, or a TIFF of larger tiles than a photograph may be, or one
            that cannot be opened.
    """
    if data.startswith(b"\xff\xd8") and _has_many_scans(data):
        raise FormatError(
            f"{name} is a JPEG of more than {MOST_SCANS} scans or {MOST_SEGMENTS:,} segments: save it again"
        )
    if (
        data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
        and _tile(data, name) > limits.max_megapixels * 10**6
    ):
        raise FormatError(f"{name} is a TIFF whose tiles are larger than a photograph may be: save it again")


def side_for(model: str, side: int) -> int:
    """The longest side on which this page computes with a network, where `side` is asked for: one of `SIDES`.

    A network of a file is to take no longer than the largest one that ships, whose work grows with the square
    of the side. 128 pixels are computed on in any case (`networks.MOST_WORK`).
    """
    fitting = side / max(1.0, relative_work(network(model).architecture)) ** 0.5
    if decoders_of(model) == ("strong",):
        fitting = min(fitting, strong_side(model))
    return max((each for each in SIDES if each <= fitting), default=SIDES[0])


def strong_side(model: str) -> float:
    """The longest side that the strong decoder of a network reads: its work grows with its width squared."""
    strong = strong_of(model)
    width = network(model if strong is None else strong).strong_width or _STRONG_WIDTH
    return STRONG_SIDE * min(1.0, _STRONG_WIDTH / width)


def check_switches(header: Header, name: str, limits: Limits, side: int | None = None) -> None:
    """Refuse a switch file by the amount that it holds; reading it compares its levels with its network.

    Args:
        header: of the file.
        name: what messages call it.
        limits: of the page.
        side: the longest one with this network, if that is less.

    Raises:
        FormatError: more than one image, or a larger one than the page takes, or it would take long as there
            is no compiled coder.
    """
    side = limits.max_side if side is None else side
    if header.images != 1 or max(header.image_size) > side:
        height, width = header.image_size
        raise FormatError(
            f"{name} holds {header.images} images of {width}x{height} pixels; this page decodes one of up to "
            f"{side} a side: take maxtunnel decode, which has no such limit"
        )
    steps = sum(part.work(header.images) for part in header.parts if part.coding != "packed")
    if steps > MOST_PLAIN_STEPS and not is_fast():
        raise FormatError(
            f"{name} would take long to read on the machine that serves this page, as it has no compiler: "
            "take maxtunnel decode"
        )


def why_not_strong(model: str, size: Pair) -> str | None:
    """Why this page does not give switches to a strong decoder; None where it does.

    Args:
        model: the network that was chosen.
        size: (height, width) of the photograph.
    """
    if "strong" not in decoders_of(model):
        return without_decoder(model)
    longest = strong_side(model)
    if max(size) > longest:
        return (
            f"the strong decoder reads up to {longest:.0f} pixels a side on this page: choose a smaller "
            f"size, or take maxtunnel with the model {strong_of(model) or model}"
        )
    return None


def readers_of(model: str, size: Pair) -> tuple[list[DecoderKind], str | None]:
    """The decoders that this page gives switches to, the paper's first, and why another is missing.

    Args:
        model: the network that was chosen.
        size: (height, width) of the photograph.
    """
    missing = why_not_strong(model, size)
    kinds = [kind for kind in decoders_of(model) if kind == "mirrored" or missing is None]
    if missing is None and "mirrored" not in kinds:
        missing = without_decoder(model)
    return kinds, missing


def _has_many_scans(data: bytes) -> bool:
    """Whether a JPEG has too many scans or segments; a thumbnail, which lies inside a segment, has none."""
    scans, at = 0, 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        kind = _END if found is None else data[found.end() - 1]
        if found is None or kind == _END:
            return False
        at = found.end()
        if kind not in (_START, 1):
            at += max(2, int.from_bytes(data[at : at + 2]))
        scans += kind == _SCAN
        if scans > MOST_SCANS:
            return True
    return True


def _tile(data: bytes, name: str) -> int:
    """Pixels of a tile of a TIFF; 0 where it has none."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            width, height = (int(image.tag_v2.get(tag, 0)) for tag in _TILE_SIDES)  # type: ignore[attr-defined]
            return width * height
    # Pillow answers damage with nearly any exception.
    except Exception as error:
        raise FormatError(f"{name} is cut short, damaged or unusual: get it again") from error
