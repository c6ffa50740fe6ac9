"""The audit: what the switches of a model give away about photographs, against honest controls."""

import math
import platform
import time
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from maxtunnel import __version__
from maxtunnel.auditing.attacker import Attacker, Fed, transplanted
from maxtunnel.auditing.identification import Identified, identify
from maxtunnel.auditing.mitigations import Metric, mitigate, try_metric
from maxtunnel.auditing.outcome import AuditedLevel, AuditResult, Measured, Transplant, coded_bits, shares
from maxtunnel.auditing.samples import sample
from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.data.batches import PIECE, Pixels
from maxtunnel.data.images import mean_image, to_float, to_uint8
from maxtunnel.evaluation.intervals import bootstrap
from maxtunnel.models.mirrored import Level, MirroredDecoder
from maxtunnel.support.memory import free_memory
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.capture import Record
from maxtunnel.switches.changes import fixed, only, uniform
from maxtunnel.training.recipes import FAST

SHOWN = 8
CODED = 16  # photographs whose switches are coded, to count bits
SEARCHED = 1000
LEAST = 64  # photographs that a row is measured on, however short the time
MOST = 10_000  # photographs to train on
KNOWN = Fed("known switches")
RANDOM = Fed("random switches", (uniform,))
FIXED = Fed("fixed switches", (fixed,))
WHAT = Fed("features only", (fixed,), what=True)
BOTH = Fed("features and switches", what=True)
WHERE = Fed("switches only")
UNTRAINED = Fed("switches of an untrained copy")


@dataclass(frozen=True)
class Config:
    """How an audit is done.

    Attributes:
        minutes: for everything but the mitigations; half of them train the known-switch decoder.
        steps: of that decoder, in the place of a time; all others take a quarter of them. The result is then
            the same every time.
        mitigations: minutes for them; 0 leaves them out.
        images: held-out photographs that rows are measured on, fewer where time is short, but at least 64.
        width: most channels inside a decoder's block.
        seed: draws the split, the decoders and their order.
    """

    minutes: float = 10.0
    steps: int | None = None
    mitigations: float = 0.0
    images: int = 256
    width: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf or not 0 <= self.mitigations < math.inf:
            raise ValueError(
                f"minutes {self.minutes} and mitigations {self.mitigations}: expected time to work"
            )
        if self.width < 1 or self.images < 1 or (self.steps is not None and self.steps < 1):
            raise ValueError(
                f"width {self.width}, images {self.images}, steps {self.steps}: expected at least 1 of each"
            )


