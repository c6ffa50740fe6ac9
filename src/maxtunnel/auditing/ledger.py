"""Which decoders an audit trains, by name, and the record of their training."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from maxtunnel.support.choices import DecoderKind
from maxtunnel.switches.changes import Change, fixed, known, uniform


@dataclass(frozen=True)
class DecoderInput:
    """What a decoder is given.

    Attributes:
        name: of its training and of its row.
        changes: what is done to the switches first; of several, one is drawn for each batch.
        what: whether the coarsest features take the place of the bias code.
    """

    name: str
    changes: tuple[Change, ...] = (known,)
    what: bool = False


KNOWN = DecoderInput("known switches")
RANDOM = DecoderInput("random switches", (uniform,))
FIXED = DecoderInput("fixed switches", (fixed,))
WHAT = DecoderInput("features only", (fixed,), what=True)
BOTH = DecoderInput("features and switches", what=True)
WHERE = DecoderInput("switches only")
EVERY_LEVEL = "levels, one decoder for all"
UNTRAINED = DecoderInput("switches of an untrained copy")
AGAIN = DecoderInput("switches only, drawn again")


def known_by(kind: DecoderKind) -> DecoderInput:
    """Known switches as a decoder of one kind is given them: there may be one of each kind."""
    return replace(KNOWN, name=f"{KNOWN.name}, {kind} decoder")


@dataclass(frozen=True)
class Training:
    """The training of one decoder.

    Attributes:
        name: of what the decoder was given; no two decoders of an audit have the same.
        reader: its kind.
        learning_rate: the recipe's, or a fraction of it where the loss became infinite with that.
        curve: (step, RMSE over the batches since the point before).
        still_falling: whether the RMSE over the last tenth of the curve was more than 1 % below that over the
            tenth before.
    """

    name: str
    reader: DecoderKind
    steps: int
    seconds: float
    learning_rate: float
    curve: tuple[tuple[int, float], ...]
    still_falling: bool

    @property
    def seconds_per_step(self) -> float:
        """How long a step took on average."""
        return self.seconds / self.steps

    def at(self, seconds: float) -> float:
        """RMSE while training when so many seconds had passed, or where the curve ends before that."""
        steps = seconds / self.seconds_per_step
        return next((value for step, value in self.curve if step >= steps), self.curve[-1][1])

    def followed_by(self, other: "Training") -> "Training":
        """This training and the one that went on from it, as one."""
        curve = self.curve + tuple((self.steps + step, value) for step, value in other.curve)
        return replace(
            other,
            steps=self.steps + other.steps,
            seconds=self.seconds + other.seconds,
            curve=curve,
            still_falling=still_falling(curve),
        )


class TrainingLedger:
    """The trainings of one audit, in the order in which they ran."""

    def __init__(self) -> None:
        self._trainings: list[Training] = []

    def __iter__(self) -> Iterator[Training]:
        return iter(self._trainings)

    def add(self, training: Training) -> None:
        """Enter a training that has ended."""
        self._trainings.append(training)

    def of(self, given: DecoderInput) -> Training:
        """That of one decoder."""
        return next(training for training in self if training.name == given.name)


def still_falling(curve: tuple[tuple[int, float], ...]) -> bool:
    """Whether the last tenth of the curve lies more than 1 % below the tenth before."""
    each = max(1, len(curve) // 10)
    values = [value for _, value in curve]
    last, before = values[-each:], values[-2 * each : -each]
    return bool(before) and sum(last) / len(last) < 0.99 * sum(before) / len(before)
