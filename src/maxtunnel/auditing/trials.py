"""Each mitigation tried out: with decoders retrained against it, and by the model's own task."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from maxtunnel.auditing.attacker import Attacker, CutShort
from maxtunnel.auditing.budget import Budget, Speed
from maxtunnel.auditing.experiments import captured_again
from maxtunnel.auditing.ledger import DecoderInput
from maxtunnel.auditing.mitigations import UNMITIGATED, MitigatedModel, Mitigation, mitigations_for
from maxtunnel.auditing.outcome import MitigationResult
from maxtunnel.auditing.readers import Decoder
from maxtunnel.auditing.rows import Row
from maxtunnel.auditing.samples import LEAST_CAPTURED
from maxtunnel.auditing.scores import Metric, score
from maxtunnel.auditing.targets import Target
from maxtunnel.support.files import with_kind


def try_mitigations(
    target: Target,
    attacker: Attacker,
    start: Decoder,
    budget: Budget,
    speed: Speed,
    metric: Metric | None,
    metric_seconds: float = 0.0,
) -> tuple[tuple[MitigationResult, ...], list[str]]:
    """Try out the mitigations, all with decoders of equally many steps; and say which were left out.

    Where the time is short, the last ones are left out, so that every decoder gets `least_steps`.

    Args:
        target: the model.
        attacker: has its switches.
        start: its decoder of known switches, from which all others start, as an attacker's would.
        budget: of the audit; the minutes for mitigations begin now.
        speed: of the parts of the audit.
        metric: of the model's own task.
        metric_seconds: that it takes once.
    """
    config = budget.config
    if not config.mitigations:
        return (), []
    if budget.interrupted.is_set():
        return (), ["left out: all mitigations, as the audit was interrupted"]
    windows = [level.window for level in attacker.seen.template.levels]
    mitigations = mitigations_for(windows, attacker.seen.coarsest_first)
    time_for = Budget(
        replace(config, minutes=config.mitigations), time.monotonic(), budget.levels, budget.interrupted
    )
    besides = attacker.measured * speed.row + 2 * LEAST_CAPTURED * speed.capture + metric_seconds
    step = speed.steps[attacker.decoder]
    steps, count = _share_out(mitigations, time_for, step, besides)
    chosen = mitigations[:count]
    seconds = math.inf if config.steps is not None else 0.1 * time_for.seconds / max(1, count)
    attacker = replace(attacker, stop=time_for.over)
    trial = _Trial(target, attacker, start, steps, seconds, metric)
    results, left_out = [], []
    for mitigation in chosen:
        needed = _trainings(mitigation) * (steps * step + besides)
        if time_for.interrupted.is_set() or not time_for.allows(needed):
            left_out.append(mitigation.name)
            continue
        try:
            results.append(trial.run(mitigation))
        except CutShort:
            left_out.append(mitigation.name)
        # Whatever fails here, the audit before it must not be lost.
        except Exception as error:  # noqa: BLE001
            left_out.append(f"{mitigation.name} (failed: {with_kind(error)})")
    left_out += [mitigation.name for mitigation in mitigations[count:]]
    text = f"left out of the mitigations, for which there was not the time: {'; '.join(left_out)}"
    return tuple(results), [text] if left_out else []


def check_metric(target: Target, metric: Metric) -> float:
    """Call the metric once, so that one that fails is refused before any training; the seconds it took."""
    began = time.monotonic()
    _value(target, metric, UNMITIGATED)
    return time.monotonic() - began


def _share_out(
    mitigations: Sequence[Mitigation], budget: Budget, step: float, besides: float
) -> tuple[int, int]:
    """Steps of each decoder, and how many of the mitigations the time allows."""
    if budget.config.steps is not None:
        return max(1, budget.config.steps // 4), len(mitigations)
    steps = 0
    for count in range(len(mitigations), 0, -1):
        trainings = sum(_trainings(each) for each in mitigations[:count])
        steps = int((0.9 * budget.seconds / trainings - besides) / step)
        if steps >= budget.config.least_steps:
            return steps, count
    return budget.config.least_steps, 0


def _trainings(mitigation: Mitigation) -> int:
    """Decoders that are trained against a mitigation."""
    return 1 if mitigation.pooling else 1 + mitigation.features


@dataclass(frozen=True)
class _Trial:
    """What every mitigation is tried out with; see `try_mitigations`.

    Attributes:
        seconds: for capturing a model that pools otherwise.
    """

    target: Target
    attacker: Attacker
    start: Decoder
    steps: int
    seconds: float
    metric: Metric | None

    def run(self, mitigation: Mitigation) -> MitigationResult:
        leak = features = None
        if mitigation.pooling is None:
            leak = self._attack(self.attacker, DecoderInput(mitigation.name, (mitigation.change,)))
        if mitigation.features:
            name = f"{mitigation.name}, with features"
            given = DecoderInput(name, (mitigation.change,), what=True)
            features = self._attack(self._attacker_of(mitigation), given)
        value = None if self.metric is None else _value(self.target, self.metric, mitigation)
        return MitigationResult(mitigation.name, self._bits(mitigation), leak, features, value)

    def _attack(self, attacker: Attacker, given: DecoderInput) -> Row:
        return attacker.measure(attacker.train(given, self.steps, start=self.start), given)[0]

    def _attacker_of(self, mitigation: Mitigation) -> Attacker:
        """The same attacker; where another pooling makes other features, with those."""
        if mitigation.pooling is None:
            return self.attacker
        swap = MitigatedModel(self.target, mitigation.pooling).swap_observed
        other = replace(self.target, swap=swap, name=mitigation.name)
        return self.attacker.with_samples(*captured_again(self.attacker, other, self.steps, self.seconds))

    def _bits(self, mitigation: Mitigation) -> float:
        """Of all switches of a photograph."""
        levels = self.attacker.seen.by_number.items()
        return sum(level.codes.numel() * mitigation.bits(level.window, number) for number, level in levels)


def _value(target: Target, metric: Metric, mitigation: Mitigation) -> float:
    """What the metric says with a mitigation in place; the mean where it tells of each photograph."""
    return score(target, metric, MitigatedModel(target, mitigation.swap), mitigation.name).value
