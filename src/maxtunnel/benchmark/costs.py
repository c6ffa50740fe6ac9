"""What a photograph costs at every stage of the work, measured on one machine and kept in a file."""

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.benchmark.ways import KEPT, build, shape_of
from maxtunnel.codec import dumps, stored_bits
from maxtunnel.data.folders import evenly_spaced, list_images
from maxtunnel.data.images import read_image, to_float
from maxtunnel.data.images import resize as warp
from maxtunnel.data.store import write_shard
from maxtunnel.evaluation.measuring import BATCH as MEASURED
from maxtunnel.evaluation.measuring import at_a_time
from maxtunnel.evaluation.rows import Album, Handful, Meter
from maxtunnel.models import tiling
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Coding
from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.machine import processor, versions
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import from_json, to_json
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.zoo.names import load

SHIPPED = Path(__file__).with_name("costs.json")
BATCH = 16  # photographs of a training step of one process
# Photographs, and steps, of which the times are not looked at; and steps that are timed.
WARM_UP, STEPS = 3, 40
STAGES = ("read", "warp", "store", "switches", "packed", "entropy", "measure", "bits", "step")
# Seconds after which processes no longer wait for one that has failed.
PATIENCE = 600
KEPT_AS = ("file", "store", "packed", "entropy")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Costs:
    """What a photograph costs at every stage, on one core while the others do the same.

    Attributes:
        processor, cores, versions, date: what it was measured on, and when.
        model: the network.
        data: the last two names of the folder of photographs.
        photographs: how many of them were taken, shared among the cores.
        pixels: of a photograph as its file has it, on average.
        size: side in pixels of those in a store.
        parameters: that a training of the decoder changes.
        milliseconds: processor time of `read` (a file decoded), `warp` (to the size of a store), `store`
            (written and hashed), `switches` (of a photograph at its own size), `packed` and `entropy` (its
            switch file), `measure` (by `evaluate`, at the size of a store), `bits` (the stored bits of its
            switches at that size, which only some photographs of an evaluation get), and `step` (of training
            at 128x128, switches kept, in batches of 16).
        bytes: of its `file`, of its pixels in a `store`, of its switch file, `packed` and `entropy`.
        start_seconds: processor time from the start of a process until it has its network.
    """

    processor: str
    cores: int
    versions: Mapping[str, str]
    date: str
    model: str
    data: str
    photographs: int
    pixels: float
    size: int
    parameters: int
    milliseconds: Mapping[str, float]
    bytes: Mapping[str, float]
    start_seconds: float

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(to_json(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Costs":
        """Read what `save` wrote; FormatError where that is not so."""
        try:
            found = from_json(cls, json.loads(Path(path).read_bytes()))
        except (OSError, ValueError) as error:
            raise FormatError(f"{path} holds no measured costs: {one_line(error)}") from None
        missing = ({*STAGES} - {*found.milliseconds}) | ({*KEPT_AS} - {*found.bytes})
        if missing:
            raise FormatError(f"{path} holds no costs of {', '.join(sorted(missing))}: measure them anew")
        return found


def measure_costs(
    data: str | Path,
    model: str = "16-16-16",
    size: int = 128,
    photographs: int = 100,
    on_progress: OnProgress = silent,
) -> Costs:
    """Take photographs through every stage, on all cores at the same time, a process on each.

    Args:
        data: a folder of photographs.
        model: what `maxtunnel.load` takes.
        size: side of the photographs in a store.
        photographs: how many each core takes; files that cannot be read are left out.
        on_progress: told that it begins and ends.

    Raises:
        FormatError: there are too few photographs, or there is no such model.
        ValueError: the model is a variant, whose training is not timed.
    """
    cores, network = os.cpu_count() or 1, load(model)
    shape_of(_named(network))
    files = list_images(data)
    chosen = [files[number] for number in evenly_spaced(len(files), cores * photographs)]
    readable = [file for file in chosen if _is_readable(file)]
    if len(readable) < cores:
        raise FormatError(
            f"{data} has {len(readable)} photographs that can be read: give one for each of {cores} cores"
        )
    context = multiprocessing.get_context("spawn")
    on_progress("measure", 0, len(readable), "")
    shares = [_Share(readable[core::cores], model, size) for core in range(cores)]
    # Processes wait for each other at the barrier, so each takes one share.
    with ProcessPoolExecutor(cores, context, _begin, (context.Barrier(cores, timeout=PATIENCE),)) as pool:
        found = list(pool.map(_measure_share, shares))
    on_progress("measure", len(readable), len(readable), "")
    return Costs(
        processor=processor(),
        cores=cores,
        versions=versions(),
        date=time.strftime("%Y-%m-%d"),
        model=model,
        data="/".join(Path(data).resolve().parts[-2:]),
        photographs=len(readable),
        pixels=_mean([one.pixels for one in found]),
        size=size,
        parameters=sum(p.numel() for p in network.decoder.parameters()),
        milliseconds={stage: _mean([one.milliseconds[stage] for one in found]) for stage in STAGES},
        bytes={kind: _mean([one.bytes[kind] for one in found]) for kind in KEPT_AS},
        start_seconds=_mean([one.start for one in found]),
    )


@dataclass(frozen=True)
class _Share:
    """What one process takes."""

    files: list[Path]
    model: str
    size: int


@dataclass(frozen=True)
class _Found:
    """What one process found, a photograph; and the processor time until it had its network."""

    milliseconds: dict[str, float]
    bytes: dict[str, float]
    pixels: float
    start: float


_barrier: Barrier


def _begin(barrier: Barrier) -> None:
    """In a process of the pool: what all of them wait at."""
    global _barrier
    _barrier = barrier
    torch.set_num_threads(1)


def _measure_share(share: _Share) -> _Found:
    """In a process of the pool."""
    network = load(share.model)
    tiling.encode(network, torch.zeros(3, 64, 64, dtype=torch.uint8))
    start = time.process_time()
    _barrier.wait()
    _take(network, share.files[:WARM_UP], share.size)
    found = _take(network, share.files, share.size)
    return replace(found, milliseconds={**found.milliseconds, "step": _step(network)}, start=start)


def _take(network: TunnelNetwork, files: Sequence[Path], size: int) -> _Found:
    """Photographs through every stage but training, one after the other."""
    times, sizes, pixels = dict.fromkeys(STAGES, 0.0), dict.fromkeys(KEPT_AS, 0.0), 0.0
    square = np.empty((len(files), 3, size, size), np.uint8)

    def timed(stage: str, work: Callable[[], Result]) -> Result:
        began = time.process_time()
        made = work()
        times[stage] += 1e3 * (time.process_time() - began) / len(files)
        return made

    for number, file in enumerate(files):
        photograph = timed("read", partial(read_image, file))
        square[number] = timed("warp", partial(warp, photograph, (size, size))).numpy()
        code = timed("switches", partial(tiling.encode, network, photograph))
        for coding in get_args(Coding):
            sizes[coding] += len(timed(coding, partial(dumps, code, network, coding))) / len(files)
        sizes["file"] += file.stat().st_size / len(files)
        pixels += photograph[0].numel() / len(files)
    meter = Meter((network,), size, "bilinear", at_a_time(MEASURED, size * size))
    for some in torch.from_numpy(square).split(meter.batch):
        timed("measure", partial(meter, Handful(0, Album(some), ())))
        timed("bits", partial(stored_bits, _encode(network, some), network))
    sizes["store"] = timed("store", partial(_store, square, files)) / len(files)
    return _Found(times, sizes, pixels, 0.0)


@torch.no_grad()
def _encode(network: TunnelNetwork, pixels: UInt8[Tensor, "n 3 s s"]) -> SwitchCode:
    return network.encode(to_float(pixels))


def _store(pixels: UInt8[np.ndarray, "n 3 s s"], files: Sequence[Path]) -> int:
    """The bytes of a shard with these photographs, which is written and hashed."""
    with tempfile.TemporaryDirectory() as folder:
        labels = np.zeros(len(pixels), np.int64)
        return write_shard(Path(folder, "shard.arrow"), pixels, labels, [file.name for file in files]).bytes


def _step(network: TunnelNetwork) -> float:
    """Milliseconds a photograph of a step of training, at 128x128."""
    step = build(_named(network), "train", BATCH, KEPT)
    for _ in range(WARM_UP):
        step()
    began = time.process_time()
    for _ in range(STEPS):
        step()
    return 1e3 * (time.process_time() - began) / (STEPS * BATCH)


def _named(network: TunnelNetwork) -> str:
    """The network in the words of `shape_of`."""
    width = network.strong_width
    return str(network.architecture) + ("" if width is None else f"-strong-{width}")


def _is_readable(file: Path) -> bool:
    try:
        read_image(file)
    except FormatError:
        return False
    return True


def _mean(values: Sequence[float]) -> float:
    return float(f"{sum(values) / len(values):.4g}")
