"""Files through a network: photographs to pictures or switch files, and switch files to pictures.

A file that is there already is replaced by what the same network makes, so that a command can be given again.
One that another network made, or nobody knows who, is replaced only with `force`; it is looked for before
anything is written.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.codec.format import Header, read_header
from maxtunnel.codec.replacement import (
    NOTE,
    check_pictures,
    check_switch_files,
    name_pictures,
    picture_maker,
)
from maxtunnel.codec.rows import Encoder, SwitchRow, as_list, cut_bunches, name_all
from maxtunnel.codec.serialisation import check_file, load, loads, read_bytes
from maxtunnel.data.finding import Source, find_sources
from maxtunnel.data.images import read_image, to_float, to_uint8, write_png
from maxtunnel.data.sources import FolderSource
from maxtunnel.models import tiling
from maxtunnel.models.refine import refine as refined_images
from maxtunnel.models.refine import refuse_large
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Coding
from maxtunnel.support.files import FormatError, FreeNames, check_folder, replacing
from maxtunnel.support.parts import Spread, here
from maxtunnel.support.places import Place, without_secrets
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.zoo.names import find_shipped, load_decoder
from maxtunnel.zoo.names import load as load_network

Skipped = list[tuple[Path, str]]
# Pictures that one switch file gives, unless more are asked for: a few bytes can claim millions.
MOST_PICTURES = 1000
_BUNCH = 32  # photographs of a part, where it is more than one


@dataclass(frozen=True)
class Inspection:
    """What a switch file says of itself.

    Attributes:
        path: the file.
        bytes: its size.
        header: its header.
        model: name of the shipped model whose encoder made it, that with the paper's decoder; or None.
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
    force: bool = False,
    refine: int = 0,
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, float]], Skipped]:
    """Rebuild each photograph at its own size as `out`/NAME-MODEL.png, or NAME-MODEL-refined.png.

    Args:
        images: a file or a folder of them, or several.
        model: what `maxtunnel.load` takes.
        out: folder for the pictures.
        side_by_side: put the original on the left.
        force: replace pictures that another network made, and files that are no pictures of ours, too.
        refine: rounds in which each picture is refined (`maxtunnel.refine`).
        on_progress: told the files done and their total.

    Returns:
        The pictures with their RMSE, and the unreadable images with the reason.

    Raises:
        ValueError: a picture would take the place of what this network did not make, or its decoder is
            untrained.
    """
    check_folder(out)
    network, label = load_decoder(model), Path(model).resolve().name
    label = label.removesuffix(".safetensors").removesuffix(".caffemodel")
    targets = name_pictures(images, Path(out), f"-{label}-refined" if refine else f"-{label}")
    check_pictures(((target, network) for _, target in targets), force)
    notes = {NOTE: picture_maker(network)}
    written: list[tuple[Path, float]] = []
    skipped: Skipped = []
    alone = len(targets) == 1 and _paths(images) == [targets[0][0]]
    for target, pixels in _photographs(targets, alone, refine > 0, skipped, on_progress):
        output, rmse = _refined(network, pixels, refine) if refine else tiling.reconstruct(network, pixels)
        picture = torch.cat([pixels, output], dim=-1) if side_by_side else output
        write_png(target, picture, notes)
        written.append((target, rmse))
    return written, skipped


