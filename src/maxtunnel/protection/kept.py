"""What a protection keeps in its folder while it runs, so that one that was interrupted goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from maxtunnel.auditing.origin import hash_of_tensors
from maxtunnel.auditing.samples import Samples
from maxtunnel.auditing.shelf import Shelf
from maxtunnel.protection.config import ProtectionConfig
from maxtunnel.protection.duel import FineTuning
from maxtunnel.protection.weights import save_weights
from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.records import from_json, to_json

_SO_FAR = "protect-so-far.json"


@dataclass(frozen=True)
class SoFar:
    """What a protection decided before its first training; it can only go on with the same.

    Attributes:
        read, read_holdout: photographs of the folders; None where they were given as they are.
        captured: photographs whose switches were captured, to train on.
        steps, readings: its plan.
        key: a hash of the model, the photographs and all that decides the trainings.
    """

    read: int | None
    read_holdout: int | None
    captured: int
    steps: int
    readings: int
    key: str


@dataclass(frozen=True)
class Kept:
    """The folder of a protection.

    Attributes:
        folder: where weights, readers and report lie.
        resume: whether what is there already is used.
    """

    folder: Path
    resume: bool = False

    @property
    def readers(self) -> Shelf:
        """The readers, one a file."""
        return Shelf(self.folder / "readers", self.resume)

    def so_far(self) -> SoFar | None:
        """What the protection that is resumed had decided; None of a new one.

        Raises:
            ValueError: the folder of a new one holds one already, there is none to resume, or it is damaged.
        """
        path = self.folder / "readers" / _SO_FAR
        if not self.resume:
            if path.exists() or (self.folder / "protect.json").exists():
                raise ValueError(
                    f"{self.folder} holds a protection: go on with it (`resume`), or name another `out`"
                )
            return None
        try:
            return from_json(SoFar, json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ValueError(
                f"{self.folder} holds no protection to go on with: leave `resume` out, or give the `out` of "
                "one that began to train"
            ) from None
        except ValueError as error:
            raise FormatError(f"{path} is damaged ({one_line(error)}): name another `out`") from None

    def note(self, so_far: SoFar) -> None:
        """Write what was decided.

        Raises:
            ValueError: that is not what the protection to go on with had decided.
        """
        earlier = self.so_far() if self.resume else None
        if earlier is not None and earlier.key != so_far.key:
            raise ValueError(
                "the protection to go on with was of another model, other photographs or other settings: "
                "give the same (only `minutes` may differ), or leave `resume` out"
            )
        with replacing(self.folder / "readers" / _SO_FAR) as temporary:
            temporary.write_text(json.dumps(to_json(so_far), indent=1) + "\n", encoding="utf-8")

    def put(
        self, file: str, state: Mapping[str, Tensor], tuning: FineTuning, about: Mapping[str, str]
    ) -> None:
        """Keep a fine-tuned model as a file of weights."""
        told = {"steps": str(tuning.steps), "complete": str(tuning.complete).lower()}
        save_weights(state, self.folder / file, {**about, **told, "tuning": json.dumps(to_json(tuning))})

    def take(self, file: str) -> tuple[FineTuning, dict[str, Tensor]] | None:
        """A fine-tuning that came to its end, with the weights; None where there is none to go on with."""
        path = self.folder / file
        if not self.resume or not path.exists():
            return None
        try:
            with safe_open(path, "pt") as opened:
                tuning = from_json(FineTuning, json.loads((opened.metadata() or {})["tuning"]))
            return (tuning, load_file(path)) if tuning.complete else None
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            raise FormatError(
                f"{path} is damaged ({one_line(error)}): remove it, and it is fine-tuned anew"
            ) from None


def key_of(weights: str, config: ProtectionConfig, seen: Samples, held: Samples) -> str:
    """A hash of all that decides the trainings: the model's weights, the photographs and the settings.

    The switches count too, as another `preprocess` or another forward pass makes others of the same weights.
    """
    settings = str((weights, replace(config, minutes=1.0)))
    pixels = [("seen", seen.pixels), ("held", held.pixels)]
    codes = [(str(number), packed) for number, packed in enumerate(held.packed)]
    return hash_of_tensors([(settings, None), *pixels, *codes])
