"""Decoders kept in a folder, so that an audit that was interrupted goes on with them."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from maxtunnel.auditing.budget import Course
from maxtunnel.auditing.ledger import Training
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.records import from_json, to_json

FORMAT = "maxtunnel audit decoder 1"
_COUNTS = "audit-so-far.json"


@dataclass(frozen=True)
class Counts:
    """How many photographs an audit took; it can only go on with the same ones.

    Attributes:
        read, read_holdout: of the folders; None where they were given as they are.
        trained, held: captured, to train on and to measure on.
        measured, searched: that rows are measured on, and among which the right one is searched.
        kinds: of the decoders that read the known switches.
        beside, apart: how the decoders after those of known switches are trained (see `budget.Courses`); None
            before that is known.
        key: a hash of the model, the photographs and all that decides the trainings.
    """

    read: int | None
    read_holdout: int | None
    trained: int
    held: int
    measured: int
    searched: int
    kinds: tuple[DecoderKind, ...]
    beside: Course | None
    apart: Course | None
    key: str


@dataclass(frozen=True, eq=False)
class Kept:
    """A decoder from the shelf; `complete` where its training came to its end."""

    tensors: Mapping[str, Tensor]
    training: Training
    complete: bool


@dataclass(frozen=True)
class Shelf:
    """The trained decoders of one audit, one a file.

    Attributes:
        folder: where they are; None keeps nothing.
        resume: whether decoders that are there already are used.
    """

    folder: Path | None = None
    resume: bool = False

    def counts(self) -> Counts | None:
        """Those of the audit that is resumed; None of a new one.

        Raises:
            ValueError: the folder of a new one holds one already, there is none to resume, or its record is
                damaged.
        """
        if self.folder is None:
            return None
        path = self.folder / _COUNTS
        if not self.resume:
            if path.exists():
                raise ValueError(
                    f"{self.folder} holds an audit: go on with it (`resume`), or name another `out`"
                )
            return None
        try:
            return from_json(Counts, json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ValueError(
                f"{self.folder} holds no audit to go on with: leave `resume` out, or give the `out` of one "
                "that trained a decoder"
            ) from None
        except ValueError as error:
            raise FormatError(f"{path} is damaged ({one_line(error)}): name another `out`") from None

    def note(self, counts: Counts) -> None:
        """Write the counts."""
        if self.folder is None:
            return
        with replacing(self.folder / _COUNTS) as temporary:
            temporary.write_text(json.dumps(to_json(counts), indent=1) + "\n", encoding="utf-8")

    def put(self, decoder: nn.Module, training: Training, complete: bool) -> None:
        """Keep a decoder."""
        if self.folder is None:
            return
        metadata = {
            "format": FORMAT,
            "training": json.dumps(to_json(training)),
            "complete": str(int(complete)),
        }
        tensors = {name: tensor.cpu().contiguous() for name, tensor in decoder.state_dict().items()}
        with replacing(self._path(training.name)) as temporary:
            save_file(tensors, temporary, metadata)

    def take(self, name: str) -> Kept | None:
        """The decoder of this name, where there is one to go on with."""
        if self.folder is None or not self.resume or not self._path(name).exists():
            return None
        path = self._path(name)
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
            training = from_json(Training, json.loads(metadata["training"]))
            return Kept(load_file(path), training, metadata["complete"] == "1")
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            raise FormatError(
                f"{path} is damaged ({one_line(error)}): remove it, or name another `out`"
            ) from None

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        return self.folder / f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.safetensors"


NO_SHELF = Shelf()
