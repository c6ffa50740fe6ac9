"""Files that were sent to the page: found, and read as photographs or as switches, within limits."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.codec import Header, loads, read_header
from maxtunnel.data.images import NamedBytes, read_image, resize
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.web.inputs import Limits, printable
from maxtunnel.web.networks import network
from maxtunnel.zoo.names import find_shipped


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
    """Whether `path` names something below `folder`, links followed."""
    if not isinstance(path, str) or "\0" in path:
        return False
    return Path(path).resolve().is_relative_to(folder.resolve())


def read_photograph(upload: Upload, limits: Limits, side: int) -> UInt8[Tensor, "3 h w"]:
    """The photograph, its longest side at most `side` pixels; decoded as everywhere (`read_image`).

    Raises:
        FormatError: no image, a damaged one, or one of too many pixels.
    """
    if side not in limits.sides:
        raise ValueError(f"the longest side is {side!r}: choose one of {limits.sides} pixels")
    stream = NamedBytes(upload.data, upload.name)
    return shrink(read_image(stream, max_pixels=limits.max_megapixels * 10**6), side)


def shrink(pixels: UInt8[Tensor, "3 _ _"], side: int) -> UInt8[Tensor, "3 _ _"]:
    """The photograph made smaller by averaging over areas: no side over `side` pixels, proportions kept."""
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
    if header.images != 1 or max(header.image_size) > limits.max_side:
        height, width = header.image_size
        raise FormatError(
            f"{name} holds {header.images} images of {width}x{height} pixels; this page decodes one of up to "
            f"{limits.max_side} a side: take maxtunnel decode, which has no such limit"
        )
    architecture = network(model).architecture
    padded = architecture.padded_size(header.image_size)
    # The first level pools the whole image, each further one a plane of half the side.
    planes = [(padded[0] >> halvings, padded[1] >> halvings) for halvings in range(len(architecture.widths))]
    claimed = [(part.channels, part.size) for part in header.parts]
    if claimed != list(zip(architecture.widths, planes, strict=True)):
        raise FormatError(f"{name} is damaged: its levels are not those of {model}")
