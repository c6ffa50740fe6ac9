"""Each mitigation tried out: with decoders retrained against it, and by the model's own task."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import DecoderInput
from maxtunnel.auditing.mitigations import UNMITIGATED, MitigatedModel, Mitigation, mitigations_for
from maxtunnel.auditing.outcome import MitigationResult
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.samples import sample
from maxtunnel.auditing.targets import Target, evaluating
from maxtunnel.models.mirrored import MirroredDecoder
from maxtunnel.support.files import one_line
from maxtunnel.support.progress import OnProgress
from maxtunnel.training.recipes import FAST

# A person's function, from a module that is called like the model to a number: how well it does its task.
Metric = Callable[[nn.Module], Any]


def try_mitigations(
    target: Target,
    attacker: Attacker,
    start: MirroredDecoder,
    minutes: float,
    steps: int | None,
    metric: Metric | None,
    on_progress: OnProgress,
) -> tuple[MitigationResult, ...]:
    """Try out every mitigation, all with decoders of equally many steps.

    Args:
        target: the model.
        attacker: has its switches.
        start: the decoder of known switches, from which all others start, as an attacker's would.
        minutes: for all mitigations; 0 leaves them out.
        steps: of each decoder; by default as many as `minutes` allow.
        metric: of the model's own task.
        on_progress: told of each capture.
    """
    if not minutes:
        return ()
    windows = [level.window for level in attacker.seen.template.levels]
    mitigations = mitigations_for(windows, attacker.seen.coarsest_first)
    seconds = math.inf
    if steps is None:
        # Another pooling must be captured too, which may take as long as a training.
        trainings = sum(2 if each.pooling else 1 + each.features for each in mitigations)
        seconds = 0.75 * minutes * 60 / trainings
        steps = max(20, int(seconds / attacker.ledger.known.seconds_per_step))
    trial = _Trial(target, attacker, start, steps, seconds, metric, on_progress)
    return tuple(trial.run(mitigation) for mitigation in mitigations)


def check_metric(target: Target, metric: Metric) -> None:
    """Call the metric once before any decoder is trained: one that fails would lose the whole audit."""
    _score(target, metric, UNMITIGATED)


@dataclass(frozen=True)
class _Trial:
    """What every mitigation is tried out with; see `try_mitigations`.

    Attributes:
        seconds: for capturing a model that pools otherwise.
    """

    target: Target
    attacker: Attacker
    start: MirroredDecoder
    steps: int
    seconds: float
    metric: Metric | None
    on_progress: OnProgress

    def run(self, mitigation: Mitigation) -> MitigationResult:
        leak = features = None
        if mitigation.pooling is None:
            leak = self._attack(self.attacker, DecoderInput(mitigation.name, (mitigation.change,)))
        if mitigation.features:
            name = f"{mitigation.name}, with features"
            given = DecoderInput(name, (mitigation.change,), what=True)
            features = self._attack(self._attacker_of(mitigation), given)
        score = None if self.metric is None else _score(self.target, self.metric, mitigation)
        return MitigationResult(mitigation.name, self._bits(mitigation), leak, features, score)

    def _attack(self, attacker: Attacker, given: DecoderInput) -> Row:
        return attacker.measure(attacker.train(given, self.steps, start=self.start), given)[0]

    def _attacker_of(self, mitigation: Mitigation) -> Attacker:
        """The same attacker; where another pooling makes other features, with those."""
        if mitigation.pooling is None:
            return self.attacker
        swap = MitigatedModel(self.target, mitigation.pooling).swap_observed
        other = replace(self.target, swap=swap)
        pixels = self.attacker.seen.pixels[: self.steps * FAST.batch]
        seen = sample(other, pixels, self.seconds, 256, None, self.on_progress, mitigation.name)
        held = sample(other, self.attacker.held.pixels[: self.attacker.measured], rms=seen.rms)
        return self.attacker.with_samples(seen, held)

    def _bits(self, mitigation: Mitigation) -> float:
        """Of all switches of a photograph."""
        levels = self.attacker.seen.by_number.items()
        return sum(level.codes.numel() * mitigation.bits(level.window, number) for number, level in levels)


def _score(target: Target, metric: Metric, mitigation: Mitigation) -> float:
    try:
        with evaluating(target.model), torch.no_grad():
            return float(metric(MitigatedModel(target, mitigation.swap)))
    # A person's function may fail in any way, and a script may exit.
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"`metric` fails with {mitigation.name} in place ({type(error).__name__}: {one_line(error)})"
        ) from error
