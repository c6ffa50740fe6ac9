"""What helps against the leak: each counter-measure, with a decoder retrained against it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from maxtunnel.auditing.attacker import Attacker, Fed
from maxtunnel.auditing.outcome import Measured, Mitigated
from maxtunnel.auditing.samples import sample
from maxtunnel.auditing.targets import Target, evaluating
from maxtunnel.models.mirrored import MirroredDecoder
from maxtunnel.support.progress import OnProgress
from maxtunnel.switches import kernels
from maxtunnel.switches.capture import PooledLevel, Swap, Watch
from maxtunnel.switches.changes import (
    Change,
    fixed,
    fixed_codes,
    flipped,
    halved,
    known,
    only,
    rows_only,
    uniform,
)
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.window import Window
from maxtunnel.training.recipes import FAST

# Takes a module to call like the model; a larger number is a better model or not, as the person likes.
Metric = Callable[[nn.Module], Any]
FLIPS = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Measure:
    """A counter-measure.

    Attributes:
        name: in words.
        change: what becomes of the switches.
        bits: of one switch in a window that still say something, at most.
        pooling: what pools instead of max pooling; then there are no switches.
        features: measure an observer of switches and features too.
    """

    name: str
    change: Change
    bits: Callable[[Window, int], float]
    pooling: Swap | None = None
    features: bool = False


def measures(code: SwitchCode, coarsest_first: list[int]) -> list[Measure]:
    """Those that make sense for these levels, numbered in call order."""
    windows = [level.window for level in code.levels]
    every = frozenset(coarsest_first)
    found = [Measure("nothing done", known, _bits_of(every), features=True)]
    for count in range(1, len(windows)):
        kept = frozenset(coarsest_first[:count])
        found.append(Measure(f"deepest {count} of {len(windows)} levels only", only(kept), _bits_of(kept)))
    if any(window.kernel[0] > 1 for window in windows):
        found.append(Measure("rows only", rows_only, _bits_of_rows))
    if any(max(window.kernel) > 2 for window in windows):
        found.append(Measure("grid half as fine", halved, _bits_halved))
    found += [Measure(f"flipped with probability {p:g}", flipped(p), _bits_flipped(p)) for p in FLIPS]
    return [
        *found,
        Measure("random positions", uniform, _nothing),
        Measure("fixed positions", fixed, _nothing, features=True),
        Measure("average pooling", fixed, _nothing, average, features=True),
        Measure("strided convolution", fixed, _nothing, strided, features=True),
    ]


def mitigate(
    target: Target,
    attacker: Attacker,
    known_decoder: MirroredDecoder,
    minutes: float,
    steps: int | None,
    metric: Metric | None,
    on_progress: OnProgress,
) -> tuple[Mitigated, ...]:
    """Every counter-measure with decoders of equally many steps, in so many minutes.

    Args:
        known_decoder: that all decoders start from, as an attacker's would.
        minutes: for all of them; 0 does nothing.
        steps: of each decoder, in the place of a time.
        metric: measured with each in place.
    """
    if not minutes:
        return ()
    code = attacker.seen.template
    todo = measures(code, [stage.number for stage in attacker.seen.levels])
    seconds = math.inf
    if steps is None:
        # Another pooling is captured too, which may take as long as a training.
        trainings = sum(2 if m.pooling else 1 + m.features for m in todo)
        first = attacker.trained[0]
        seconds = 0.75 * minutes * 60 / trainings
        steps = max(20, int(seconds / (first.seconds / first.steps)))
    work = _Work(target, attacker, known_decoder, steps, seconds, metric, on_progress)
    return tuple(work.try_out(measure) for measure in todo)


def try_metric(target: Target, metric: Metric) -> None:
    """Call the metric once before any decoder is trained: one that fails would lose the whole audit."""
    _score(target, metric, _as_swap(known), "nothing done")


def flipped_bits(cells: int, probability: float) -> float:
    """Bits that a switch keeps when it is drawn anew with this probability; all cells were equally likely."""
    other = probability / cells
    same = 1 - probability + other
    return math.log2(cells) + same * math.log2(same) + (cells - 1) * other * math.log2(other)


def average(number: int, x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
    """The mean of each window's cells inside the plane."""
    window, codes = level.switches.window, level.switches.codes
    total, count = torch.zeros_like(level.values), torch.zeros_like(level.values)
    for code in range(window.cells):
        cell = torch.full_like(codes, code)
        total += kernels.take(x, cell, window)
        count += kernels.take(torch.ones_like(x), cell, window)
    return total / count, fixed_codes(level.switches)


