"""What protecting a model came to, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.auditing.ledger import Training
from maxtunnel.auditing.origin import Origin
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.scores import Score
from maxtunnel.evaluation.intervals import Interval
from maxtunnel.protection.config import ProtectionConfig
from maxtunnel.protection.duel import FineTuning


@dataclass(frozen=True)
class Line:
    """One model, or one mitigation of the original, as the table shows it.

    Attributes:
        name: in words.
        weight: of the penalty; None for the original and for mitigations.
        bits: that the switches of one photograph can say, at most.
        leak: what a reader that was trained from nothing rebuilds of the switches; None where there are none,
            or where it was not measured.
        lost: share of the variance of the original's outputs that is lost, over held-out photographs; None
            where it was not measured.
        lost_ci95: 95 % bootstrap interval over photographs.
        score: of the model's own task; None without a metric.
        tuning: how the fine-tuning went; None for the original and for mitigations.
        file: name of the state dict; empty where there is none.
    """

    name: str
    weight: float | None
    bits: float
    leak: Row | None = None
    lost: float | None = None
    lost_ci95: Interval | None = None
    score: Score | None = None
    tuning: FineTuning | None = None
    file: str = ""


@dataclass(frozen=True)
class Protection:
    """All that was found; protect.json holds every field but the pictures (docs/protect.md).

    Attributes:
        target: name of the model.
        size: (height, width) of the photographs.
        images: how many photographs were `trained` on, by models and readers, and `measured`.
        levels: names of the levels that the observer sees.
        trained_weights: numbers that were fine-tuned, and all that the model has.
        mean: the row of the mean image, which knows nothing.
        original: the model as it was.
        models: fine-tuned ones, in the order of the weights that were asked for.
        mitigations: of the original, without training.
        readers: the training of every reader.
        steps: of every fine-tuning and of every reader.
        left_out: sentences about what is not there, and why.
        config: what was asked for.
        interrupted: whether a person ended it before it was done.
        seconds: for all of it.
        date: when it ended, in ISO 8601.
        origin: who asked for what.
        weights_sha256: of the original.
        versions: of the software.
        pictures: by key: `originals` and the names of lines.
    """

    target: str
    size: tuple[int, int]
    images: dict[str, int]
    levels: tuple[str, ...]
    trained_weights: tuple[int, int]
    mean: Row
    original: Line
    models: tuple[Line, ...]
    mitigations: tuple[Line, ...]
    readers: tuple[Training, ...]
    steps: int
    left_out: tuple[str, ...]
    config: ProtectionConfig
    interrupted: bool
    seconds: float
    date: str
    origin: Origin
    weights_sha256: str
    versions: dict[str, str]
    pictures: Mapping[str, UInt8[Tensor, "n 3 h w"]] = field(default_factory=dict, repr=False)

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines of the table."""
        return (self.original, *self.models, *self.mitigations)

    @property
    def has_metric(self) -> bool:
        """Whether the model's own task was measured."""
        return self.original.score is not None
