"""One benchmark: every way of every operation timed, with what the machine can do at most."""

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from maxtunnel.benchmark.floors import Ceilings, Floor, floor, measure_ceilings, pooling_floor, strong_floor
from maxtunnel.benchmark.large import Large, time_large
from maxtunnel.benchmark.turns import Crew, Failed, Measured, in_own_process
from maxtunnel.benchmark.ways import (
    EVERY_STEP,
    FORMS,
    KEPT,
    MADE_IMAGES,
    MAKING,
    POOL_CHANNELS,
    POOLING,
    SIDE,
    STOCK,
    WAYS,
    build,
    shape_of,
    ways_of,
)
from maxtunnel.models.architecture import Architecture
from maxtunnel.native.build import SOURCES
from maxtunnel.native.build import build as build_native
from maxtunnel.support.files import replacing
from maxtunnel.support.machine import processor
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.recipes import FAST

MODELS = ("8-8-8", "16-16-16", "24-48-96", "64-64-64")
BATCHES = (16,)
KEPT_IMAGES = 9469  # whose switches a FAST run keeps: imagenette's training photographs
# Planes of the outermost block that a way holds at the same time, about, in float32.
_PLANES = 10


class Spread(NamedTuple):
    """Seconds of a call over all figures: median, tenth and ninetieth percentile."""

    median: float
    tenth: float
    ninetieth: float


@dataclass(frozen=True)
class Timing:
    """One way of doing one operation.

    Attributes:
        model: architecture, or the planes of pooling alone.
        operation: what was done to a batch of images of 128x128.
        batch: images.
        way: how.
        seconds: of a call.
        first: seconds of the very first call.
        ratio: how many times as fast as stock; None where that failed.
        best: how many times as fast as the fastest form of stock; None where all failed.
        floor: what it takes at least; None for other ways than ours.
        peak: bytes beyond what the process held before; None where not known.
    """

    model: str
    operation: str
    batch: int
    way: str
    seconds: Spread
    first: float
    ratio: float | None
    best: float | None
    floor: Floor | None
    peak: int | None


@dataclass(frozen=True)
class Failure:
    """One way that could not be timed.

    Attributes:
        model, operation, batch, way: as of a `Timing`.
        error: why, in one line.
    """

    model: str
    operation: str
    batch: int
    way: str
    error: str


@dataclass(frozen=True)
class Machine:
    """What the timings of a run depend on.

    Attributes:
        device: name of the GPU, or of the processor.
        threads: that PyTorch computes with.
        system, python, torch: versions.
        date: year-month-day.
        kernels_compile_seconds: what the first use on a machine costs once; None without a compiler, and on
            a GPU, which does not use them.
        repeats: rounds.
        minutes: that the run took.
    """

    device: str
    threads: int
    system: str
    python: str
    torch: str
    date: str
    kernels_compile_seconds: float | None
    repeats: int
    minutes: float


@dataclass(frozen=True)
class Benchmark:
    """All timings of a run with what they depend on.

    Attributes:
        machine, ceilings: what it ran on.
        timings: those that were taken.
        large: whole photographs.
        failures: ways that could not be timed.
        finished: whether these are all that were asked for.
    """

    machine: Machine
    ceilings: Ceilings
    timings: tuple[Timing, ...]
    large: tuple[Large, ...] = ()
    failures: tuple[Failure, ...] = ()
    finished: bool = True

    def save(self, path: str | Path) -> None:
        """Write everything as JSON."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")


def run_benchmark(
    models: Sequence[str] = MODELS,
    repeats: int = 7,
    large: Sequence[str] = (),
    batches: Sequence[int] = BATCHES,
    json_file: str | Path | None = None,
    on_progress: OnProgress = silent,
    on_part: Callable[[Benchmark], None] = lambda so_far: None,
) -> Benchmark:
    """Time every operation of `models` on the GPU if there is one, else on the CPU.

    Args:
        models: architectures, or with a strong decoder as `8-8-8-strong-112`; their weights are random, which
            changes no time.
        repeats: rounds, in each of which every way has its turn.
        large: architectures to rebuild photographs of 1, 12 and 48 megapixels with.
        batches: images that an operation is done to, each in a part of its own.
        json_file: where to write the result too, after every part anew.
        on_progress: told how far the run is, in parts: an operation on a batch with a model.
        on_part: given what is known after every part.

    Raises:
        ValueError: a model is no architecture, or a batch no number of images.
    """
    for model in models:
        shape_of(model)
    for model in large:
        Architecture.parse(model)
    if not batches or min(batches) < 1:
        raise ValueError(f"`batches` are {list(batches)}: give numbers of images from 1 on")
    began, machine = time.monotonic(), _machine(repeats)
    parts = list(_parts(models, batches))
    with Crew(build) as crew:
        crew.start(
            list(dict.fromkeys(way for model, operation, _ in parts for way in ways_of(model, operation)))
        )
        result = Benchmark(machine, in_own_process(measure_ceilings), (), finished=False)
        for done, (model, operation, batch) in enumerate(parts):
            on_progress("bench", done, len(parts), f"{operation} {model}, batch of {batch}")
            measured = _measure(crew, model, operation, batch, repeats)
            result = _with_part(result, model, operation, batch, measured, time.monotonic() - began)
            _tell(result, json_file, on_part)
    on_progress("bench", len(parts), len(parts), "")
    photographs = tuple(time_large(large))
    minutes = round((time.monotonic() - began) / 60, 1)
    result = replace(result, machine=replace(machine, minutes=minutes), large=photographs, finished=True)
    _tell(result, json_file, on_part)
    return result


def _tell(result: Benchmark, json_file: str | Path | None, on_part: Callable[[Benchmark], None]) -> None:
    if json_file is not None:
        result.save(json_file)
    on_part(result)


def _parts(models: Sequence[str], batches: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    """Model, operation and batch of every part; what matters most comes first, if a run is cut short."""
    for operation in WAYS:
        for batch in batches:
            if operation == POOLING:
                yield f"{batch}x{POOL_CHANNELS}x{SIDE}x{SIDE}", operation, batch
            else:
                yield from ((model, operation, batch) for model in models if ways_of(model, operation))


def _measure(
    crew: Crew, model: str, operation: str, batch: int, repeats: int
) -> dict[str, Measured | Failed]:
    """What every way took, or why it could not be timed."""
    ways, found = ways_of(model, operation), dict[str, Measured | Failed]()
    together = _together(model, operation, batch)
    for start in range(0, len(ways), together):
        group = ways[start : start + together]
        todo = [(model, operation, batch, way) for way in group]
        found |= zip(group, crew.take_turns(todo, repeats), strict=True)
    return found


def _together(model: str, operation: str, batch: int) -> int:
    """How many ways may take turns: their tensors lie in the GPU's memory together."""
    if not torch.cuda.is_available():
        return len(ways_of(model, operation))
    channels = POOL_CHANNELS if operation == POOLING else shape_of(model)[0].widths[0]
    need = _PLANES * batch * channels * SIDE**2 * 4
    return max(1, int(0.7 * torch.cuda.mem_get_info()[1] / need))


