"""The known switches read by a decoder of each kind: which of them reads more."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.budget import PASSING, Budget, Plan, Speed
from maxtunnel.auditing.conclusions import readable_minutes
from maxtunnel.auditing.ledger import Training, known_by
from maxtunnel.auditing.readers import READERS, Decoder
from maxtunnel.auditing.rows import Row
from maxtunnel.support.choices import DecoderKind
from maxtunnel.support.files import one_line
from maxtunnel.training.loop import TrainingDiverged


@dataclass(frozen=True, eq=False)
class Reading:
    """What a decoder of one kind read of the known switches.

    Attributes:
        decoder: that read them.
        row: how close it came.
        errors: squared error of each photograph.
        training: of the decoder.
    """

    decoder: Decoder
    row: Row
    errors: Float64[Tensor, " n"]
    training: Training


@dataclass(frozen=True, eq=False)
class Contest:
    """The known switches, read by one decoder of each kind.

    Attributes:
        readings: by kind, in the order of training.
        left_out: sentences about the kinds that did not read them.
    """

    readings: Mapping[DecoderKind, Reading]
    left_out: tuple[str, ...]

    @property
    def best(self) -> DecoderKind:
        """The kind that read more."""
        return min(self.readings, key=lambda kind: self.readings[kind].row.rmse)

    @property
    def others(self) -> tuple[Row, ...]:
        """The rows of the kinds that read less."""
        return tuple(reading.row for kind, reading in self.readings.items() if kind != self.best)

    def best_after(self, steps: int | None, seconds: float) -> DecoderKind:
        """The kind that had read more after so many steps, or, where these are None, after so long."""

        def error(kind: DecoderKind) -> float:
            done = self.readings[kind].training
            return done.at(seconds if steps is None else steps * done.seconds_per_step)

        return min(self.readings, key=error)


def read_known(attacker: Attacker, budget: Budget, plan: Plan, speed: Speed) -> Contest:
    """Train a decoder of each kind that the plan has on the known switches, and measure it.

    Args:
        attacker: has the switches.
        budget: of the audit.
        plan: which kinds, and for how long.
        speed: by which it was planned.

    Raises:
        TrainingDiverged: the loss of every kind became infinite.
    """
    readings: dict[DecoderKind, Reading] = {}
    left_out = [_too_slow(budget, speed)] if len(plan.known) < len(budget.config.kinds) else []
    failed: TrainingDiverged | None = None
    for kind, seconds in plan.known.items():
        if readings and budget.interrupted.is_set():
            left_out.append(f"left out: {READERS[kind].title}, as the audit was interrupted")
            continue
        held, given = attacker.read_by(kind), known_by(kind)
        try:
            decoder = held.train(given, budget.known_steps(kind), seconds, partial=True)
        except TrainingDiverged as error:
            failed = error
            left_out.append(f"failed: {READERS[kind].title} ({one_line(error)})")
            continue
        row, errors = held.measure(decoder, given)
        readings[kind] = Reading(decoder, row, errors, attacker.ledger.of(given))
    if failed and not readings:
        raise failed
    return Contest(readings, tuple(left_out))


def _too_slow(budget: Budget, speed: Speed) -> str:
    enough = readable_minutes(budget.strong_minutes(speed))
    return (
        f"left out: {READERS['strong'].title}, which in the time for it would read less than the mirrored "
        f"one: it needs {PASSING} steps, for which {enough} are enough"
    )
