"""What pictures are called, and what a file that is there is replaced by: what the same network makes, alone.

A switch file says which encoder made it. A picture says it in a text of the PNG file, of the whole network,
as a decoder decides it too.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from maxtunnel.codec.format import MAGIC, read_header
from maxtunnel.data.folders import list_images
from maxtunnel.models.checkpoint import hash_tensors
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError, FreeNames

NOTE = "maxtunnel network"  # the keyword of the text in a PNG file
# Enough for the header of a switch file of 255 levels.
_HEADER = 32_768


def picture_maker(network: TunnelNetwork) -> str:
    """What a picture says of the network that made it: a hash of weights, mean image and scale."""
    text = f"{hash_tensors(network.state_dict())} {network.scale!r}"
    return hashlib.sha256(text.encode()).hexdigest()


def name_pictures(
    images: str | Path | Sequence[str | Path], out: Path, label: str
) -> list[tuple[Path, Path]]:
    """Each file to read, with the picture in `out` to write: its name and the label, none of them twice.

    Of a folder that is `out` itself, pictures that a network made are no photographs.

    Raises:
        FormatError: there is no file to read.
    """
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(each) for each in images]
    names = FreeNames()
    found = [
        (file, out / f"{names.take(file.stem + label)}.png")
        for path in paths
        for file in (_photographs(path, out) if path.is_dir() else [path])
    ]
    if not found:
        raise FormatError(f"{', '.join(map(str, paths))} has no image files: give images, or folders of them")
    return found


def _photographs(folder: Path, out: Path) -> list[Path]:
    files = list_images(folder)
    if folder.resolve() != out.resolve():
        return files
    return [file for file in files if maker_of_picture(file) is None]


def check_pictures(targets: Iterable[tuple[Path, TunnelNetwork]], force: bool) -> None:
    """Refuse to replace any picture that another network made, or nobody knows who.

    Raises:
        ValueError: one of them is such a picture, and `force` is not set.
    """
    for path, network in targets:
        if not force and path.exists() and maker_of_picture(path) != picture_maker(network):
            raise _refusal(path)


def check_switch_files(targets: Iterable[Path], network: TunnelNetwork, force: bool) -> None:
    """Refuse to replace any switch file of another network, or a file that is none.

    Raises:
        ValueError: one of them is such a file, and `force` is not set.
    """
    for path in targets:
        if not force and path.exists() and _maker_of_switches(path) != network.identity():
            raise _refusal(path)


def _refusal(path: Path) -> ValueError:
    return ValueError(
        f"{path} is there, and was not made by this network: name another folder (`out`), or replace it "
        "all the same (`force`)"
    )


def maker_of_picture(path: Path) -> str | None:
    """What a picture says of the network that made it; None where it does not, or cannot be read."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            found = picture.info.get(NOTE)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return found if isinstance(found, str) else None


def _maker_of_switches(path: Path) -> bytes | None:
    """None where the file cannot be read as a switch file."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER)
        return read_header(start, str(path)).network if start.startswith(MAGIC) else None
    except (OSError, FormatError):
        return None
