"""Networks of Table II: with the labels they have in figures, and the authors' own by their files' names."""

import re
from dataclasses import dataclass
from pathlib import Path

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.table import ROWS
from maxtunnel.support.choices import DecoderKind


@dataclass(frozen=True, eq=False)
class LabelledNetwork:
    """A network with what it is called.

    Attributes:
        name: of its row in Table II, such as `8-8-8`, or with a strong decoder `8-8-8-strong`; or of its
            file.
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
        """Architecture and kind of encoder, which only where it is known; and a decoder that is strong."""
        parts = [str(self.network.architecture)]
        training = self.network.provenance.training
        if self.pretrained:
            parts.append("pretrained encoder")
        elif _is_of_table_2(self.row_name) or (training is not None and training.encoder == "random"):
            parts.append("random encoder")
        if self.decoder == "strong":
            parts.append("strong decoder")
        return ", ".join(parts)

    @property
    def decoder(self) -> DecoderKind:
        """What reads the switches."""
        return self.network.decoder_kind

    @property
    def row_name(self) -> str:
        """The name without what is said of the decoder: in Table II, that of the row."""
        return self.name.removesuffix("-strong")


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
