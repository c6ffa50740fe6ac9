"""Networks of Table II: with the labels they have in figures, and the authors' own by their files' names."""

import re
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS


@dataclass(frozen=True, eq=False)
class LabelledNetwork:
    """A network with its name, and with the label that stands beside its pictures."""

    name: str
    network: TunnelNetwork

    @property
    def pretrained(self) -> bool:
        """Whether its name says that the encoder was pretrained."""
        return self.name.endswith("-pretrained")

    @property
    def label(self) -> str:
        """Architecture and kind of encoder, in two lines."""
        return f"{self.network.architecture}\n{'pretrained' if self.pretrained else 'random'} encoder"


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
