"""Photographs to rows: of each the whole switch file, or why there is none, wherever that is done."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maxtunnel.codec.serialisation import dumps
from maxtunnel.data.finding import Source
from maxtunnel.data.reading import read
from maxtunnel.models import tiling
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Coding
from maxtunnel.support.files import FormatError, FreeNames
from maxtunnel.support.parts import Parts

# Of names in archives that others made: what would lead out of a folder on Windows, or steer a terminal.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\\:]")
_MOST_BYTES = 200  # of a name: file systems take 255, with number and suffix


@dataclass(frozen=True, eq=False)
class Bunch:
    """Some photographs that are to be encoded.

    Attributes:
        number: of the part.
        source: of these photographs alone.
        names: what to call the switch file of each: no two of a work are called the same.
    """

    number: int
    source: Source
    names: tuple[str, ...]


@dataclass(frozen=True)
class SwitchRow:
    """A photograph and its switch file.

    Attributes:
        name: of the file, without suffix.
        source: where the photograph came from.
        height, width: of the photograph in pixels; 0 where it could not be read.
        data: the bytes of the file; empty where it could not be read.
        error: why it could not be read, in a sentence; empty where it could.
    """

    name: str
    source: str
    height: int
    width: int
    data: bytes
    error: str

    @property
    def bits_per_pixel(self) -> float:
        """Of the whole file, per pixel and colour channel."""
        return 8 * len(self.data) / (3 * self.height * self.width) if self.data else 0.0


@dataclass(frozen=True, eq=False)
class Encoder:
    """Encodes bunches: a work that can be pickled.

    Attributes:
        network: the one that makes the switches.
        coding: of the files.
        device: where the network runs.
    """

    network: TunnelNetwork
    coding: Coding
    device: str = "cpu"

    def __call__(self, bunch: Bunch) -> list[SwitchRow]:
        """A row for each photograph, in their order."""
        rows = dict(self._rows(bunch))
        return [rows[position] for position in range(len(bunch.names))]

    def _rows(self, bunch: Bunch) -> Iterator[tuple[int, SwitchRow]]:
        """Each photograph's position in the bunch and its row, in the order in which they lie on disk."""
        network, source = self.network, bunch.source
        if network.device.type != self.device:
            network = network.to(self.device)
        for position, image in source.images(np.arange(len(bunch.names))):
            where = source.where(source.keys[position].as_py())
            try:
                pixels = read(image)
            except FormatError as error:
                yield position, SwitchRow(bunch.names[position], where, 0, 0, b"", str(error))
                continue
            data = dumps(tiling.encode(network, pixels), network, self.coding)
            height, width = pixels.shape[-2:]
            yield position, SwitchRow(bunch.names[position], where, height, width, data, "")


def as_list(given: str | Path | Sequence[str | Path]) -> list[str | Path]:
    """One thing or several, as several."""
    return [given] if isinstance(given, str | Path) else list(given)


def name_all(sources: Sequence[Source]) -> list[list[str]]:
    """What to call the switch file of every photograph of some sources.

    That is the name of the photograph, numbered where there was one before it: one process gives the names
    out, before the work is shared, as workers that did so would choose the same ones.
    """
    free = FreeNames()
    return [[free.take(_stem(key)) for key in source.keys.to_pylist()] for source in sources]


def cut_bunches(sources: Sequence[Source], names: Sequence[Sequence[str]], size: int) -> Parts[Bunch]:
    """The photographs of some sources, `size` at a time; no bunch holds those of two sources."""
    starts = [(place, start) for place, found in enumerate(names) for start in range(0, len(found), size)]

    def cut(number: int) -> Bunch:
        place, start = starts[number]
        chosen = names[place][start : start + size]
        items = np.arange(start, start + len(chosen))
        return Bunch(number, sources[place].part(items), tuple(chosen))

    return Parts(range(len(starts)), cut)


def _stem(key: str) -> str:
    """The last part of a path without its suffix, fit to be the name of a file."""
    name = key.rstrip("/").rpartition("/")[2]
    stem = _UNFIT.sub("_", name.rpartition(".")[0] or name)
    return stem.encode()[:_MOST_BYTES].decode(errors="ignore") or "_"
