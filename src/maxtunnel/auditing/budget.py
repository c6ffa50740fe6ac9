"""How an audit shares its time out among reading, capturing, training and measuring."""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from maxtunnel.auditing.config import SEARCHED, AuditConfig
from maxtunnel.auditing.readers import Reader

LEAST_MEASURED = 16  # photographs that a row is measured on, however short the time
TRYING, READING, CAPTURE, HELD_CAPTURE = 0.04, 0.08, 0.08, 0.03  # shares of the time
_KEPT = 0.06  # share of the time that is kept for pictures, coding and the report
_LATE = 1.12  # times the time: later, what runs is cut short


@dataclass(frozen=True)
class Experiment:
    """A part of an audit that can be left out.

    Attributes:
        name: in words.
        decoders: of equally many steps whose time its trainings take.
        rows: that it measures.
        rows_a_level: that it measures for each level.
        captures: whether it runs another model on photographs.
    """

    name: str
    decoders: int
    rows: int
    rows_a_level: int = 0
    captures: bool = False


CONTROL = Experiment("random control", 1, 1)
# One decoder learns all cases of levels, and takes as long as two.
LEVELS = Experiment("levels", 2, 0, rows_a_level=2)
EQUALS = Experiment("features against switches", 4, 5)
COPY = Experiment("untrained copy", 1, 1, captures=True)
# Where time is short, the last ones are left out first.
BY_PRIORITY = (CONTROL, LEVELS, EQUALS, COPY)


@dataclass(frozen=True)
class Speed:
    """How long the parts of an audit take here, in seconds.

    Attributes:
        step: of training a decoder.
        row: for each photograph that a row is measured on.
        capture: for each photograph that the model is run on.
    """

    step: float
    row: float
    capture: float


@dataclass(frozen=True)
class Plan:
    """What the time is used for.

    Attributes:
        known_seconds: for the decoder of known switches; None where its steps are given.
        steps: of every other decoder, and twice as many of that for levels.
        measured: photographs that each row is measured on.
        searched: photographs among which the right one is searched.
        experiments: those that the time allows.
    """

    known_seconds: float | None
    steps: int
    measured: int
    searched: int
    experiments: tuple[Experiment, ...]