def strided(number: int, x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
    """The first cell of each window: the convolution before it, done with the pooling's stride.

    Source: Springenberg et al., Striving for Simplicity, Strided-CNN.
    """
    codes = fixed_codes(level.switches)
    return kernels.take(x, codes, level.switches.window), codes


class Altered(nn.Module):
    """The model with a counter-measure in place, to be called like the model."""

    def __init__(self, target: Target, swap: Swap) -> None:
        super().__init__()
        self.model, self._levels, self._swap = target.model, target.levels, swap

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model returns."""
        with Watch(self.model, self.swap_observed):
            return self.model(*args, **kwargs)

    def swap_observed(self, number: int, x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
        if self._levels is not None and number not in self._levels:
            return level.values, level.switches.codes
        return self._swap(number if self._levels is None else self._levels.index(number) + 1, x, level)


@dataclass(frozen=True)
class _Work:
    """What all counter-measures are tried out with.

    Attributes:
        start: see `mitigate`.
        seconds: for capturing a model that pools otherwise.
    """

    target: Target
    attacker: Attacker
    start: MirroredDecoder
    steps: int
    seconds: float
    metric: Metric | None
    on_progress: OnProgress

    def try_out(self, measure: Measure) -> Mitigated:
        leak = features = None
        if measure.pooling is None:
            leak = self._attack(self.attacker, Fed(measure.name, (measure.change,)))
        if measure.features:
            fed = Fed(f"{measure.name}, with features", (measure.change,), what=True)
            features = self._attack(self._attacker_of(measure), fed)
        levels = self.attacker.seen.template.levels
        bits = sum(
            level.codes[0].numel() * measure.bits(level.window, n) for n, level in enumerate(levels, 1)
        )
        return Mitigated(measure.name, bits, leak, features, self._task(measure))

    def _attack(self, attacker: Attacker, fed: Fed) -> Measured:
        return attacker.measure(attacker.train(fed, self.steps, start=self.start), fed)[0]

    def _attacker_of(self, measure: Measure) -> Attacker:
        """The same attacker; of other features where another pooling made them."""
        if measure.pooling is None:
            return self.attacker
        other = replace(self.target, swap=Altered(self.target, measure.pooling).swap_observed)
        pixels = self.attacker.seen.pixels[: self.steps * FAST.batch]
        seen = sample(other, pixels, self.seconds, 256, None, self.on_progress, measure.name)
        held = sample(other, self.attacker.held.pixels[: self.attacker.rows], rms=seen.rms)
        return self.attacker.on(seen, held)

    def _task(self, measure: Measure) -> float | None:
        if self.metric is None:
            return None
        return _score(self.target, self.metric, measure.pooling or _as_swap(measure.change), measure.name)


def _score(target: Target, metric: Metric, swap: Swap, name: str) -> float:
    try:
        with evaluating(target.model), torch.no_grad():
            return float(metric(Altered(target, swap)))
    # A person's function may fail in any way.
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:300]
        raise ValueError(f"--metric fails with {name} in place ({type(error).__name__}: {text})") from error


def _as_swap(change: Change) -> Swap:
    """The indices changed, the values left as they are."""
    generator = torch.Generator().manual_seed(0)

    def swap(number: int, x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
        return level.values, change(level.switches, number, generator)

    return swap


def _nothing(window: Window, number: int) -> float:
    return 0.0


def _bits_flipped(probability: float) -> Callable[[Window, int], float]:
    return lambda window, number: flipped_bits(window.cells, probability)


def _bits_of(kept: frozenset[int]) -> Callable[[Window, int], float]:
    return lambda window, number: math.log2(window.cells) if number in kept else 0.0


def _bits_of_rows(window: Window, number: int) -> float:
    return math.log2(window.kernel[0])


def _bits_halved(window: Window, number: int) -> float:
    return math.log2(-(-window.kernel[0] // 2) * -(-window.kernel[1] // 2))
