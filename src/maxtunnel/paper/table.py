"""Table II of the paper: its fourteen rows, and what the authors' own networks reached when re-measured.

All numbers are in published.json.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.models.architecture import Architecture
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.records import from_json


@dataclass(frozen=True)
class Published:
    """What the authors' snapshot of a row reached on imagenette's val, with the mean image of its train.

    Attributes:
        rmse: values in [0, 1], output not clipped.
        photographs: how many it was measured on: 3,925 are all, 1,963 every second one.
        rmse_of_200: the RMSE on the 200 that `maxtunnel evaluate --limit 200` takes; None where the snapshot
            is not at hand.
    """

    rmse: float
    photographs: int
    rmse_of_200: float | None = None


@dataclass(frozen=True)
class Row:
    """One network of Table II.

    Attributes:
        architecture: filters per block.
        pretrained: whether its encoder was pretrained for classification, or is random.
        rmse: what the paper says, on its own test images.
        bits_per_pixel: what the paper says, per pixel and colour channel.
        published: what the authors' snapshot reached; None for the one that is not public.
    """

    architecture: Architecture
    pretrained: bool
    rmse: float
    bits_per_pixel: float
    published: Published | None

    @property
    def name(self) -> str:
        """What the network is called: `8-8-8`, or `8-8-8-pretrained`."""
        return f"{self.architecture}-pretrained" if self.pretrained else str(self.architecture)

    def network(self, decoder: DecoderKind) -> str:
        """What its network with a decoder of this kind is called: `8-8-8`, or `8-8-8-strong`."""
        return self.name if decoder == "mirrored" else f"{self.name}-strong"

    @property
    def constant(self) -> bool:
        """Whether all blocks have as many filters; in the paper's other networks they double."""
        return len(set(self.architecture.widths)) == 1


@dataclass(frozen=True)
class _Line:
    """A row in published.json."""

    architecture: str
    pretrained: bool
    rmse: float
    bits_per_pixel: float
    published: Published | None


def _rows() -> Iterator[Row]:
    content = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    for values in content["rows"]:
        line = from_json(_Line, values)
        architecture = Architecture.parse(line.architecture)
        yield Row(architecture, line.pretrained, line.rmse, line.bits_per_pixel, line.published)


ROWS = tuple(_rows())


def select(only: str | None) -> tuple[Row, ...]:
    """The rows that a list such as `8-8-8,16-16-16-pretrained` names, in Table II's order; None for all.

    Raises:
        ValueError: Table II has no such row.
    """
    if only is None:
        return ROWS
    asked = {name.strip() for name in only.split(",")}
    unknown = asked - {row.name for row in ROWS}
    if unknown:
        names = ", ".join(row.name for row in ROWS)
        raise ValueError(f"Table II has no row {min(unknown)!r}: its rows are {names}")
    return tuple(row for row in ROWS if row.name in asked)