@dataclass(frozen=True)
class Budget:
    """The time, or the steps, of one audit.

    Attributes:
        config: says how much there is.
        began: `time.monotonic()` when the audit began.
        levels: that an observer sees.
        interrupted: set when a person wants the audit to end.
    """

    config: AuditConfig
    began: float
    levels: int
    interrupted: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds(self) -> float:
        """For everything but the mitigations; without a bound where steps are given."""
        return self.config.minutes * 60 if self.config.steps is None else math.inf

    @property
    def passed(self) -> float:
        """Seconds since the audit began."""
        return time.monotonic() - self.began

    @property
    def known_steps(self) -> int:
        """Of the decoder of known switches; with seconds they only shape its learning rate."""
        return self.config.steps or Reader.of(self.config).recipe.steps

    def over(self) -> bool:
        """Whether what runs must end: the time is well over, or a person wants it."""
        return self.interrupted.is_set() or self.passed > _LATE * self.seconds

    def allows(self, seconds: float) -> bool:
        """Whether there is time for something that takes so long."""
        return self.passed + seconds <= _LATE * self.seconds

    def usable(self, speed: Speed, reading: float | None = None) -> int:
        """How many photographs the time can use: to train on each once, and to read and capture them.

        Args:
            speed: of this model here.
            reading: seconds that it takes to read one; None where they are read, and capturing them will be
                bounded by the clock.
        """
        trained = Reader.of(self.config).recipe.batch * 0.5 * self.seconds / speed.step
        if reading is None:
            return int(trained)
        captured = CAPTURE * self.seconds / max(speed.capture, 1e-6)
        return int(min(trained, captured, READING * self.seconds / max(reading, 1e-6)))

    def plan(self, speed: Speed, held: int) -> Plan:
        """What to do with the time that is left, before the decoder of known switches is trained.

        Every decoder gets at least `least_steps`, or experiments are left out, the least important first.
        """
        config = self.config
        if config.steps is not None:
            return Plan(None, max(1, config.steps // 4), min(config.images, held), held, BY_PRIORITY)
        measured = self._photographs(min(config.images, held), self.seconds / 8 / self._most_rows, speed)
        searched = max(measured, self._photographs(held, self.seconds / 20, speed))
        for count in range(len(BY_PRIORITY), -1, -1):
            chosen = BY_PRIORITY[:count]
            decoders = self._trainings(chosen)
            left = self._left_for_training(chosen, speed, measured, 3 * measured + searched)
            least = self.config.least_steps * speed.step
            if left >= (1 + decoders) * least:
                break
        steps = max(self.config.least_steps, int(left / 2 / max(1, decoders) / speed.step))
        return Plan(max(left - decoders * steps * speed.step, speed.step), steps, measured, searched, chosen)

    def plan_again(self, plan: Plan, speed: Speed) -> Plan:
        """The plan for all but the decoder of known switches, with the speed of its training."""
        if self.config.steps is not None:
            return plan
        for count in range(len(plan.experiments), -1, -1):
            chosen = plan.experiments[:count]
            decoders = self._trainings(chosen)
            left = self._left_for_training(chosen, speed, plan.measured, 3 * plan.measured + plan.searched)
            steps = int(left / max(1, decoders) / speed.step)
            # A little too little is taken from what is kept.
            if steps >= 0.9 * self.config.least_steps:
                break
        return Plan(
            plan.known_seconds, max(self.config.least_steps, steps), plan.measured, plan.searched, chosen
        )

    def cost(self, experiment: Experiment, steps: int, measured: int, speed: Speed) -> float:
        """Seconds that an experiment takes."""
        return self._trainings([experiment]) * steps * speed.step + self._besides(experiment, measured, speed)

    def enough_minutes(self, speed: Speed) -> float:
        """The least sensible `minutes`: with a tenth less, an experiment would have to be left out."""
        decoders = 1 + self._trainings(BY_PRIORITY)
        minutes = max(0.01, decoders * self.config.least_steps * speed.step / 60)
        while True:
            config = replace(self.config, steps=None, minutes=minutes)
            prepared = (READING + CAPTURE + HELD_CAPTURE + TRYING) * 60 * minutes
            asked = replace(self, config=config, began=time.monotonic() - prepared)
            if asked.plan(speed, SEARCHED).experiments == BY_PRIORITY:
                return 1.1 * minutes
            minutes *= 1.1

    def _trainings(self, chosen: Sequence[Experiment]) -> int:
        """Decoders of equally many steps whose time some experiments take."""
        # A single level is all there is, and the decoder of known switches has read it.
        return sum(each.decoders for each in chosen if each is not LEVELS or self.levels > 1)

    @property
    def _most_rows(self) -> int:
        return 4 + sum(each.rows + self.levels * each.rows_a_level for each in BY_PRIORITY)

    def _photographs(self, most: int, seconds: float, speed: Speed) -> int:
        return min(most, max(LEAST_MEASURED, int(min(seconds / speed.row, most))))

    def _left_for_training(
        self, chosen: Sequence[Experiment], speed: Speed, measured: int, others: int
    ) -> float:
        """Seconds, when all else is paid for; `others` are photographs measured outside of experiments."""
        besides = sum(self._besides(each, measured, speed) for each in chosen) + others * speed.row
        return (1 - _KEPT) * self.seconds - self.passed - besides

    def _besides(self, experiment: Experiment, measured: int, speed: Speed) -> float:
        """Seconds of measuring and capturing."""
        rows = experiment.rows + self.levels * experiment.rows_a_level
        captured = (2 * LEAST_MEASURED + measured) * speed.capture if experiment.captures else 0.0
        return rows * measured * speed.row + captured
