"""The networks of files that answer for every pixel, and how large a photograph each is given here."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_file import DENSE
from maxtunnel.models.dense_shape import DenseShape
from maxtunnel.web.inputs import choose, printable
from maxtunnel.zoo.dense_files import shipped_dense, shipped_file

SIDE = 256  # longest side of a photograph, in pixels
# Multiplications for one answer. SegNet, CEDN and DeconvNet as published need 1.1e11 to 1.3e11 at 256x256.
_MOST_WORK = 1.5e11
_LEAST_SIDE = 64
_offered: dict[str, DenseNetwork] = {}


def is_dense(file: str | Path) -> bool:
    """Whether a file holds a network that answers for every pixel."""
    return Path(file).is_file() and DENSE.holds(file)


def offer_dense(files: Sequence[str | Path]) -> None:
    """Offer the networks of these files, by the files' names, then those that ship, and no others.

    Raises:
        FormatError: one cannot be read.
        ValueError: one is too large for the page, takes other images than photographs, or two have one name.
    """
    found: dict[str, DenseNetwork] = {}
    for file in files:
        name = printable(Path(file).resolve().name.removesuffix(".safetensors"))
        if name in found or name in shipped_dense():
            other = "another one" if name in found else "one that ships"
            raise ValueError(f"`networks` has one called {name}, as {other} is: rename {file}")
        found[name] = DenseNetwork.load(file)
        _check(file, found[name].shape)
    found |= {name: DenseNetwork.load(shipped_file(name)) for name in shipped_dense()}
    _offered.clear()
    _offered.update(found)


def _check(file: str | Path, shape: DenseShape) -> None:
    if shape.channels != 3:
        raise ValueError(f"{file} takes images of {shape.channels} channels: the page has photographs, of 3")
    if side_of(shape) < _LEAST_SIDE:
        raise ValueError(
            f"{file} is too large for the page, which would give it less than {_LEAST_SIDE} pixels a side: "
            "take maxtunnel segment or maxtunnel contours"
        )


def offered_dense() -> list[str]:
    """The names of the networks, in the order of their files."""
    return list(_offered)


def dense_network(name: object) -> DenseNetwork:
    """The network of this name; nothing else is looked for."""
    return _offered[choose(name, _offered, "the network")]


def side_of(shape: DenseShape) -> int:
    """The longest side on which the page computes with a network of this shape: up to `SIDE` pixels.

    The work grows with the square of it.
    """
    try:
        work = work_of(shape, SIDE)
    except ValueError:
        return SIDE  # too small for its filters: the network says so of each photograph
    return int(SIDE * min(1.0, (_MOST_WORK / work) ** 0.5))


def work_of(shape: DenseShape, side: int) -> float:
    """Multiplications of what one answer takes, for a square of this side: two encodings, four decodings.

    Args:
        shape: of the network.
        side: of the image, in pixels.

    Raises:
        ValueError: the image is too small for the network.
    """
    *planes, deepest = map(prod, shape.sizes((side, side)))
    encoding = (*planes, *([deepest] * (len(shape.encoder) - shape.pooled)))
    decoding = (*([deepest] * (len(shape.decoder) - shape.pooled)), *planes[::-1])
    cells = [
        size * times
        for stages, sizes, times in ((shape.encoder, encoding, 2), (shape.decoder, decoding, 4))
        for stage, size in zip(stages, sizes, strict=True)
        for _ in stage
    ]
    return float(
        sum(
            size * layer.kernel**2 * channels * layer.filters
            for size, (channels, layer) in zip(cells, shape.inputs(), strict=True)
        )
    )
