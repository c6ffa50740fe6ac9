"""How an audit shares its time out among reading, capturing, training and measuring."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from maxtunnel.auditing.config import SEARCHED, AuditConfig
from maxtunnel.auditing.readers import READERS
from maxtunnel.support.choices import DecoderKind

LEAST_MEASURED = 16  # photographs that a row is measured on, however short the time
TRYING, READING, CAPTURE, HELD_CAPTURE = 0.04, 0.08, 0.08, 0.03  # shares of the time
_KEPT = 0.06  # share of the time that is kept for pictures, coding and the report
_LATE = 1.12  # times the time: later, what runs is cut short


# A strong decoder that gets fewer steps is left out, and the time given to the mirrored one: docs/audit.md.
PASSING = 500
_KNOWN = 0.6  # share of the time for training that decoders of known switches get
_MIRRORED = 0.15  # share of that for the mirrored one, where both kinds read them


@dataclass(frozen=True)
class Experiment:
    """A part of an audit that can be left out.

    Attributes:
        name: in words.
        decoders: of equally many steps whose time its trainings take.
        rows: that it measures.
        rows_a_level: that it measures for each level.
        captures: whether it runs another model on photographs.
        apart: whether its decoders are put against each other, not against that of known switches.
    """

    name: str
    decoders: int
    rows: int
    rows_a_level: int = 0
    captures: bool = False
    apart: bool = False


CONTROL = Experiment("random control", 1, 1)
# One decoder learns all cases of levels, and takes as long as two.
LEVELS = Experiment("levels", 2, 0, rows_a_level=2)
EQUALS = Experiment("features against switches", 4, 5, apart=True)
COPY = Experiment("untrained copy", 1, 1, captures=True, apart=True)
REDRAWN = Experiment("another draw of the decoder", 1, 1, apart=True)
# Where time is short, the last ones are left out first.
BY_PRIORITY = (CONTROL, LEVELS, EQUALS, COPY, REDRAWN)


@dataclass(frozen=True)
class Speed:
    """How long the parts of an audit take here, in seconds.

    Attributes:
        steps: a step of training a decoder of each kind.
        row: for each photograph that a row is measured on.
        capture: for each photograph that the model is run on.
    """

    steps: Mapping[DecoderKind, float]
    row: float
    capture: float


@dataclass(frozen=True)
class Course:
    """How the decoders of some experiments are trained: all alike.

    Attributes:
        reader: their kind.
        steps: of each; twice as many of that for levels.
    """

    reader: DecoderKind
    steps: int


@dataclass(frozen=True)
class Plan:
    """What the time is used for.

    Attributes:
        known: the kinds that read the known switches, with the seconds of each; None where steps are given.
        measured: photographs that each row is measured on.
        searched: photographs among which the right one is searched.
        experiments: those that the time allows.
    """

    known: Mapping[DecoderKind, float | None]
    measured: int
    searched: int
    experiments: tuple[Experiment, ...]


@dataclass(frozen=True)
class Courses:
    """What the time that is left is used for, once the known switches are read.

    Attributes:
        experiments: those that the time allows.
        beside: of the decoders that are put against that of known switches, and are of its kind.
        apart: of those that are put against each other.
    """

    experiments: tuple[Experiment, ...]
    beside: Course
    apart: Course

    def of(self, experiment: Experiment) -> Course:
        """That of one experiment."""
        return self.apart if experiment.apart else self.beside


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

    def known_steps(self, kind: DecoderKind) -> int:
        """Of a decoder of known switches; with seconds they only shape its learning rate."""
        return self.config.steps or READERS[kind].recipe.steps

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
        at_once = {kind: READERS[kind].recipe.batch for kind in speed.steps}
        trained = max(0.5 * self.seconds / step * at_once[kind] for kind, step in speed.steps.items())
        if reading is None:
            return int(trained)
        captured = CAPTURE * self.seconds / max(speed.capture, 1e-6)
        return int(min(trained, captured, READING * self.seconds / max(reading, 1e-6)))

    def plan(self, speed: Speed, held: int, kinds: Sequence[DecoderKind] = ()) -> Plan:
        """What to do with the time that is left, before the known switches are read.

        Every decoder gets at least `least_steps`, or experiments are left out, the least important first.
        Both kinds read the known switches where the strong one gets PASSING steps, and no experiment has to
        be left out for it.
        """
        config = self.config
        if config.steps is not None:
            return Plan(dict.fromkeys(config.kinds), min(config.images, held), held, BY_PRIORITY)
        measured = self._photographs(min(config.images, held), self.seconds / 8 / self._most_rows, speed)
        searched = max(measured, self._photographs(held, self.seconds / 20, speed))
        plan, enough = self._plan_for(kinds or config.kinds, speed, measured, searched)
        if len(config.kinds) > 1 and not kinds:
            alone, _ = self._plan_for(("mirrored",), speed, measured, searched)
            return alone if not enough or len(alone.experiments) > len(plan.experiments) else plan
        return plan

    def courses(self, plan: Plan, speed: Speed, beside: DecoderKind, apart: DecoderKind) -> Courses:
        """The plan for all but the known switches, once they are read.

        Args:
            plan: what was planned.
            speed: of what was trained since.
            beside, apart: the kinds of the decoders that are put against that of known switches, and of the
                others.
        """
        if self.config.steps is not None:
            steps = max(1, self.config.steps // 4)
            return Courses(plan.experiments, Course(beside, steps), Course(apart, steps))
        each = speed.steps[beside], speed.steps[apart]
        # A little too little is taken from what is kept.
        least = [0.9 * self.config.least_steps * step for step in each]
        for count in range(len(BY_PRIORITY), -1, -1):
            chosen = BY_PRIORITY[:count]
            left = self._left_for_training(chosen, speed, plan.measured, 3 * plan.measured + plan.searched)
            counts = self._trainings(chosen)
            if left >= _least(counts, *least):
                break
        found = [
            Course(kind, max(self.config.least_steps, int(seconds / step)))
            for kind, seconds, step in zip((beside, apart), _shares(left, counts, *least), each, strict=True)
        ]
        return Courses(chosen, *found)

    def cost(self, experiment: Experiment, course: Course, measured: int, speed: Speed) -> float:
        """Seconds that an experiment takes."""
        each = course.steps * speed.steps[course.reader]
        return sum(self._trainings([experiment])) * each + self._besides(experiment, measured, speed)

    def enough_minutes(self, speed: Speed) -> float:
        """The least sensible `minutes`: with a tenth less, an experiment would have to be left out."""
        return self._least_minutes(speed, lambda plan: plan.experiments == BY_PRIORITY)

    def strong_minutes(self, speed: Speed) -> float:
        """The least `minutes` with which all kinds asked for read the known switches."""
        return self._least_minutes(speed, lambda plan: set(plan.known) == set(self.config.kinds))

    def _least_minutes(self, speed: Speed, enough: Callable[[Plan], bool]) -> float:
        least = self.config.least_steps * min(speed.steps[kind] for kind in self.config.kinds)
        minutes = max(0.01, least / 60)
        while True:
            config = replace(self.config, steps=None, minutes=minutes)
            prepared = (READING + CAPTURE + HELD_CAPTURE + TRYING) * 60 * minutes
            asked = replace(self, config=config, began=time.monotonic() - prepared)
            if enough(asked.plan(speed, SEARCHED)):
                return 1.1 * minutes
            minutes *= 1.1

    def _plan_for(
        self, kinds: Sequence[DecoderKind], speed: Speed, measured: int, searched: int
    ) -> tuple[Plan, bool]:
        """The plan where these kinds read the known switches, and whether each gets enough steps.

        Which of them reads more will be known later: what is put against it may be of the slower kind.
        """
        steps = [speed.steps[kind] for kind in kinds]
        least = [self.config.least_steps * step for step in (max(steps), min(steps))]
        needed = _known_seconds(kinds, speed, self.config.least_steps)
        for count in range(len(BY_PRIORITY), -1, -1):
            chosen = BY_PRIORITY[:count]
            left = self._left_for_training(chosen, speed, measured, 3 * measured + searched)
            others = _least(self._trainings(chosen), *least)
            if left >= needed + others:
                break
        known = max(left - max(others, (1 - _KNOWN) * left if chosen else 0.0), max(steps))
        shares = dict.fromkeys(kinds, 1.0)
        if len(kinds) > 1:
            shares = {"mirrored": _MIRRORED, "strong": 1 - _MIRRORED}
        seconds = {kind: known * shares[kind] for kind in kinds}
        return Plan(seconds, measured, searched, chosen), known >= needed

    def _trainings(self, chosen: Sequence[Experiment]) -> tuple[int, int]:
        """Decoders whose time some experiments take: put against that of known switches, and apart."""
        # A single level is all there is, and the decoder of known switches has read it.
        there = [each for each in chosen if each is not LEVELS or self.levels > 1]
        return sum(x.decoders for x in there if not x.apart), sum(x.decoders for x in there if x.apart)

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


def _known_seconds(kinds: Sequence[DecoderKind], speed: Speed, least: int) -> float:
    """Seconds that it takes to read the known switches with enough steps of each kind."""
    if len(kinds) == 1:
        return least * speed.steps[kinds[0]]
    strong = max(PASSING, least) * speed.steps["strong"] / (1 - _MIRRORED)
    return max(strong, least * speed.steps["mirrored"] / _MIRRORED)


def _least(counts: tuple[int, int], beside: float, apart: float) -> float:
    """Seconds for so many decoders of two groups, each of which takes those of its group."""
    return counts[0] * beside + counts[1] * apart


def _shares(seconds: float, counts: tuple[int, int], beside: float, apart: float) -> tuple[float, float]:
    """The seconds of each decoder of two groups: the same, unless the first need more."""
    equal = seconds / max(1, sum(counts))
    if equal >= beside:
        return equal, equal
    return beside, max(apart, (seconds - counts[0] * beside) / max(1, counts[1]))
