"""Networks of Table II: with the labels they have in figures, and the authors' own by their files' names."""

import re
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS


@dataclass(frozen=True, eq=False)
class LabelledNetwork:
    """A network with what it is called.

    Attributes:
        name: of its row in Table II, or of its file.
        network: itself.
        label: stands beside its pictures, and says where it came from.
    """

    name: str
    network: TunnelNetwork
    label: str

    @property
    def pretrained(self) -> bool:
        """Whether its encoder was pretrained, as far as the network itself or its name says so."""
        return self.network.provenance.pretraining is not None or "pretrain" in self.name.lower()

    @property
    def kind(self) -> str:
        """Architecture and kind of encoder; the kind only where it is known."""
        training = self.network.provenance.training
        if self.pretrained:
            return f"{self.network.architecture}, pretrained encoder"
        if _is_of_table_2(self.name) or (training is not None and training.encoder == "random"):
            return f"{self.network.architecture}, random encoder"
        return str(self.network.architecture)


def _is_of_table_2(name: str) -> bool:
    """Whether a name is an architecture's, or a snapshot's, so that without more its encoder is random."""
    return re.fullmatch(r"\d+(-\d+)*|net\d+(_\d+)+_iter_\d+(\.caffemodel)?", name) is not None


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