def encode_files(
    images: str | Path | Sequence[str | Path],
    model: str,
    out: str | Path = ".",
    coding: Coding = "entropy",
    force: bool = False,
    device: str = "cpu",
    spread: Spread = here,
    on_progress: OnProgress = silent,
) -> tuple[list[tuple[Path, float]], Skipped]:
    """Write the switches of each photograph, at its own size, as `out`/NAME.mxt.

    Args:
        images: a photograph, or a folder, Parquet file or tar file of them, on disk or at an address that
            fsspec opens; or several.
        model: what `maxtunnel.load` takes.
        out: folder for the switch files.
        coding: `entropy` or `packed`.
        force: replace switch files of other networks, and files that are none, too.
        device: where the network runs.
        spread: does the work. Workers of an engine read the photographs; this process writes.
        on_progress: told the files done and their total.

    Returns:
        The files with their bits per pixel and colour channel, and the unreadable images with the reason.

    Raises:
        ValueError: a file would take the place of what this network did not make.
    """
    check_folder(out)
    network, given = load_network(model), as_list(images)
    sources = find_sources(given)
    names = name_all(sources)
    check_switch_files((Path(out) / f"{name}.mxt" for each in names for name in each), network, force)
    alone = Path(without_secrets(str(given[0]))) if len(given) == 1 else None
    bunches = cut_bunches(sources, names, _bunch_size(sources, spread))
    done, total = 0, sum(map(len, names))
    kept: dict[int, list[tuple[Path, float | str]]] = {}
    # In whatever order they come: files that wait for those of a slow worker would fill the memory.
    for number, rows in spread(Encoder(network, coding, device), bunches):
        for row in rows:
            if row.error and Path(row.source) == alone:
                raise FormatError(row.error)
        kept[number] = [_keep(row, Path(out)) for row in rows]
        done += len(rows)
        on_progress("encode", done, total, "")
    pairs = [pair for number in sorted(kept) for pair in kept[number]]
    reports = [report for source in sources for report in source.reports()]
    written = [(path, bits) for path, bits in pairs if isinstance(bits, float)]
    return written, reports + [(path, reason) for path, reason in pairs if isinstance(reason, str)]


def _bunch_size(sources: Sequence[Source], spread: Spread) -> int:
    """One where files are read here one by one, so that progress shows; what a part opens, it opens once."""
    apart = all(isinstance(source, FolderSource) and not isinstance(source.root, Place) for source in sources)
    return 1 if spread is here and apart else _BUNCH


def _keep(row: SwitchRow, out: Path) -> tuple[Path, float | str]:
    """Write the file of a row: its path, and the bits; or where there is none and why."""
    if row.error:
        return Path(row.source), row.error
    target = out / f"{row.name}.mxt"
    with replacing(target) as temporary:
        temporary.write_bytes(row.data)
    return target, row.bits_per_pixel


def decode_files(
    files: str | Path | Sequence[str | Path],
    model: str | None = None,
    levels: Collection[int] | None = None,
    out: str | Path = ".",
    limit: int | None = None,
    force: bool = False,
    refine: int = 0,
    on_progress: OnProgress = silent,
) -> list[Path]:
    """Rebuild the images in switch files as `out`/NAME-rebuilt.png; of a batch NAME-rebuilt-1.png, ...

    So a picture never takes the place of the photograph that was encoded beside it.

    Args:
        files: a switch file, or several.
        model: what `maxtunnel.load` takes; by default the shipped model that each file names, which has the
            paper's decoder. A file names the encoder that made it, whatever decoder came with that: a strong
            decoder of the same switches, such as `8-8-8-strong`, is asked for here.
        levels: the levels to make use of, 1 the finest; by default all.
        out: folder for the pictures.
        limit: only the first so many images of each file; by default all, of up to 1,000 images.
        force: replace pictures that another network made, and files that are no pictures of ours, too.
        refine: rounds in which each picture is refined (`maxtunnel.refine`); it is called NAME-refined.png.
        on_progress: told the files done and their total.

    Raises:
        FormatError: a file is damaged, or its model is not here.
        ValueError: `model` is not the one that made a file, or its decoder is untrained, a file has no such
            level or too many images, or a picture would take the place of what its network did not make.
    """
    check_folder(out)
    plan = _plan_decoding(_paths(files), model, levels, limit, Path(out), refine > 0)
    check_pictures(((target, network) for _, network, targets in plan for target in targets), force)
    for done, (file, network, targets) in enumerate(plan, 1):
        code, notes = load(file, levels), {NOTE: picture_maker(network)}
        for number, target in enumerate(targets):
            one = code[number]
            picture = (
                to_uint8(_rebuilt(network, one, levels, refine)[0])
                if refine
                else tiling.decode(network, one, levels=levels)
            )
            write_png(target, picture, notes)
        on_progress("decode", done, len(plan), "")
    return [target for _, _, targets in plan for target in targets]


