"""How a network came about and what it reached: saved in its file, and read by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from maxtunnel.support.records import Json, from_json, to_json

# Whole numbers come before other numbers, so that they are read as what they are.
Setting = str | int | float | bool | None | list[float]

# What an encoder was made by: a draw, telling classes apart, training through its switches, or others.
EncoderKind = Literal["random", "pretrained", "learned", "imported"]
LEARNED = "learned"  # what `PhaseRecord.encoder` says where the encoder was trained too


@dataclass(frozen=True)
class PhaseRecord:
    """One phase of training that came to its end.

    Attributes:
        recipe: every setting of the recipe, by its name.
        seed: drew the order of the photographs, and what was new of the network.
        encoder: `random`, `learned` where it was trained together with the decoder, or the name of the model
            whose encoder was taken.
        data, images: where the photographs came from, and how many they were.
        size, resize: the side of the square that they were warped to, in pixels, and how.
        seconds: how long it took, stops left out.
        torch: version of PyTorch.
        val, val_images: the photographs, never trained on, that it was measured on; None if it was not.
        rmse, rmse_ci95: of the decoder on these, values in [0, 1].
        stored_bits_per_pixel, bits_images: of switch files, per pixel and colour channel, on so many of them.
        stopped_at: the step at which a target was met before the recipe's last one; None where none was.
        classes, top1: of the classifier that pretraining put on the encoder.

    Raises:
        ValueError: the recipe has no name, or no number of steps or batch.
    """

    recipe: Mapping[str, Setting]
    seed: int
    encoder: str
    data: str
    images: int
    size: int
    resize: str
    seconds: float
    torch: str
    val: str | None = None
    val_images: int | None = None
    rmse: float | None = None
    rmse_ci95: tuple[float, float] | None = None
    stored_bits_per_pixel: float | None = None
    bits_images: int | None = None
    classes: int | None = None
    top1: float | None = None
    stopped_at: int | None = None

    def __post_init__(self) -> None:
        missing = {"name", "steps", "batch"} - set(self.recipe)
        if missing:
            raise ValueError(f"a PhaseRecord's recipe has no {min(missing)!r}")
        self._number("steps"), self._number("batch")

    @property
    def steps(self) -> int:
        """Batches that were done: all of the recipe's, or as many as a target took."""
        return int(self._number("steps")) if self.stopped_at is None else self.stopped_at

    @property
    def batch(self) -> int:
        """Photographs a step."""
        return int(self._number("batch"))

    @property
    def effort(self) -> str:
        """Recipe, steps and seed, in words."""
        return f"{self.recipe['name']}, {self.steps:,} steps of {self.batch}, seed {self.seed}"

    def _number(self, name: str) -> int | float:
        value = self.recipe[name]
        if not isinstance(value, int | float):
            raise ValueError(f"the recipe's {name} is {value!r}: expected a number")
        return value


_OTHERS = "pretraining", "earlier", "learning"


@dataclass(frozen=True)
class Provenance:
    """What is known of a network.

    Attributes:
        training: of the decoder; None before it is finished.
        pretraining: of the encoder, to tell classes apart; None for a random one.
        earlier: the training that the present one of the decoder started from, without what that had started
            from itself; None for a new decoder.
        learning: of the encoder, through its switches, where `training` is of a later decoder alone.
        imported: where the encoder's weights come from and what is known of them, in words; None for an
            encoder that was made here.
    """

    training: PhaseRecord | None = None
    pretraining: PhaseRecord | None = None
    earlier: PhaseRecord | None = None
    learning: PhaseRecord | None = None
    imported: str | None = None

    @property
    def encoder(self) -> EncoderKind:
        """What the encoder was made by, last of all."""
        if self.encoder_learning is not None:
            return "learned"
        if self.pretraining is not None:
            return "pretrained"
        return "random" if self.imported is None else "imported"

    @property
    def encoder_learning(self) -> PhaseRecord | None:
        """The training through its switches that made the encoder; None where there was none."""
        together = self.training is not None and self.training.encoder == LEARNED
        return self.training if together else self.learning

    def of_encoder(self) -> "Provenance":
        """What stays true of the encoder once it has another decoder."""
        return Provenance(
            pretraining=self.pretraining, learning=self.encoder_learning, imported=self.imported
        )

    def to_json(self) -> dict[str, Json]:
        """The training's fields, with the other phases' inside; nothing that is not known."""
        found = {} if self.training is None else _known(self.training)
        others = {name: getattr(self, name) for name in _OTHERS}
        if self.imported is not None:
            found["imported"] = self.imported
        return found | {name: _known(record) for name, record in others.items() if record is not None}

    @classmethod
    def from_json(cls, values: object) -> "Provenance":
        """Read what `to_json` gave; ValueError names what is wrong with anything else."""
        if not isinstance(values, Mapping):
            raise ValueError(f"the provenance is of type {type(values).__name__}: expected an object")
        rest: dict[str, object] = dict(values)
        others = [rest.pop(name, None) for name in _OTHERS]
        pretraining, earlier, learning = (
            None if record is None else from_json(PhaseRecord, record) for record in others
        )
        imported = rest.pop("imported", None)
        if not isinstance(imported, str | None):
            raise ValueError(f"`imported` is of type {type(imported).__name__}: expected a text")
        training = from_json(PhaseRecord, rest) if rest else None
        return cls(training, pretraining, earlier, learning, imported)

    def facts(self) -> list[tuple[str, str]]:
        """Training and error, as rows for people."""
        rows = [] if self.imported is None else [("encoder's weights", self.imported)]
        if self.pretraining is not None:
            earlier = self.pretraining
            text = f"{earlier.classes} classes of {earlier.data}: {earlier.effort}"
            if earlier.top1 is not None:
                text += f", top-1 {100 * earlier.top1:.1f} % of {earlier.val}"
            rows.append(("pretrained on", text))
        for name, record in (("learned on", self.learning), ("started from", self.earlier)):
            if record is not None:
                rows.append((name, f"{record.images:,} photographs of {record.data}: {record.effort}"))
        if self.training is not None:
            rows += _facts(self.training)
        return rows


def _facts(record: PhaseRecord) -> list[tuple[str, str]]:
    rows = [
        ("trained on", f"{record.images:,} photographs of {record.data}, {record.size}x{record.size}"),
        ("recipe", record.effort),
    ]
    withheld = record.recipe.get("withheld")
    if isinstance(withheld, int | float) and withheld:
        rows.append(("finest levels withheld", f"from {withheld:.0%} of the batches"))
    if record.rmse is not None:
        interval = " to ".join(f"{value:.4f}" for value in record.rmse_ci95 or ())
        where = f"{record.val_images:,} photographs of {record.val}"
        rows.append(("RMSE", f"{record.rmse:.4f} ({interval}) on {where}"))
    return [*rows, ("made with", f"PyTorch {record.torch}")]


def _known(record: PhaseRecord) -> dict[str, Json]:
    return {name: value for name, value in to_json(record).items() if value is not None}
