"""The audit: what the switches of a model give away about photographs, against honest controls."""

import platform
import time
from dataclasses import replace

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn

from maxtunnel import __version__
from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.budget import Budget
from maxtunnel.auditing.config import DEFAULTS, AuditConfig
from maxtunnel.auditing.identification import Identification, identify
from maxtunnel.auditing.ledger import BOTH, FIXED, KNOWN, RANDOM, UNTRAINED, WHAT, WHERE, DecoderInput
from maxtunnel.auditing.levels import audit_levels
from maxtunnel.auditing.outcome import AuditedLevel, AuditResult, Transplant
from maxtunnel.auditing.photographs import check_photographs, split
from maxtunnel.auditing.rows import Row, shares
from maxtunnel.auditing.samples import sample
from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.auditing.trials import Metric, check_metric, try_mitigations
from maxtunnel.data.batches import PIECE, Pixels
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.data.mean import mean_image
from maxtunnel.evaluation.intervals import bootstrap
from maxtunnel.models.mirrored import MirroredDecoder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.capture import Recording
from maxtunnel.training.recipes import FAST

SHOWN = 8  # photographs that pictures are made of


def audit(
    model: nn.Module | Target,
    images: Pixels,
    *,
    holdout: Pixels | None = None,
    preprocess: Preprocess | None = None,
    levels: tuple[int, ...] | None = None,
    config: AuditConfig = DEFAULTS,
    metric: Metric | None = None,
    on_progress: OnProgress = silent,
    began: float | None = None,
) -> AuditResult:
    """Attack the pooling switches of a model with decoders of its own shape, and say what came through.

    Args:
        model: any network with 2-d max pooling; it is left as it was.
        images: photographs to train the decoders on, uint8 RGB, all of one size.
        holdout: photographs to measure on, never trained on; by default a tenth of `images`, at most 1,000.
        preprocess: from photographs, float32 in [0, 1], to what the model takes.
        levels: numbers of the poolings that an observer sees, in call order from 1; by default all.
        config: time, seed and sizes.
        metric: measures the model's own task under each mitigation: from a module that is called like the
            model to a number.
        on_progress: told of every capture and every training.
        began: `time.monotonic()` when the time of the audit began to run; by default now.

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
    target = target.observed(levels, preprocess)
    facts = target.try_out(to_float(images[:2]))
    if metric is not None and config.mitigations:
        check_metric(target, metric)

    budget = Budget(config, began, len(facts.levels))
    attacker = _attacker(target, *split(images, holdout, config.seed), budget, on_progress)
    known = attacker.train(KNOWN, budget.known_steps, budget.known_seconds)
    experiments = _Experiments(target, attacker, known, facts, budget)
    result = experiments.run()
    mitigations = try_mitigations(
        target, experiments.attacker, known, config.mitigations, budget.given_steps, metric, on_progress
    )
    return replace(result, mitigations=mitigations, decoders=tuple(attacker.ledger))


def _attacker(
    target: Target, to_train: Pixels, to_measure: Pixels, budget: Budget, on_progress: OnProgress
) -> Attacker:
    """An attacker with the switches of these photographs."""
    config = budget.config
    seen = sample(target, to_train, 0.08 * budget.seconds, least=256, on_progress=on_progress)
    held = sample(
        target,
        to_measure,
        0.04 * budget.seconds,
        rms=seen.rms,
        on_progress=on_progress,
        phase="capture held-out",
    )
    mean = mean_image(seen.pixels)
    return Attacker(seen, held, mean, config.width, config.seed, config.images, on_progress=on_progress)


class _Experiments:
    """The experiments of one audit; each leaves its rows and its pictures.

    Args:
        target: the model.
        attacker: has its switches.
        known: the decoder of known switches.
        facts: what the model's own forward pass does with its indices.
        budget: the time for all of it.

    Attributes:
        attacker: measures rows on as many photographs as the time allows.
        steps: of every other decoder.
    """

    def __init__(
        self, target: Target, attacker: Attacker, known: MirroredDecoder, facts: Recording, budget: Budget
    ) -> None:
        self.target, self.known, self.facts, self.budget = target, known, facts, budget
        seconds_each = _seconds_of_measuring(attacker, known)
        self.attacker = replace(attacker, limit=budget.measured(attacker.measured, seconds_each))
        self.steps = budget.equal_steps(attacker.ledger.known, seconds_each * self.attacker.measured)
        self.rows: dict[str, Row] = {}
        self.errors: dict[str, Float64[Tensor, " n"]] = {}
        self.shown = torch.arange(min(SHOWN, len(attacker.held)))
        self.pictures: dict[str, UInt8[Tensor, "n 3 h w"]] = {"originals": attacker.held.pixels[self.shown]}

    def run(self) -> AuditResult:
        """All experiments but the mitigations."""
        attacker, held = self.attacker, self.attacker.held
        self.rows["mean"] = attacker.measure_mean()
        self._measure("known", self.known, KNOWN)
        self.rows["other"] = attacker.measure_wrong_switches(self.known, KNOWN)
        identified = self._identify()
        both = self._train_equals()
        return AuditResult(
            target=self.target.name,
            size=held.template.image_size,
            images={"trained": len(attacker.seen), "measured": attacker.measured, "searched": len(held)},
            rows=self.rows,
            levels=self._audit_levels(),
            shares=shares(*(self.errors[key] for key in ("fixed", "what", "where", "both"))),
            identified=identified,
            transplant=self._transplant(both),
            decoders=(),
            mitigations=(),
            untrained=self._try_untrained(),
            returned=tuple(self.facts.returned),
            unpoolings=self.facts.unpoolings,
            not_covered=tuple(self.facts.not_covered),
            config=self.budget.config,
            seconds=self.budget.passed,
            versions=_versions(),
            pictures=self.pictures,
        )

    def _measure(self, key: str, decoder: MirroredDecoder, given: DecoderInput) -> None:
        self.rows[key], self.errors[key] = self.attacker.measure(decoder, given)
        self._show(key, decoder, given)

    def _show(self, key: str, decoder: MirroredDecoder, given: DecoderInput) -> None:
        self.pictures[key] = to_uint8(self.attacker.rebuild(decoder, given, self.shown))

    def _identify(self) -> tuple[Identification, ...]:
        """How often the right photograph is found by what its switches rebuild."""
        everyone = torch.arange(len(self.attacker.held))
        rebuilt = self.attacker.rebuild(self.known, KNOWN, everyone)
        return tuple(identify(rebuilt, self.attacker.held.images(everyone)))

    def _train_equals(self) -> MirroredDecoder:
        """The rows of decoders of equally many steps; returns the decoder of features and switches."""
        for key, given in (("random", RANDOM), ("fixed", FIXED), ("where", WHERE), ("what", WHAT)):
            self._measure(key, self.attacker.train(given, self.steps), given)
        both = self.attacker.train(BOTH, self.steps)
        self._measure("both", both, BOTH)
        return both

    def _audit_levels(self) -> tuple[AuditedLevel, ...]:
        levels, pictures = audit_levels(self.attacker, self.known, self.steps, self.shown)
        self.pictures |= pictures
        return levels

    def _transplant(self, both: MirroredDecoder) -> Transplant:
        """The switches of each photograph with the features of the next one."""
        held, attacker = self.attacker.held, self.attacker
        recipients = torch.arange(attacker.measured)
        donors = recipients.roll(-1)
        results = attacker.rebuild(both, BOTH, recipients, donors)
        self.pictures["transplant"] = to_uint8(results[self.shown])
        self.pictures["donors"] = held.pixels[donors[self.shown]]
        to_where = _squared_errors(results, held.images(recipients))
        to_what = _squared_errors(results, held.images(donors))
        nearer = (to_where < to_what).double()
        return Transplant(
            rmse_to_where=float(to_where.mean().sqrt()),
            rmse_to_what=float(to_what.mean().sqrt()),
            nearer_to_where=float(nearer.mean()),
            nearer_to_where_ci95=bootstrap(nearer),
        )

    def _try_untrained(self) -> str:
        """Add the row of an untrained copy; where there can be none, return why."""
        try:
            attacker = self._attacker_of(self.target.untrained(self.budget.config.seed))
        except ValueError as error:
            return str(error)
        decoder = attacker.train(UNTRAINED, self.steps)
        self.rows["untrained"], _ = attacker.measure(decoder, UNTRAINED)
        self.pictures["untrained"] = to_uint8(attacker.rebuild(decoder, UNTRAINED, self.shown))
        return ""

    def _attacker_of(self, target: Target) -> Attacker:
        """The same attacker with another model, on no more photographs than the training uses."""
        attacker = self.attacker
        pixels = attacker.seen.pixels[: self.steps * FAST.batch]
        seconds = 0.04 * self.budget.seconds
        seen = sample(target, pixels, seconds, 256, None, attacker.on_progress, target.name)
        held = sample(target, attacker.held.pixels[: attacker.measured], rms=seen.rms)
        return attacker.with_samples(seen, held)


def _seconds_of_measuring(attacker: Attacker, known: MirroredDecoder) -> float:
    """Seconds that a row takes for each photograph it is measured on."""
    few = replace(attacker, limit=min(PIECE, attacker.measured))
    few.measure_mean()
    began = time.monotonic()
    few.measure(known, KNOWN)
    return (time.monotonic() - began) / few.measured


def _squared_errors(
    results: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]
) -> Float64[Tensor, " n"]:
    return (results - images).double().square().mean((1, 2, 3))


def _versions() -> dict[str, str]:
    return {"maxtunnel": __version__, "torch": torch.__version__, "python": platform.python_version()}
