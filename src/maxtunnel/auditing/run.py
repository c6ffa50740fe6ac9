"""The audit: what the switches of a model give away about photographs, against honest controls."""

import platform
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import torch
from torch import nn

from maxtunnel import __version__
from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.budget import CAPTURE, HELD_CAPTURE, TRYING, Budget, Courses, Plan, Speed
from maxtunnel.auditing.conclusions import readable_minutes
from maxtunnel.auditing.config import DEFAULTS, AuditConfig
from maxtunnel.auditing.contest import Contest, read_known
from maxtunnel.auditing.experiments import Experiments
from maxtunnel.auditing.ledger import known_by
from maxtunnel.auditing.origin import NO_ORIGIN, AuditRecord, Origin, hash_of_tensors, hash_of_weights
from maxtunnel.auditing.outcome import AuditResult, MitigationResult
from maxtunnel.auditing.photographs import check_photographs, split
from maxtunnel.auditing.samples import Again, sample
from maxtunnel.auditing.scores import Metric
from maxtunnel.auditing.shelf import NO_SHELF, Counts, Shelf
from maxtunnel.auditing.speed import measure_speed
from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.auditing.trials import check_metric, try_mitigations
from maxtunnel.data.batches import Pixels
from maxtunnel.data.images import to_float
from maxtunnel.data.mean import mean_image
from maxtunnel.support.parts import Spread, here
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.recording import Recording
from maxtunnel.training.loop import interrupts


def audit(
    model: nn.Module | Target,
    images: Pixels,
    *,
    holdout: Pixels | None = None,
    preprocess: Preprocess | None = None,
    config: AuditConfig = DEFAULTS,
    metric: Metric | None = None,
    on_progress: OnProgress = silent,
    began: float | None = None,
    speed: Speed | None = None,
    origin: Origin = NO_ORIGIN,
    shelf: Shelf = NO_SHELF,
    read: tuple[int, int | None] | None = None,
    spread: Spread = here,
    device: str = "cpu",
) -> AuditResult:
    """Attack the pooling switches of a model with decoders of its own shape, and say what came through.

    Ctrl-C, once decoders are trained, ends the audit with what was found so far.

    Args:
        model: any network with 2-d max pooling; it is left as it was.
        images: photographs to train the decoders on, uint8 RGB, all of one size.
        holdout: photographs to measure on, never trained on; by default a tenth of `images`, at most 1,000.
        preprocess: from photographs, float32 in [0, 1], to what the model takes.
        config: time, levels, seed and sizes.
        metric: measures the model's own task under each mitigation: from a module that is called like the
            model to a number.
        on_progress: told of every capture and every training, and as phase `plan` how fast this model is.
        began: `time.monotonic()` when the time of the audit began to run; by default now.
        speed: of this model here; by default it is measured.
        origin: for the report.
        shelf: keeps the decoders.
        read: how many files were read for `images` and for `holdout`, for a later audit that goes on.
        spread: captures the photographs; the workers of an engine load the model that `origin` names.
        device: where these workers run the model.

    Raises:
        NoSwitches: the model has no 2-d max pooling.
        ValueError: the model cannot take these photographs or has no such levels; the photographs are not
            uint8 RGB, or fewer than 8 to train on or to measure on; the metric fails.
    """
    began = time.monotonic() if began is None else began
    check_photographs(images)
    if holdout is not None:
        check_photographs(holdout)
    target = model if isinstance(model, Target) else Target(model, type(model).__name__)
    target = target.observed(config.levels, preprocess)
    facts = target.try_out(to_float(images[:2]))
    metric_seconds = check_metric(target, metric) if metric is not None and config.mitigations else 0.0
    config = replace(config, levels=target.levels)
    budget = Budget(config, began, len(facts.levels))
    seen, held = split(images, holdout, config.seed)
    if speed is None:
        speed = measure_speed(target, seen, config, TRYING * budget.seconds)
    counts = read or (None, None)
    run = _Run(target, facts, budget, speed, origin, shelf, counts, on_progress, spread, device)
    return run(seen, held, metric, metric_seconds)


