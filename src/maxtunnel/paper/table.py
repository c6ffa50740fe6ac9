"""Table II of the paper: its fourteen rows, and what was measured of ours beside them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.models.architecture import Architecture

# Architecture, RMSE with a random encoder and with a pretrained one, bits per pixel and colour channel.
_TABLE_2 = (
    ("8-8-8", 0.1464, 0.1545, 1.75),
    ("6-12-24", 0.1387, 0.1464, 1.75),
    ("16-16-16", 0.1210, 0.1156, 3.5),
    ("12-24-48", 0.1138, 0.1206, 3.5),
    ("32-32-32", 0.0922, 0.0950, 7.0),
    ("24-48-96", 0.0876, 0.0915, 7.0),
    ("64-64-64", 0.0744, None, 14.0),
    ("48-96-192", 0.0718, None, 14.0),
)


@dataclass(frozen=True)
class Row:
    """One network of Table II.

    Attributes:
        architecture: filters per block.
        pretrained: whether its encoder was pretrained for classification, or is random.
        rmse: what the paper says, on its own test images.
        bits_per_pixel: what the paper says, per pixel and colour channel.
    """

    architecture: Architecture
    pretrained: bool
    rmse: float
    bits_per_pixel: float

    @property
    def name(self) -> str:
        """What the network is called: `8-8-8`, or `8-8-8-pretrained`."""
        return f"{self.architecture}-pretrained" if self.pretrained else str(self.architecture)

    @property
    def constant(self) -> bool:
        """Whether all blocks have as many filters; in the paper's other networks they double."""
        return len(set(self.architecture.widths)) == 1


def _rows() -> Iterator[Row]:
    for name, random, pretrained, bits in _TABLE_2:
        architecture = Architecture.parse(name)
        yield Row(architecture, False, random, bits)
        if pretrained is not None:
            yield Row(architecture, True, pretrained, bits)


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


def find_snapshots(folder: Path) -> dict[str, Path]:
    """The authors' snapshots in a folder, by the name of their row; the longest trained of each.

    Raises:
        ValueError: there is none.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.glob("*.caffemodel")):
        match = re.fullmatch(r"net(\d+(?:_\d+)+)(Pretrain)?_iter_(\d+)", path.stem)
        if match is None:
            continue
        name = match[1].replace("_", "-") + ("-pretrained" if match[2] else "")
        iterations = int(match[3])
        if name in {row.name for row in ROWS} and iterations > found.get(name, (0, path))[0]:
            found[name] = iterations, path
    if not found:
        raise ValueError(
            f"{folder} holds no snapshot of Table II: expected files such as net8_8_8_iter_50000.caffemodel"
        )
    return {name: path for name, (_, path) in found.items()}
