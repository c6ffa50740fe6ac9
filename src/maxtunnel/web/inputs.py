"""What a visitor sends, checked before anything is done with it: files, names, numbers."""

import io
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.codec import Header, loads, read_header
from maxtunnel.data.images import read_image, resize
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.zoo.names import find_shipped, load, shipped

SIDES = (128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Limits:
    """What the page takes in.

    Attributes:
        megabytes: of any file.
        megapixels: of a photograph as it comes; it is decoded whole before it is made smaller.
        side: longest side in pixels that is computed on; the choices on the page end here.

    Raises:
        ValueError: a limit that leaves nothing to do.
    """

    megabytes: int = 20
    megapixels: int = 25
    side: int = 1024

    def __post_init__(self) -> None:
        if min(self.megabytes, self.megapixels) < 1 or self.side not in SIDES:
            raise ValueError(
                f"{self}: expected at least 1 MB, 1 megapixel and a side of {', '.join(map(str, SIDES))}"
            )

    @property
    def sides(self) -> list[int]:
        """Longest sides to choose from."""
        return [side for side in SIDES if side <= self.side]

    def __str__(self) -> str:
        return (
            f"files of up to {self.megabytes} MB, photographs of up to {self.megapixels} megapixels, "
            f"switch files of up to {self.side} pixels a side"
        )


@dataclass(frozen=True)
class Upload:
    """A file that was sent, and the name that it came with, fit to be shown."""

    data: bytes
    name: str

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return Path(self.name).stem


def read_upload(payload: Any, folder: Path, limits: Limits) -> Upload | None:
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
    if not isinstance(path, str) or not lies_within(path, folder):
        raise FormatError("the page reads only files that were sent to it: choose the file again")
    name = printable(payload.get("orig_name") or Path(path).name)
    try:
        with open(Path(path).resolve(), "rb") as file:
            data = file.read(limits.megabytes * 10**6 + 1)
    except OSError:
        raise FormatError(f"{name} is no longer here: choose the file again") from None
    if len(data) > limits.megabytes * 10**6:
        raise FormatError(f"{name} is larger than {limits.megabytes} MB: take a smaller file")
    return Upload(data, name)


def lies_within(path: Any, folder: Path) -> bool:
    """Whether `path` names something below `folder`, links followed."""
    if not isinstance(path, str) or "\0" in path:
        return False
    return Path(path).resolve().is_relative_to(folder.resolve())


def printable(name: Any) -> str:
    """A file name without folders, marks and control characters, shortened at its end."""
    plain = re.sub(r"[^\w .()+-]", "_", Path(str(name)).name).strip()
    stem, suffix = Path(plain).stem or "file", Path(plain).suffix
    return stem[:60] + suffix[:12]


class _Named(io.BytesIO):
    """Bytes that errors call by a name."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.data)
        self.name = upload.name


def read_photograph(upload: Upload, limits: Limits, side: int) -> UInt8[Tensor, "3 h w"]:
    """The photograph, its longest side at most `side` pixels; decoded as everywhere (`read_image`).

    Raises:
        FormatError: no image, a damaged one, or one of too many pixels.
    """
    if side not in limits.sides:
        raise ValueError(f"the longest side is {side!r}: choose one of {limits.sides} pixels")
    return shrink(read_image(_Named(upload), max_pixels=limits.megapixels * 10**6), side)


def shrink(pixels: UInt8[Tensor, "3 _ _"], side: int) -> UInt8[Tensor, "3 _ _"]:
    """The image with its longest side at most `side` pixels, its aspect ratio kept, averaged over areas."""
    height, width = pixels.shape[-2:]
    factor = min(1.0, side / max(height, width))
    return resize(pixels, (max(1, round(height * factor)), max(1, round(width * factor))), "antialias")


def read_switches(upload: Upload, limits: Limits) -> tuple[str, SwitchCode]:
    """The name of the shipped network that made a switch file, and its code of one image.

    What the header claims is compared with the network before room is made for it.

    Raises:
        FormatError: no switch file, a damaged one, one of a network that does not ship, or too large.
    """
    header = read_header(upload.data, upload.name)
    name = find_shipped(header.network)
    if name is None:
        raise FormatError(
            f"{upload.name} was made by a network that is not on this page: decode it with maxtunnel decode "
            "--model and the network that made it"
        )
    _check_claims(header, upload.name, limits, name)
    return name, loads(upload.data, name=upload.name)


def _check_claims(header: Header, name: str, limits: Limits, model: str) -> None:
    if header.images != 1 or max(header.image_size) > limits.side:
        height, width = header.image_size
        raise FormatError(
            f"{name} holds {header.images} images of {width}x{height} pixels; this page decodes one of up to "
            f"{limits.side} a side: take maxtunnel decode, which has no such limit"
        )
    architecture = network(model).architecture
    padded = architecture.padded_size(header.image_size)
    planes = [(padded[0] >> level, padded[1] >> level) for level in range(len(architecture.widths))]
    if [(part.channels, part.size) for part in header.parts] != list(
        zip(architecture.widths, planes, strict=True)
    ):
        raise FormatError(f"{name} is damaged: its levels are not those of {model}")


_loading = threading.Lock()


def network(name: Any) -> TunnelNetwork:
    """The shipped network of this name, read once; nothing else is looked for."""
    if name not in shipped():
        raise ValueError(f"there is no network {printable(name)} on this page: choose another")
    with _loading:
        return _load(name)


@cache
def _load(name: str) -> TunnelNetwork:
    return load(name)


def choose(value: Any, among: Collection[str], what: str) -> str:
    """`value`, if it is one of `among`; ValueError otherwise."""
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"{what} is {printable(value)}: choose one of {', '.join(among)}")
    return value


def number(value: Any, low: int, high: int, what: str) -> float:
    """`value` as a number from `low` to `high`; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{what} is {printable(value)}: expected {low} to {high}")
    return float(value)