class _Run:
    """One audit under way; see `audit` for the arguments."""

    def __init__(
        self,
        target: Target,
        facts: Recording,
        budget: Budget,
        speed: Speed,
        origin: Origin,
        shelf: Shelf,
        read: tuple[int | None, int | None],
        on_progress: OnProgress,
        spread: Spread = here,
        device: str = "cpu",
    ) -> None:
        self.spread, self.device = spread, device
        self.target, self.facts, self.budget, self.speed = target, facts, budget, speed
        self.origin, self.shelf, self.read, self.on_progress = origin, shelf, read, on_progress
        self.weights = hash_of_weights(target.model)

    def __call__(
        self, to_train: Pixels, to_measure: Pixels, metric: Metric | None, metric_seconds: float
    ) -> AuditResult:
        earlier = self.shelf.counts()
        attacker = self._attacker(to_train, to_measure, earlier)
        # Before the plan, which then knows how long the hash took.
        key = self._key(attacker, earlier)
        kinds = () if earlier is None else earlier.kinds
        plan = self.budget.plan(self.speed, len(attacker.held), kinds)
        if earlier is not None:
            plan = replace(plan, measured=earlier.measured, searched=earlier.searched)
        counts = self._counts(attacker, plan, earlier, key)
        # Once, for all that is said of it: after the trainings the speed is another, and so would this be.
        enough = self.budget.enough_minutes(self.speed)
        self._announce(len(attacker.seen), len(to_train), enough)
        with interrupts() as interrupted:
            budget = replace(self.budget, interrupted=interrupted)
            attacker = replace(attacker, stop=budget.over, limit=plan.measured)
            self.shelf.note(counts)
            contest = read_known(attacker, budget, plan, self.speed)
            speed, courses = self._courses(contest, budget, plan, earlier)
            if not interrupted.is_set():
                self.shelf.note(replace(counts, beside=courses.beside, apart=courses.apart))
            experiments = Experiments(self.target, attacker, contest, budget, plan, courses, speed)
            found = experiments.run()
            seconds = budget.passed
            experiments.refine()
            mitigations, untried = try_mitigations(
                self.target, experiments.attacker, experiments.known, budget, speed, metric, metric_seconds
            )
            found.left_out += untried
        return self._result(
            experiments, plan, len(to_train), mitigations, enough, seconds, interrupted.is_set()
        )

    def _attacker(self, to_train: Pixels, to_measure: Pixels, earlier: Counts | None) -> Attacker:
        """An attacker with the switches of as many of the photographs as the time can use."""
        config, seconds = self.budget.config, self.budget.seconds
        trained, held = len(to_train), len(to_measure)
        if config.steps is None:
            trained = max(8, min(trained, self.budget.usable(self.speed)))
        most, most_held = CAPTURE * seconds, HELD_CAPTURE * seconds
        if earlier is not None:
            trained, held, most, most_held = earlier.trained, earlier.held, float("inf"), float("inf")
        origin, again = self.origin, None
        if self.spread is not here and origin.model:
            preprocess, levels = origin.preprocess or None, self.target.levels
            again = Again(origin.model, preprocess, levels, self.weights, self.device)
        seen = sample(
            self.target,
            to_train[:trained],
            most,
            on_progress=self.on_progress,
            spread=self.spread,
            again=again,
        )
        held_samples = sample(
            self.target,
            to_measure[:held],
            most_held,
            rms=seen.rms,
            on_progress=self.on_progress,
            phase="capture held-out",
            spread=self.spread,
            again=again,
        )
        return Attacker(
            seen, held_samples, mean_image(seen.pixels), config.width, config.seed, config.images,
            shelf=self.shelf, on_progress=self.on_progress,
        )  # fmt: skip

    def _courses(
        self, contest: Contest, budget: Budget, plan: Plan, earlier: Counts | None
    ) -> tuple[Speed, Courses]:
        """The speed of the trainings, and what the time that is left is used for."""
        known = {kind: reading.training for kind, reading in contest.readings.items()}
        steps = {kind: training.seconds_per_step for kind, training in known.items()}
        speed = replace(self.speed, steps={**self.speed.steps, **steps})
        courses = budget.courses(plan, speed, contest.best, contest.best)
        apart, each = courses.apart, courses.apart.steps * speed.steps[contest.best]
        kind = contest.best_after(apart.steps if budget.config.steps else None, each)
        if kind != contest.best:
            courses = budget.courses(plan, speed, contest.best, kind)
        if earlier is not None and earlier.beside is not None and earlier.apart is not None:
            courses = replace(courses, beside=earlier.beside, apart=earlier.apart)
        return speed, courses

    def _key(self, attacker: Attacker, earlier: Counts | None) -> str:
        """A hash of all that decides the trainings; it must be that of the audit that is resumed."""
        config = self.budget.config
        pixels = [("seen", attacker.seen.pixels), ("held", attacker.held.pixels)]
        codes = [*enumerate(attacker.held.packed)]
        told = (self.weights, config.seed, config.width, config.levels, config.steps, config.decoder)
        key = hash_of_tensors([(str(told), None), *pixels, *((str(n), code) for n, code in codes)])
        if earlier is not None and earlier.key != key:
            raise ValueError(
                "the audit to go on with was of another model, other photographs, `levels`, `seed`, "
                "`decoder`, `width` or `steps`: give the same, or name another `out`"
            )
        return key

    def _counts(self, attacker: Attacker, plan: Plan, earlier: Counts | None, key: str) -> Counts:
        """The photographs taken."""
        return Counts(
            *self.read, len(attacker.seen), len(attacker.held), plan.measured, plan.searched,
            tuple(plan.known), *((None, None) if earlier is None else (earlier.beside, earlier.apart)), key,
        )  # fmt: skip

    def _announce(self, used: int, there: int, enough: float) -> None:
        """Say what is to be expected before the time is spent."""
        config, budget, speed = self.budget.config, self.budget, self.speed
        steps = ", ".join(f"{seconds:.2g} s with a {kind} decoder" for kind, seconds in speed.steps.items())
        steps = f"a training step here takes {steps}"
        photographs = f"{used:,} of {there:,} photographs are trained on"
        if config.steps is not None:
            note = f"{config.steps:,} steps for the known switches, fewer for the rest"
            self.on_progress("plan", 1, 1, f"{note}; {steps}; {photographs}")
            return
        least = f"{readable_minutes(enough)} are enough for an audit"
        if len(speed.steps) > 1 and (both := budget.strong_minutes(speed)) > enough:
            least += f" with the mirrored one alone, {readable_minutes(both)} for one with both"
        less = "; with less, parts are left out or withheld" if config.minutes < enough else ""
        self.on_progress("plan", 1, 1, f"{steps}; {least}{less}; {photographs}")

    def _result(
        self,
        experiments: Experiments,
        plan: Plan,
        there: int,
        mitigations: tuple[MitigationResult, ...],
        enough: float,
        seconds: float,
        interrupted: bool,
    ) -> AuditResult:
        facts, found, attacker = self.facts, experiments.found, experiments.attacker
        held, known = attacker.held, attacker.ledger.of(known_by(attacker.decoder))
        measured = min(plan.measured, len(held))
        return AuditResult(
            target=self.target.name,
            size=held.template.image_size,
            images={
                "given": there, "trained": len(attacker.seen), "measured": measured, "searched": plan.searched
            },
            rows=found.rows,
            levels=found.levels,
            shares=found.shares,
            identified=found.identified,
            transplant=found.transplant,
            decoders=tuple(attacker.ledger),
            mitigations=mitigations,
            left_out=tuple(found.left_out),
            untrained=found.untrained,
            untrained_note=found.untrained_note,
            draws=found.draws,
            refined=found.refined,
            returned=tuple(facts.returned),
            returning=facts.returning,
            unpooling=facts.unpooling,
            unpoolings=facts.unpoolings,
            not_covered=tuple(facts.not_covered),
            unseen=tuple(facts.unseen),
            config=self.budget.config,
            enough_minutes=enough,
            interrupted=interrupted,
            seconds=seconds,
            record=self._record(attacker, known.seconds_per_step),
            versions=_versions(),
            pictures=found.pictures,
        )  # fmt: skip

    def _record(self, attacker: Attacker, seconds_per_step: float) -> AuditRecord:
        observed = attacker.seen.numbers
        names = dict.fromkeys(range(1, self.facts.ran + 1), "")
        if len(observed) < len(names):
            # A pass with all levels, for the names of those that the observer does not get.
            with suppress(ValueError):
                images = to_float(attacker.held.pixels[: self.target.batch or 1])
                whole = replace(self.target, levels=None).record(images)
                names |= {level.number: f" ({level.switches.name})" for level in whole.levels}
        return AuditRecord(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            origin=self.origin,
            weights_sha256=self.weights,
            observed=observed,
            withheld=tuple(f"{number}{name}" for number, name in names.items() if number not in observed),
            seconds_per_step=seconds_per_step,
        )


def _versions() -> dict[str, str]:
    return {"maxtunnel": __version__, "torch": torch.__version__, "python": platform.python_version()}
