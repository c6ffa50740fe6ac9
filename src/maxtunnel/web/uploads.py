"""Files that were sent to the page: found, and read as photographs or as switches, within limits."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.codec import loads, read_header
from maxtunnel.codec.consistency import are_levels_of
from maxtunnel.data.images import NamedBytes, read_image, shrink
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.web.bounds import check_photograph, check_switches, side_for
from maxtunnel.web.inputs import Limits, printable
from maxtunnel.web.networks import decoders_of, find, network, without_decoder

LONGEST_PATH, LONGEST_NAME = 4096, 255  # characters of a path and of its parts, as disks have it
# Gradio leaves none of these in the name of an upload; a lone surrogate is no text that a disk can hold.
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\\:?\ud800-\udfff]")


@dataclass(frozen=True)
class Upload:
    """A file that was sent, and the name that it came with, fit to be shown."""

    data: bytes
    name: str

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return Path(self.name).stem


def read_upload(payload: object, folder: Path, limits: Limits) -> Upload | None:
    """The file that a visitor's message names; None if there is none.

    Args:
        payload: what Gradio's pages send for a file: a dictionary with `path` and `orig_name`.
        folder: where uploads lie. Nothing outside is read.
        limits: of its size.

    Raises:
        FormatError: it is not there, lies elsewhere or is too large.
    """
    if payload is None:
        return None
    path = payload.get("path") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(path, str) or not lies_within(path, folder):
        raise FormatError("the page reads only files that were sent to it: choose the file again")
    name = printable(payload.get("orig_name") or Path(path).name)
    try:
        with open(Path(path).resolve(), "rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError:
        raise FormatError(f"{name} is no longer here: choose the file again") from None
    if len(data) > limits.max_bytes:
        raise FormatError(f"{name} is larger than {limits.max_megabytes} MB: take a smaller file")
    return Upload(data, name)


def lies_within(path: object, folder: Path) -> bool:
    """Whether `path` names something below `folder`, spelt as this server spells it, links followed.

    Nothing is normalised first: to Gradio `http://host/../../uploads/x` is an address, although as a path it
    would lie within the folder.
    """
    start = f"{folder}{os.sep}"
    if not isinstance(path, str) or not path.startswith(start) or len(path) > LONGEST_PATH:
        return False
    if not all(map(_is_name, path.removeprefix(start).split(os.sep))):
        return False
    return Path(os.path.realpath(path)).is_relative_to(folder.resolve())


def _is_name(part: str) -> bool:
    """Whether a part of a path can only be a name, however often it is decoded."""
    while len(part) <= LONGEST_NAME and part not in ("", ".", "..") and not _NO_NAME.search(part):
        decoded = unquote(part)
        if decoded == part:
            return True
        part = decoded
    return False


def read_photograph(upload: Upload, limits: Limits, side: int) -> UInt8[Tensor, "3 h w"]:
    """The photograph, its longest side at most `side` pixels; decoded as everywhere (`read_image`).

    Raises:
        FormatError: no image, a damaged one, or one of too many pixels.
    """
    if side not in limits.sides:
        raise ValueError(f"the longest side is {side!r}: choose one of {limits.sides} pixels")
    check_photograph(upload.data, upload.name, limits)
    stream = NamedBytes(upload.data, upload.name)
    return shrink(read_image(stream, max_pixels=limits.max_megapixels * 10**6), side)


def read_switches(upload: Upload, limits: Limits) -> tuple[str, SwitchCode]:
    """The name of the network of this page that made a switch file, and its code of one image.

    What the header claims is compared with the network before room is made for it.

    Raises:
        FormatError: no switch file, a damaged one, one of a network that is not on this page or has no
            trained decoder, or too large.
    """
    header = read_header(upload.data, upload.name)
    name = find(header.network)
    if name is None:
        raise FormatError(
            f"{upload.name} was made by a network that is not on this page: decode it with maxtunnel decode "
            "--model and the network that made it"
        )
    if not decoders_of(name):
        raise FormatError(without_decoder(name))
    if not are_levels_of(header, network(name).architecture.widths):
        raise FormatError(f"{upload.name} is damaged: its levels are not those of {name}, which it names")
    check_switches(header, upload.name, limits, side_for(name, limits.max_side))
    return name, loads(upload.data, name=upload.name)
