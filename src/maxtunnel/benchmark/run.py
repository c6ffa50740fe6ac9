"""One benchmark: every way of every operation timed, with what the machine can do at most."""

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from maxtunnel.benchmark.floors import Ceilings, Floor, floor, measure_ceilings, pooling_floor
from maxtunnel.benchmark.large import Large, time_large
from maxtunnel.benchmark.turns import Measured, in_own_process, take_turns
from maxtunnel.benchmark.ways import (
    BATCH,
    EVERY_STEP,
    KEPT,
    MAKING,
    POOL_CHANNELS,
    POOLING,
    SIDE,
    WAYS,
    build,
)
from maxtunnel.models.architecture import Architecture
from maxtunnel.native.build import SOURCES
from maxtunnel.native.build import build as build_native
from maxtunnel.support.files import replacing
from maxtunnel.support.machine import processor
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.recipes import FAST

MODELS = ("8-8-8", "16-16-16", "24-48-96", "64-64-64")
KEPT_IMAGES = 9469  # whose switches a FAST run keeps: imagenette's training photographs
MADE_IMAGES = 64  # of one call of MAKING


@dataclass(frozen=True)
class Timing:
    """One way of doing one operation.

    Attributes:
        model: architecture, or the planes of pooling alone.
        operation: what was done to a batch of 16 images of 128x128.
        way: how.
        seconds: median, tenth and ninetieth percentile of a call.
        first: seconds of the very first call.
        ratio: how many times as fast as stock.
        floor: what it takes at least; None for other ways than ours.
        peak: bytes beyond what the process held before; None where not known.
    """

    model: str
    operation: str
    way: str
    seconds: tuple[float, float, float]
    first: float
    ratio: float
    floor: Floor | None
    peak: int | None


@dataclass(frozen=True)
class Machine:
    """What the timings of a run depend on.

    Attributes:
        device: name of the GPU, or of the processor.
        threads: that PyTorch computes with.
        system, python, torch: versions.
        date: year-month-day.
        kernels_compile_seconds: what the first use on a machine costs once; None without a compiler.
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
    """All timings of a run with what they depend on."""

    machine: Machine
    ceilings: Ceilings
    timings: tuple[Timing, ...]
    large: tuple[Large, ...] = ()

    def save(self, path: str | Path) -> None:
        """Write everything as JSON."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")


def run_benchmark(
    models: Sequence[str] = MODELS,
    repeats: int = 7,
    large: Sequence[str] = (),
    json_file: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> Benchmark:
    """Time every operation of `models` on the GPU if there is one, else on the CPU.

    Args:
        models: architectures; their weights are random, which changes no time.
        repeats: rounds, in each of which every way has its turn.
        large: architectures to rebuild photographs of 1, 12 and 48 megapixels with.
        json_file: where to write the result too.
        on_progress: told how far the run is, in operations.

    Raises:
        ValueError: a model is no architecture.
    """
    for model in (*models, *large):
        Architecture.parse(model)
    began, ceilings = time.monotonic(), in_own_process(measure_ceilings)
    todo = [(model, operation) for model in models for operation in WAYS if operation != POOLING]
    todo.append((f"{BATCH}x{POOL_CHANNELS}x{SIDE}x{SIDE}", POOLING))
    timings: list[Timing] = []
    for done, (model, operation) in enumerate(todo):
        on_progress("bench", done, len(todo), f"{operation} {model}")
        ways = WAYS[operation] + ((MAKING,) if operation == "train" else ())
        measured = dict(
            zip(ways, take_turns([(model, operation, way) for way in ways], build, repeats), strict=True)
        )
        timings += _timings(model, operation, measured, ceilings)
    on_progress("bench", len(todo), len(todo), "")
    photographs = tuple(time_large(large))
    machine = _machine(repeats, time.monotonic() - began)
    result = Benchmark(machine, ceilings, tuple(timings), photographs)
    if json_file is not None:
        result.save(json_file)
    return result


def _timings(model: str, operation: str, measured: dict[str, Measured], ceilings: Ceilings) -> list[Timing]:
    making = measured.pop(MAKING, None)
    if making is not None:
        # Their making counts where they are kept, spread over the steps of a FAST run.
        share = statistics.median(making.seconds) * KEPT_IMAGES / MADE_IMAGES / FAST.steps
        kept = measured[KEPT]
        measured[KEPT] = Measured(tuple(s + share for s in kept.seconds), kept.first, kept.peak)
    stock = statistics.median(next(iter(measured.values())).seconds)
    return [
        Timing(
            model,
            operation,
            way,
            _spread(m.seconds),
            m.first,
            stock / statistics.median(m.seconds),
            _floor(model, operation, way, ceilings) if way.startswith("ours") else None,
            m.peak,
        )
        for way, m in measured.items()
    ]


def _floor(model: str, operation: str, way: str, ceilings: Ceilings) -> Floor:
    if operation == POOLING:
        return pooling_floor(BATCH * POOL_CHANNELS, SIDE, 4, ceilings)
    # FAST trains its decoder in bfloat16 where the machine is fast at it; everything else is float32.
    size = 2 if way in (KEPT, EVERY_STEP) and FAST.resolved().precision == "bf16" else 4
    return floor(Architecture.parse(model), operation, BATCH, SIDE, ceilings, way != KEPT, size)


def _spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    tenths = statistics.quantiles(seconds, n=10, method="inclusive")
    return statistics.median(seconds), tenths[0], tenths[-1]


def _machine(repeats: int, seconds: float) -> Machine:
    return Machine(
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else processor(),
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        date=time.strftime("%Y-%m-%d"),
        kernels_compile_seconds=_compile_seconds(),
        repeats=repeats,
        minutes=round(seconds / 60, 1),
    )


def _compile_seconds() -> float | None:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if not all(build_native(name, Path(folder)) for name in SOURCES):
            return None
    return round(time.perf_counter() - began, 1)
