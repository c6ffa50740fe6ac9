"""Photographs to switch files, switch files to pictures, and what a switch file holds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.codec import Coding, Header, dump, load, read_bytes, read_header
from maxtunnel.data.images import list_images, read_image, write_png
from maxtunnel.models import tiling
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError, check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.zoo.names import find_shipped
from maxtunnel.zoo.names import load as load_network

Skipped = list[tuple[Path, str]]


@dataclass(frozen=True)
class Inspection:
    """What a switch file says of itself.

    Attributes:
        path: the file.
        bytes: its size.
        header: its header.
        model: name of the shipped model whose encoder made it, or None.
        entropy_bits: of each level, finest first: bits of an image if each code cost its channel's entropy.
    """

    path: Path
    bytes: int
    header: Header
    model: str | None
    entropy_bits: tuple[float, ...]


def encode(
    images: str | Path | Sequence[str | Path],
    model: str,
    out: str | Path = ".",
    coding: Coding = "entropy",
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, float]], Skipped]:
    """Write the switches of each photograph, at its own size, as `out`/NAME.mxt.

    Args:
        images: a file or a folder of them, or several.
        model: what `maxtunnel.load` takes.
        out: folder for the switch files.
        coding: `entropy` or `packed`.
        on_progress: told the files done and their total.

    Returns:
        The files with their bits per pixel and colour channel, and the unreadable images with the reason.
    """
    check_folder(out)
    network = load_network(model)
    paths = _paths(images)
    files = [file for path in paths for file in (list_images(path) if path.is_dir() else [path])]
    written: list[tuple[Path, float]] = []
    skipped: Skipped = []
    for done, file in enumerate(files, 1):
        try:
            pixels = read_image(file)
        except FormatError as error:
            if [file] == paths:
                raise
            skipped.append((file, str(error)))
            continue
        target = _free(Path(out) / f"{file.stem}.mxt", [path for path, _ in written])
        dump(tiling.encode(network, pixels), target, network, coding)
        written.append((target, 8 * target.stat().st_size / pixels.numel()))
        on_progress("encode", done, len(files), "")
    return written, skipped


def decode(
    files: str | Path | Sequence[str | Path],
    model: str | None = None,
    levels: Collection[int] | None = None,
    out: str | Path = ".",
    on_progress: OnProgress = silent,
) -> list[Path]:
    """Rebuild the images in switch files as `out`/NAME-rebuilt.png; of a batch NAME-rebuilt-1.png, ...

    So a picture never takes the place of the photograph that was encoded beside it.

    Args:
        files: a switch file, or several.
        model: what `maxtunnel.load` takes; by default the shipped model that each file names.
        levels: the levels to make use of, 1 the finest; by default all.
        out: folder for the pictures.
        on_progress: told the files done and their total.

    Raises:
        FormatError: a file is damaged, or its model is not here.
        ValueError: `model` is not the one that made a file, or a file has no such level.
    """
    check_folder(out)
    written: list[Path] = []
    given = None if model is None else load_network(model)
    paths = _paths(files)
    for done, file in enumerate(paths, 1):
        header = read_header(read_bytes(file), str(file))
        network = _network(file, header, model, given)
        code = load(file, levels)
        for number in range(1, len(code) + 1):
            picture = tiling.decode(network, code[number - 1], levels=levels)
            ending = "" if len(code) == 1 else f"-{number}"
            target = _free(Path(out) / f"{file.stem}-rebuilt{ending}.png", written)
            write_png(target, picture)
            written.append(target)
        on_progress("decode", done, len(paths), "")
    return written


def parse_levels(text: str) -> frozenset[int] | None:
    """`all` as None, `3,2` as those levels; ValueError for anything else."""
    if text == "all":
        return None
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise ValueError(f"the levels are {text!r}: expected all, or numbers from 1, the finest, such as 3,2")
    return frozenset(int(part) for part in parts)


def inspect(path: Path) -> Inspection:
    """What a switch file holds and costs; FormatError for a damaged one."""
    data = read_bytes(path)
    header, code = read_header(data, str(path)), load(path)
    return Inspection(
        path=path,
        bytes=len(data),
        header=header,
        model=find_shipped(header.network),
        entropy_bits=tuple(level.entropy_bits for level in code.levels),
    )


def _network(file: Path, header: Header, model: str | None, given: TunnelNetwork | None) -> TunnelNetwork:
    if given is not None:
        if header.network not in (bytes(16), given.identity()):
            raise ValueError(
                f"{file} was made by network {header.network.hex()}, and {model} is "
                f"{given.identity().hex()}: give --model the one that made it"
            )
        return given
    if header.network == bytes(16):
        raise FormatError(f"{file} names no network: give the one that made it with --model")
    name = find_shipped(header.network)
    if name is None:
        raise FormatError(
            f"{file} was made by network {header.network.hex()}, which does not ship: give it with --model"
        )
    return load_network(name)


def _paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(path) for path in given]


def _free(path: Path, taken: Collection[Path]) -> Path:
    """`path`, or with a number where another file of this call has it."""
    number, free = 1, path
    while free in taken:
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free