def _with_part(
    result: Benchmark,
    model: str,
    operation: str,
    batch: int,
    found: dict[str, Measured | Failed],
    seconds: float,
) -> Benchmark:
    """The result with one more part."""
    measured = {way: each for way, each in found.items() if isinstance(each, Measured)}
    failures = tuple(
        Failure(model, operation, batch, way, each.error)
        for way, each in found.items()
        if isinstance(each, Failed)
    )
    return replace(
        result,
        machine=replace(result.machine, minutes=round(seconds / 60, 1)),
        timings=(*result.timings, *_timings(model, operation, batch, measured, result.ceilings)),
        failures=(*result.failures, *failures),
    )


def _timings(
    model: str, operation: str, batch: int, measured: dict[str, Measured], ceilings: Ceilings
) -> list[Timing]:
    if MAKING in ways_of(model, operation):
        making, kept = measured.pop(MAKING, None), measured.pop(KEPT, None)
        if making is not None and kept is not None:
            # Their making counts where they are kept, spread over the steps of a FAST run.
            share = statistics.median(making.seconds) * KEPT_IMAGES / MADE_IMAGES / FAST.steps
            seconds = tuple(second + share for second in kept.seconds)
            measured[KEPT] = Measured(seconds, kept.first, kept.peak)
    medians = {way: statistics.median(m.seconds) for way, m in measured.items()}
    stock = medians.get(STOCK)
    best = min((medians[way] for way in measured if way in FORMS), default=None)
    return [
        Timing(
            model,
            operation,
            batch,
            way,
            _spread(measured[way].seconds),
            measured[way].first,
            None if stock is None else stock / medians[way],
            None if best is None else best / medians[way],
            _floor(model, operation, batch, way, ceilings) if way not in FORMS else None,
            measured[way].peak,
        )
        for way in ways_of(model, operation)
        if way in measured
    ]


def _floor(model: str, operation: str, batch: int, way: str, ceilings: Ceilings) -> Floor:
    if operation == POOLING:
        return pooling_floor(batch * POOL_CHANNELS, SIDE, 4, ceilings)
    # FAST trains its decoder in bfloat16 where the machine is fast at it; everything else is float32.
    size = 2 if way in (KEPT, EVERY_STEP) and FAST.resolved().precision == "bf16" else 4
    architecture, width = shape_of(model)
    if width is not None:
        return strong_floor(architecture, width, operation, batch, SIDE, ceilings, size)
    return floor(architecture, operation, batch, SIDE, ceilings, way != KEPT, size)


def _spread(seconds: Sequence[float]) -> Spread:
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return Spread(statistics.median(seconds), tenths[0], tenths[-1])


def _machine(repeats: int) -> Machine:
    cuda = torch.cuda.is_available()
    return Machine(
        device=torch.cuda.get_device_name() if cuda else processor(),
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        date=time.strftime("%Y-%m-%d"),
        kernels_compile_seconds=None if cuda else _compile_seconds(),
        repeats=repeats,
        minutes=0.0,
    )


def _compile_seconds() -> float | None:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if not all(build_native(name, Path(folder)) for name in SOURCES):
            return None
    return round(time.perf_counter() - began, 1)
