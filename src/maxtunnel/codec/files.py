"""Files through a network: photographs to pictures or switch files, and switch files to pictures."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.codec import Header, dump, load, read_bytes, read_header
from maxtunnel.data.folders import list_images
from maxtunnel.data.images import read_image, write_png
from maxtunnel.models import tiling
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Coding
from maxtunnel.support.files import FormatError, FreeNames, check_folder
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


def reconstruct_files(
    images: str | Path | Sequence[str | Path],
    model: str,
    out: str | Path = ".",
    side_by_side: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, float]], Skipped]:
    """Rebuild each photograph at its own size as `out`/NAME-MODEL.png.

    Args:
        images: a file or a folder of them, or several.
        model: what `maxtunnel.load` takes.
        out: folder for the pictures.
        side_by_side: put the original on the left.
        on_progress: told the files done and their total.

    Returns:
        The pictures with their RMSE, and the unreadable images with the reason.
    """
    check_folder(out)
    network, label = load_network(model), Path(model).name
    label = label.removesuffix(".safetensors").removesuffix(".caffemodel")
    written: list[tuple[Path, float]] = []
    skipped: Skipped = []
    names = FreeNames()
    for file, pixels in _photographs(images, skipped, "reconstruct", on_progress):
        output, rmse = tiling.reconstruct(network, pixels)
        target = Path(out) / f"{names.take(f'{file.stem}-{label}')}.png"
        write_png(target, torch.cat([pixels, output], dim=-1) if side_by_side else output)
        written.append((target, rmse))
    return written, skipped


def encode_files(
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
    written: list[tuple[Path, float]] = []
    skipped: Skipped = []
    names = FreeNames()
    for file, pixels in _photographs(images, skipped, "encode", on_progress):
        target = Path(out) / f"{names.take(file.stem)}.mxt"
        dump(tiling.encode(network, pixels), target, network, coding)
        written.append((target, 8 * target.stat().st_size / pixels.numel()))
    return written, skipped


def decode_files(
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
    paths, names = _paths(files), FreeNames()
    for done, file in enumerate(paths, 1):
        header = read_header(read_bytes(file), str(file))
        network = _network(file, header, model, given)
        code = load(file, levels)
        for number in range(1, len(code) + 1):
            picture = tiling.decode(network, code[number - 1], levels=levels)
            ending = "" if len(code) == 1 else f"-{number}"
            target = Path(out) / f"{names.take(f'{file.stem}-rebuilt{ending}')}.png"
            write_png(target, picture)
            written.append(target)
        on_progress("decode", done, len(paths), "")
    return written


def inspect_file(path: Path) -> Inspection:
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


def _photographs(
    images: str | Path | Sequence[str | Path], skipped: Skipped, phase: str, on_progress: OnProgress
) -> Iterator[tuple[Path, UInt8[Tensor, "3 h w"]]]:
    """Each photograph that can be read; those that cannot are added to `skipped`.

    Raises:
        FormatError: one photograph alone was asked for, and it cannot be read.
    """
    paths = _paths(images)
    files = [file for path in paths for file in (list_images(path) if path.is_dir() else [path])]
    for done, file in enumerate(files, 1):
        try:
            pixels = read_image(file)
        except FormatError as error:
            if [file] == paths:
                raise
            skipped.append((file, str(error)))
        else:
            yield file, pixels
        on_progress(phase, done, len(files), "")


def _network(file: Path, header: Header, model: str | None, given: TunnelNetwork | None) -> TunnelNetwork:
    """The network `given`, if it is the one that made the file; without one, the shipped one that did."""
    maker = header.network.hex()
    if given is not None:
        if header.network not in (bytes(16), given.identity()):
            raise ValueError(
                f"{file} was made by network {maker}, and `model` {model} is {given.identity().hex()}: "
                "give the one that made it"
            )
        return given
    if header.network == bytes(16):
        raise FormatError(f"{file} names no network: give the one that made it as `model`")
    name = find_shipped(header.network)
    if name is None:
        raise FormatError(f"{file} was made by network {maker}, which does not ship: give it as `model`")
    return load_network(name)


def _paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(path) for path in given]
