"""Protecting a model: fine-tuned for several weights of the penalty, and each read by a fresh reader."""

import copy
import math
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from maxtunnel import __version__
from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.experiments import SHOWN
from maxtunnel.auditing.ledger import KNOWN, DecoderInput
from maxtunnel.auditing.mitigations import UNMITIGATED, Mitigation, mitigations_for
from maxtunnel.auditing.origin import NO_ORIGIN, Origin, hash_of_weights
from maxtunnel.auditing.photographs import LEAST, check_photographs, split
from maxtunnel.auditing.readers import READERS, Decoder
from maxtunnel.auditing.samples import LEAST_CAPTURED, Samples, sample
from maxtunnel.auditing.scores import Metric
from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.data.batches import Pixels
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.data.mean import mean_image
from maxtunnel.protection.adversary import Adversary
from maxtunnel.protection.config import DEFAULTS, ProtectionConfig
from maxtunnel.protection.duel import Duel, FineTuning
from maxtunnel.protection.kept import Kept, SoFar, key_of
from maxtunnel.protection.levels import check_windows
from maxtunnel.protection.measure import Measures, bits_of, mitigated
from maxtunnel.protection.outcome import Line, Protection
from maxtunnel.protection.outputs import Distillation
from maxtunnel.protection.plan import LATE, Pace, Plan, share_out
from maxtunnel.protection.student import Student
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.loop import interrupts

_TRIED = 3  # steps of a fine-tuning whose pace is measured, the first of which warms up
_SPEED = 0.03  # share of the time for measuring how long a reader's step takes
_CAPTURE = 0.1  # and for capturing photographs
_READER_STEPS = 6  # whose pace is measured, at most
_ORIGINAL = DecoderInput("original")
_TRYING = "a fine-tuning that was tried out"
_LEARNT = 128  # photographs over which the variance of the outputs is taken


def protect(
    model: nn.Module | Target,
    images: Pixels,
    out: str | Path,
    *,
    holdout: Pixels | None = None,
    preprocess: Preprocess | None = None,
    config: ProtectionConfig = DEFAULTS,
    metric: Metric | None = None,
    on_progress: OnProgress = silent,
    began: float | None = None,
    origin: Origin = NO_ORIGIN,
    resume: bool = False,
    read: tuple[int | None, int | None] = (None, None),
) -> Protection:
    """Fine-tune a model so that its switches tell a strong reader less; say what that gains and costs.

    The model is afterwards as it was; the fine-tuned weights are in `out`, one file for each weight of the
    penalty, written as soon as it is trained. Ctrl-C ends it with what is there by then.

    Args:
        model: any network with 2-d max pooling that can be trained.
        images: photographs to train on, uint8 RGB, all of one size.
        out: folder for the state dicts, and for the readers, with which one that was interrupted goes on.
        holdout: photographs to measure on; by default a tenth of `images`, at most 1,000.
        preprocess: from photographs, float32 in [0, 1], to what the model takes.
        config: the weights of the penalty, time and sizes.
        metric: the model's own task: from a module that is called like the model to a number, or to a value
            for each photograph.
        on_progress: told of every training, and as phase `plan` of what is done with the time.
        began: `time.monotonic()` when the time began to run; by default now.
        origin: for the report.
        resume: go on with the protection in `out`: of the same model, photographs and settings.
        read: how many photographs were read of the folders, for one that resumes this.

    Raises:
        NoSwitches: the model has no 2-d max pooling.
        ValueError: it cannot be fine-tuned, its outputs cannot be kept, its windows are not 2x2, the
            photographs do not fit it, the metric fails, or the time is too short; `out` holds a protection
            already, or none to resume.
    """
    began = time.monotonic() if began is None else began
    kept = Kept(Path(out), resume)
    earlier = kept.so_far()
    for given in (images, holdout):
        if given is not None:
            check_photographs(given)
    target = model if isinstance(model, Target) else Target(model, type(model).__name__)
    target = target.observed(config.levels, preprocess)
    target.try_out(to_float(images[:2]))
    student = Student(target, config.batch_norm, config.temperature)
    try:
        seen, held = split(images, holdout, config.seed)
        measures = _measures(student, seen, held[: config.images], metric)
        run = _Run(measures, kept, earlier, read, config, on_progress, began)
        first = run.try_out(seen)
        attacker, plan = run.prepare(seen)
        with interrupts() as interrupted:
            run.interrupted = interrupted
            lines = [*run.lines(replace(attacker, stop=run.over), plan, first)]
        return run.result(attacker, plan, lines, origin)
    finally:
        student.release()