def inspect_file(path: Path) -> Inspection:
    """What a switch file holds and costs; FormatError for a damaged one."""
    data = read_bytes(path)
    header, code = read_header(data, str(path)), loads(data, name=str(path))
    return Inspection(
        path=path,
        bytes=len(data),
        header=header,
        model=find_shipped(header.network),
        entropy_bits=tuple(level.entropy_bits for level in code.levels),
    )


def _photographs(
    targets: Sequence[tuple[Path, Path]],
    alone: bool,
    refined: bool,
    skipped: Skipped,
    on_progress: OnProgress,
) -> Iterator[tuple[Path, UInt8[Tensor, "3 h w"]]]:
    """The target and the pixels of each photograph that can be rebuilt; the others are added to `skipped`.

    Raises:
        FormatError: one photograph alone was asked for, and it cannot be read, or refined.
    """
    for done, (file, target) in enumerate(targets, 1):
        try:
            pixels = read_image(file)
            if refined:
                refuse_large((pixels.shape[-2], pixels.shape[-1]), str(file))
        except FormatError as error:
            if alone:
                raise
            skipped.append((file, str(error)))
        else:
            yield target, pixels
        on_progress("reconstruct", done, len(targets), "")


def _refined(
    network: TunnelNetwork, pixels: UInt8[Tensor, "3 h w"], rounds: int
) -> tuple[UInt8[Tensor, "3 h w"], float]:
    """As `tiling.reconstruct`, refined."""
    image = to_float(pixels)[None]
    rebuilt = _rebuilt(network, network.encode(image), None, rounds)
    return to_uint8(rebuilt[0]), float((rebuilt - image).double().square().mean().sqrt())


def _rebuilt(
    network: TunnelNetwork, code: SwitchCode, levels: Collection[int] | None, rounds: int
) -> Float[Tensor, "n 3 h w"]:
    """What a code is decoded to, refined."""
    return refined_images(network, code, network.decode(code, levels), levels=levels, rounds=rounds)


def _plan_decoding(
    files: Sequence[Path],
    model: str | None,
    levels: Collection[int] | None,
    limit: int | None,
    out: Path,
    refined: bool,
) -> list[tuple[Path, TunnelNetwork, list[Path]]]:
    """Each switch file with its network and the pictures that it becomes; all files are checked first."""
    names, plan, ending = FreeNames(), [], "refined" if refined else "rebuilt"
    given = None if model is None else load_decoder(model)
    load_shipped = cache(load_network)
    for file in files:
        header = check_file(read_bytes(file), levels, str(file))
        network = _network(file, header, model, given, load_shipped)
        if refined:
            refuse_large(header.image_size, str(file))
        count = _pictures(file, header.images, limit)
        numbers = [""] if header.images == 1 else [f"-{number}" for number in range(1, count + 1)]
        targets = [out / f"{names.take(f'{file.stem}-{ending}{number}')}.png" for number in numbers]
        plan.append((file, network, targets))
    return plan


def _pictures(file: Path, images: int, limit: int | None) -> int:
    """How many pictures a file becomes; ValueError where they are more than anybody asked for."""
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` is {limit}: give at least 1, or None for all")
    if limit is None and images > MOST_PICTURES:
        raise ValueError(
            f"{file} holds {images:,} images, and without `limit` a file becomes at most {MOST_PICTURES:,} "
            "pictures: give `limit`, the number of images to take from its beginning"
        )
    return images if limit is None else min(images, limit)


def _network(
    file: Path,
    header: Header,
    model: str | None,
    given: TunnelNetwork | None,
    load_shipped: Callable[[str], TunnelNetwork],
) -> TunnelNetwork:
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
    return load_shipped(name)


def _paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(path) for path in as_list(given)]