def audit(
    model: nn.Module | Target,
    images: Pixels,
    *,
    holdout: Pixels | None = None,
    preprocess: Preprocess | None = None,
    levels: tuple[int, ...] | None = None,
    config: Config = Config(),
    metric: Metric | None = None,
    on_progress: OnProgress = silent,
    began: float | None = None,
) -> AuditResult:
    """Attack the pooling switches of `model` with decoders of its own shape, and say what came through.

    Args:
        model: any network with 2-d max pooling; it is left as it was.
        images: photographs to train the decoders on, uint8 RGB, (n, 3, h, w), of one size.
        holdout: photographs to measure on, never trained on; by default a tenth of `images`, at most 1,000.
        preprocess: photographs, float32 in [0, 1], to what the model takes.
        levels: which poolings an observer sees, numbered from 1 in call order; by default all.
        config: time, seed and sizes.
        metric: the model's own task, for the mitigations: takes a module to call like the model and gives a
            number.
        on_progress: told what is done, how far and out of how much.
        began: `time.monotonic()` when the time started to run; by default now.

    Raises:
        NoSwitches: the model has no 2-d max pooling.
        ValueError: it cannot take these photographs, they are not uint8 RGB or fewer than 8 to train on or to
            measure on, or the metric fails.
    """
    began = time.monotonic() if began is None else began
    for pixels in (images,) if holdout is None else (images, holdout):
        check_photographs(pixels)
    target = model if isinstance(model, Target) else Target(model, type(model).__name__)
    target = target.seen(levels, preprocess)
    facts = target.try_out(to_float(images[:2]))
    if metric is not None and config.mitigations:
        try_metric(target, metric)
    seen_pixels, held_pixels = _split(images, holdout, config.seed)
    seconds = config.minutes * 60 if config.steps is None else float("inf")
    seen = sample(target, seen_pixels, 0.08 * seconds, least=256, on_progress=on_progress)
    held = sample(
        target, held_pixels, 0.04 * seconds, rms=seen.rms, on_progress=on_progress, phase="capture held-out"
    )
    mean = mean_image(seen.pixels)
    attacker = Attacker(seen, held, mean, config.width, config.seed, config.images, on_progress)
    known = attacker.train(KNOWN, config.steps or FAST.steps, None if config.steps else seconds / 2)
    result = _Audit(target, attacker, facts, config, began, on_progress).run(known)
    steps = max(1, config.steps // 4) if config.steps else None
    found = mitigate(target, attacker, known, config.mitigations, steps, metric, on_progress)
    return replace(result, mitigations=found, decoders=tuple(attacker.trained))


class _Audit:
    """One audit, experiment by experiment; each leaves its rows and pictures."""

    def __init__(
        self,
        target: Target,
        attacker: Attacker,
        facts: Record,
        config: Config,
        began: float,
        on_progress: OnProgress,
    ) -> None:
        self.target, self.attacker, self.facts, self.config = target, attacker, facts, config
        self.began, self.on_progress = began, on_progress
        self.rows: dict[str, Measured] = {}
        self.errors: dict[str, Tensor] = {}
        self.shown = torch.arange(min(SHOWN, len(attacker.held)))
        self.pictures: dict[str, Tensor] = {"originals": attacker.held.pixels[self.shown]}

    def run(self, known: MirroredDecoder) -> AuditResult:
        attacker, held = self.attacker, self.attacker.held
        took = self._fit_rows(known)
        self.rows["mean"] = attacker.by_mean()
        self._measure("known", known, KNOWN)
        self.rows["other"], _ = attacker.measure(known, KNOWN, "switches of another photograph", other=True)
        identified = self._identify(known)
        steps = self._steps(took)
        both = self._equals(steps)
        return AuditResult(
            target=self.target.name,
            size=held.template.image_size,
            images={"trained": len(attacker.seen), "measured": attacker.rows, "searched": len(held)},
            rows=self.rows,
            levels=self._levels(known, steps),
            shares=shares(*(self.errors[key] for key in ("fixed", "what", "where", "both"))),
            identified=tuple(identified),
            transplant=self._transplant(both),
            decoders=(),
            mitigations=(),
            untrained=self._untrained(steps),
            returned=tuple(self.facts.returned),
            unpoolings=self.facts.unpoolings,
            not_covered=tuple(self.facts.not_covered),
            config=asdict(self.config),
            seconds=time.monotonic() - self.began,
            versions={
                "maxtunnel": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            pictures=self.pictures,
        )

    def _equals(self, steps: int) -> MirroredDecoder:
        """The rows of decoders with equally many steps; the one of features and switches."""
        for key, fed in (("random", RANDOM), ("fixed", FIXED), ("where", WHERE), ("what", WHAT)):
            self._measure(key, self.attacker.train(fed, steps), fed)
        both = self.attacker.train(BOTH, steps)
        self._measure("both", both, BOTH)
        return both

    @property
    def _total(self) -> float:
        return self.config.minutes * 60 if self.config.steps is None else math.inf

    @property
    def _measurements(self) -> int:
        """Rows to be measured in all."""
        return 7 + 2 * len(self.attacker.seen.levels)

    def _measure(self, key: str, decoder: MirroredDecoder, fed: Fed) -> None:
        self.rows[key], self.errors[key] = self.attacker.measure(decoder, fed)
        self._show(key, decoder, fed)

    def _show(self, key: str, decoder: MirroredDecoder, fed: Fed) -> None:
        self.pictures[key] = to_uint8(self.attacker.rebuild(decoder, fed, self.shown))

    def _fit_rows(self, known: MirroredDecoder) -> float:
        """Bound what rows are measured on, so that all take an eighth of the time; seconds that one takes."""
        sampled = self.attacker.on(self.attacker.seen, self.attacker.held)
        sampled.rows = min(PIECE, self.attacker.rows)
        sampled.by_mean()
        began = time.monotonic()
        sampled.measure(known, KNOWN)
        each = (time.monotonic() - began) / sampled.rows
        if self.config.steps is None:
            most = int(self._total / 8 / self._measurements / each)
            self.attacker.rows = min(self.attacker.rows, max(LEAST, most))
        return each * self.attacker.rows

    def _identify(self, known: MirroredDecoder) -> list[Identified]:
        numbers = torch.arange(len(self.attacker.held))
        return identify(self.attacker.rebuild(known, KNOWN, numbers), self.attacker.held.images(numbers))

    def _steps(self, took: float) -> int:
        """Steps of each of the seven other decoders, so that they and all measuring fit into what is left."""
        if self.config.steps is not None:
            return max(1, self.config.steps // 4)
        known = self.attacker.trained[0]
        left = self.began + self._total - time.monotonic() - self._measurements * took - 0.08 * self._total
        return max(20, int(0.85 * left / 7 / (known.seconds / known.steps)))

    def _transplant(self, both: MirroredDecoder) -> Transplant:
        held = self.attacker.held
        numbers = torch.arange(self.attacker.rows)
        donors = numbers.roll(-1)
        results = self.attacker.rebuild(both, BOTH, numbers, donors)
        self.pictures["transplant"] = to_uint8(results[self.shown])
        self.pictures["donors"] = held.pixels[donors[self.shown]]
        to_where, to_what = transplanted(results, held.images(numbers), held.images(donors))
        nearer = (to_where < to_what).double()
        return Transplant(
            float(to_where.mean().sqrt()),
            float(to_what.mean().sqrt()),
            float(nearer.mean()),
            bootstrap(nearer),
        )

    def _levels(self, known: MirroredDecoder, steps: int) -> tuple[AuditedLevel, ...]:
        """Each level alone and with all coarser ones: the known-switch decoder goes on to learn all of it."""
        stages = self.attacker.seen.levels
        numbers = [stage.number for stage in stages]
        alone = {n: Fed(f"{self._name(n)} alone", (only({n}),)) for n in numbers}
        sums = {
            n: Fed(f"{self._name(n)} and coarser", (only(set(numbers[: i + 1])),))
            for i, n in enumerate(numbers)
        }
        # The coarsest one alone is also the first of the sums.
        cases = [*alone.values(), *list(sums.values())[1:]]
        shared = Fed("levels, one decoder for all", tuple(fed.changes[0] for fed in cases))
        decoder = self.attacker.train(shared, steps, start=known)
        for n in numbers:
            self._show(f"alone {n}", decoder, alone[n])
            self._show(f"from deepest {n}", decoder, sums[n])
        coded = coded_bits(self.attacker.held.code(torch.arange(min(self.attacker.rows, CODED))))
        return tuple(
            self._level(
                stage,
                coded[stage.number - 1],
                *(self.attacker.measure(decoder, feds[stage.number])[0] for feds in (alone, sums)),
            )
            for stage in sorted(stages, key=lambda stage: stage.number)
        )

    def _level(self, stage: Level, coded: float, alone: Measured, from_deepest: Measured) -> AuditedLevel:
        level = self.attacker.held.code(torch.arange(1)).levels[stage.number - 1]
        return AuditedLevel(
            name=level.name,
            window=str(level.window),
            channels=stage.channels,
            pooled=(level.codes.shape[-2], level.codes.shape[-1]),
            size=level.size,
            nominal_bits=level.nominal_bits,
            coded_bits=coded,
            alone=alone,
            from_deepest=from_deepest,
        )

    def _name(self, number: int) -> str:
        return self.attacker.seen.template.levels[number - 1].name

    def _untrained(self, steps: int) -> str:
        """The row of an untrained copy; why there is none."""
        try:
            copy = self.target.untrained(self.config.seed)
            attacker = self._attacker_of(copy, steps)
        except ValueError as error:
            return str(error)
        decoder = attacker.train(UNTRAINED, steps)
        self.rows["untrained"], _ = attacker.measure(decoder, UNTRAINED)
        self.pictures["untrained"] = to_uint8(attacker.rebuild(decoder, UNTRAINED, self.shown))
        return ""

    def _attacker_of(self, target: Target, steps: int) -> Attacker:
        """The same photographs through another model, no more of them than the steps use."""
        pixels = self.attacker.seen.pixels[: steps * FAST.batch]
        seen = sample(target, pixels, 0.04 * self._total, 256, None, self.on_progress, target.name)
        held = sample(target, self.attacker.held.pixels[: self.attacker.rows], rms=seen.rms)
        return self.attacker.on(seen, held)


def check_photographs(images: object) -> None:
    """Refuse what is no batch of uint8 RGB photographs; values in [0, 1] would be black, and leak nothing."""
    shape, dtype = tuple(getattr(images, "shape", ())), getattr(images, "dtype", None)
    if dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3:
        what = f"{dtype} of shape {shape}" if dtype else type(images).__name__
        raise ValueError(f"the photographs are {what}: give uint8 RGB, 0 to 255, of shape (n, 3, h, w)")


def at_most(pixels: int) -> int:
    """Photographs of so many pixels to read: what is of use, and no more than a quarter of the memory."""
    return max(16, min(MOST + SEARCHED, free_memory() // (4 * 3 * pixels)))


def _split(images: Pixels, holdout: Pixels | None, seed: int) -> tuple[Pixels, Pixels]:
    """Photographs to train on and to measure on, both in an order drawn by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)[: at_most(images.shape[-2] * images.shape[-1])]
    if holdout is None:
        count = min(SEARCHED, len(images) // 10)
        seen, held = images[order[count:]], images[order[:count]]
    else:
        seen, held = images[order], holdout[torch.randperm(len(holdout), generator=generator)[:SEARCHED]]
        if seen.shape[1:] != held.shape[1:]:
            raise ValueError(
                f"images are {tuple(seen.shape[1:])} but the held-out ones {tuple(held.shape[1:])}"
            )
    if len(seen) < 8 or len(held) < 8:
        raise ValueError(
            f"{len(seen)} photographs to train on and {len(held)} to measure on: give at least 8 of each "
            "(without --holdout a tenth is held out)"
        )
    return seen, held