def _measures(student: Student, seen: Pixels, held: Pixels, metric: Metric | None) -> Measures:
    """What measures the student, with the variance of its outputs."""
    name, size = student.target.name, student.target.batch or 32
    pieces = [to_float(seen[first : first + size]) for first in range(0, min(_LEARNT, len(seen)), size)]
    try:
        distillation = Distillation.of(
            [student.original(x) for x in pieces if len(x) == size or len(seen) < size]
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return Measures(student, held[torch.arange(len(held))], distillation, metric)


def _first(samples: Samples, count: int) -> Samples:
    """The first photographs, so that all trainings see the same ones."""
    packed = tuple(level[:count] for level in samples.packed)
    return replace(samples, pixels=samples.pixels[:count], packed=packed, features=samples.features[:count])


@dataclass
class _Run:
    """One protection under way; see `protect` for the arguments."""

    measures: Measures
    kept: Kept
    earlier: SoFar | None
    read: tuple[int | None, int | None]
    config: ProtectionConfig
    on_progress: OnProgress
    began: float
    interrupted: threading.Event | None = None
    metric_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.student = self.measures.student
        self.target = self.student.target
        self.weights = hash_of_weights(self.target.model)
        self.width = self.config.width or READERS["strong"].width

    @property
    def seconds(self) -> float:
        """For everything."""
        return self.config.minutes * 60 if self.config.steps is None else math.inf

    @property
    def passed(self) -> float:
        """Since the time began to run."""
        return time.monotonic() - self.began

    def over(self) -> bool:
        """Whether what runs must end."""
        stopped = self.interrupted is not None and self.interrupted.is_set()
        return stopped or self.passed > LATE * self.seconds

    def try_out(self, seen: Pixels) -> Line:
        """Whatever cannot be protected is refused here; the line of the original, without its leak."""
        before = time.monotonic()
        score = self.measures.score(UNMITIGATED, "the model as it was")
        self.metric_seconds = time.monotonic() - before
        images = to_float(seen[: self.target.batch or 2])
        check_windows(self.student(images).levels)
        self.student.restrict(self.config.trained, images)
        return Line(_ORIGINAL.name, None, 0.0, None, 0.0, (0.0, 0.0), score)

    def prepare(self, seen: Pixels) -> tuple[Attacker, Plan]:
        """The photographs' switches, and what is done with the time."""
        config = self.config
        if config.steps is not None:
            seen = seen[: max(LEAST, config.steps * max(config.batch, READERS["strong"].recipe.batch))]
        bound = _CAPTURE * self.seconds
        if self.earlier is not None:
            seen, bound = seen[: self.earlier.captured], math.inf
        samples = sample(self.target, seen, bound, LEAST_CAPTURED, None, self.on_progress)
        held = sample(self.target, self.measures.held, rms=samples.rms)
        attacker = Attacker(
            samples, held, mean_image(samples.pixels), self.width, config.seed, config.images,
            shelf=self.kept.readers, on_progress=self.on_progress,
        )  # fmt: skip
        pace = self._pace(attacker)
        plan = self._plan(attacker, pace)
        used = plan.steps * max(config.batch, attacker.reader.recipe.batch)
        attacker = replace(attacker, seen=_first(samples, used))
        self._announce(attacker, pace, plan)
        return attacker, plan

    def _plan(self, attacker: Attacker, pace: Pace) -> Plan:
        """That of the protection that is resumed, or a new one; noted, so that it can be resumed."""
        if self.earlier is not None:
            plan = Plan(self.earlier.steps, self.earlier.readings)
        else:
            left = self.seconds - self.passed
            plan = share_out(self.config, pace, left, len(self._readings(attacker)))
        key = key_of(self.weights, self.config, attacker.seen, attacker.held)
        self.kept.note(SoFar(*self.read, len(attacker.seen), plan.steps, plan.readings, key))
        return plan

    def _announce(self, attacker: Attacker, pace: Pace, plan: Plan) -> None:
        """Say what is to be expected before the time is spent."""
        models = len(self.config.weights)
        self.on_progress(
            "plan",
            1,
            1,
            f"{plan.steps:,} steps for each of {models} fine-tunings and {1 + models + plan.readings} "
            f"readers, on {len(attacker.seen):,} photographs; a step takes {pace.duel:.2g} s and "
            f"{pace.reader:.2g} s here",
        )

    def lines(self, attacker: Attacker, plan: Plan, first: Line) -> Iterator[Line]:
        """Of the original, of each fine-tuned model, of each mitigation."""
        bits = bits_of(attacker.seen, UNMITIGATED.bits)
        reader = attacker.train(_ORIGINAL, plan.steps, partial=True)
        row, _ = attacker.measure(reader, _ORIGINAL)
        self._picture(attacker, reader)
        yield replace(first, bits=bits, leak=row)
        for weight in self.config.weights:
            if self.over():
                self._leave_out(f"weight {weight:g}")
                continue
            yield from self._model(weight, attacker, reader, plan, replace(first, bits=bits))
        self.student.restore()
        yield from self._mitigations(attacker, plan, first)

    def _picture(self, attacker: Attacker, reader: Decoder) -> None:
        shown = torch.arange(min(SHOWN, len(attacker.held)))
        self.measures.pictures["original"] = to_uint8(attacker.rebuild(reader, _ORIGINAL, shown))

    def _model(
        self, weight: float, attacker: Attacker, reader: Decoder, plan: Plan, first: Line
    ) -> Iterator[Line]:
        """Fine-tune, save and measure."""
        name, file = f"weight {weight:g}", f"weight-{weight:g}.safetensors"
        self.student.restore()
        try:
            tuning = self._tuned(weight, attacker, reader, plan.steps, name, file)
        except FormatError:
            raise
        except ValueError as error:
            self.measures.left_out.append(f"failed: {name} ({error})")
            return
        line = Line(name, weight, first.bits, tuning=tuning, file=file)
        if self.over():
            self.measures.left_out.append(f"left out: measuring {name}, whose fine-tuning was cut short")
            yield line
            return
        lost, interval = self.measures.lost()
        score = self.measures.score(UNMITIGATED, name)
        if score is not None and first.score is not None:
            score = score.against(first.score)
        again = attacker.with_samples(*self._captured_again(attacker))
        if not weight:
            # Another draw of the reader: what sets it apart from that of the original is chance.
            again = replace(again, seed=attacker.seed + 1)
        leak = self.measures.leak(again, DecoderInput(name), plan.steps)
        yield replace(line, leak=leak, lost=lost, lost_ci95=interval, score=score)

    def _tuned(
        self, weight: float, attacker: Attacker, reader: Decoder, steps: int, name: str, file: str
    ) -> FineTuning:
        """Fine-tune and save, or take what is in the folder."""
        kept = self.kept.take(file)
        if kept is not None:
            self.student.take(kept[1])
            return kept[0]
        tuning = self._duel(attacker).run(weight, self._adversary(weight, attacker, reader), steps, name)
        about = {"model": self.target.name, "original_sha256": self.weights, "weight": f"{weight:g}"}
        self.kept.put(file, self.student.state(), tuning, about)
        return tuning

    def _captured_again(self, attacker: Attacker) -> tuple[Samples, Samples]:
        """The same photographs as the model captures them now."""
        seen = sample(self.target, attacker.seen.pixels)
        return seen, sample(self.target, attacker.held.pixels, rms=seen.rms)

    def _mitigations(self, attacker: Attacker, plan: Plan, first: Line) -> Iterator[Line]:
        """Those that leave nothing to read first, as they take no reader."""
        if self.config.alone:
            return
        readings = self._readings(attacker)
        chosen = [*self._silent(attacker), *readings[: plan.readings]]
        for mitigation in chosen:
            if self.over():
                self._leave_out(mitigation.name)
                continue
            line = mitigated(self.measures, attacker, mitigation, plan.steps)
            if line.score is not None and first.score is not None:
                line = replace(line, score=line.score.against(first.score))
            yield line
        for mitigation in readings[plan.readings :]:
            self._leave_out(mitigation.name)

    def _leave_out(self, name: str) -> None:
        stopped = self.interrupted is not None and self.interrupted.is_set()
        why = "it was interrupted" if stopped else "there was not the time for it"
        self.measures.left_out.append(f"left out: {name}, as {why}")

    def _all(self, attacker: Attacker) -> list[Mitigation]:
        windows = [level.window for level in attacker.seen.template.levels]
        found = mitigations_for(windows, attacker.seen.coarsest_first)
        # Random positions say as little as fixed ones.
        return [each for each in found if each is not UNMITIGATED and each.name != "random positions"]

    def _readings(self, attacker: Attacker) -> list[Mitigation]:
        """Mitigations that leave something to read."""
        if self.config.alone:
            return []
        return [each for each in self._all(attacker) if bits_of(attacker.seen, each.bits)]

    def _silent(self, attacker: Attacker) -> list[Mitigation]:
        return [each for each in self._all(attacker) if not bits_of(attacker.seen, each.bits)]

    def _duel(self, attacker: Attacker) -> Duel:
        return Duel(
            self.student,
            attacker.seen.pixels,
            self.measures.distillation,
            self.config,
            self.over,
            self.on_progress,
        )

    def _adversary(self, weight: float, attacker: Attacker, reader: Decoder) -> Adversary | None:
        """A reader that knows the original's switches already, as whoever reads may."""
        if not weight:
            return None
        reader = copy.deepcopy(reader).to(self.student.like.device)
        return Adversary(reader, attacker.mean, attacker.reader.recipe)

    def _pace(self, attacker: Attacker) -> Pace:
        """How long the parts take; the model is afterwards as it was."""
        reader, step = attacker.try_steps(_READER_STEPS, _SPEED * self.seconds)
        before = time.monotonic()
        attacker.measure_mean()
        attacker.measure(reader, KNOWN)
        self.measures.lost()
        row = time.monotonic() - before
        taken = attacker.seen.pixels[: attacker.reader.recipe.batch]
        before = time.monotonic()
        sample(self.target, taken)
        capture = time.monotonic() - before
        return Pace(step, *self._pace_of_tuning(attacker, reader), row, capture, self.metric_seconds)

    def _pace_of_tuning(self, attacker: Attacker, reader: Decoder) -> tuple[float, float]:
        """Seconds that a step of a fine-tuning takes, with a reader and without."""
        found, duel = [], replace(self._duel(attacker), on_progress=silent)
        for weight in (1.0, 0.0):
            adversary = self._adversary(weight, attacker, reader)
            duel.run(weight, adversary, 1, _TRYING)
            found.append(duel.run(weight, adversary, _TRIED - 1, _TRYING).seconds / (_TRIED - 1))
        self.student.restore()
        return found[0], found[1]

    def result(self, attacker: Attacker, plan: Plan, lines: list[Line], origin: Origin) -> Protection:
        """All that was found."""
        return Protection(
            target=self.target.name,
            size=attacker.held.template.image_size,
            images={"trained": len(attacker.seen), "measured": attacker.measured},
            levels=tuple(level.name for level in attacker.seen.template.levels),
            trained_weights=self.student.counts,
            mean=attacker.measure_mean(),
            original=lines[0],
            models=tuple(line for line in lines[1:] if line.weight is not None),
            mitigations=tuple(line for line in lines[1:] if line.weight is None),
            readers=tuple(attacker.ledger),
            steps=plan.steps,
            left_out=tuple(self.measures.left_out),
            config=replace(self.config, width=self.width, levels=self.target.levels),
            interrupted=self.interrupted is not None and self.interrupted.is_set(),
            seconds=self.passed,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            origin=origin,
            weights_sha256=self.weights,
            versions=_versions(),
            pictures={"originals": attacker.held.pixels[:SHOWN], **self.measures.pictures},
        )


def _versions() -> dict[str, str]:
    return {"maxtunnel": __version__, "torch": torch.__version__, "python": platform.python_version()}
