"""What so many photographs take: hours, disk and network of every work, from the measured costs of one."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from maxtunnel.benchmark.costs import BATCH, Costs
from maxtunnel.benchmark.ways import SIDE
from maxtunnel.evaluation.measuring import BITS_IMAGES
from maxtunnel.support.tables import Cell, Column, Table

HOUR, DAY = 3600.0, 24
# What a photograph goes through in each work, what is read of it, and what is written.
WORKS = {
    "prepare": (("read", "warp", "store"), "file", "store"),
    "encode, packed": (("read", "switches", "packed"), "file", "packed"),
    "encode, entropy": (("read", "switches", "entropy"), "file", "entropy"),
    "evaluate a store": (("measure",), "store", None),
    "train, one pass": (("step",), "store", None),
}
# These are done to a photograph at its own size.
BY_PIXELS = ("read", "warp", "switches", "packed", "entropy", "file")


@dataclass(frozen=True)
class Work:
    """What one work takes.

    Attributes:
        name: of the work.
        milliseconds: processor time a photograph.
        fixed_seconds: that are counted once, however many processors there are: the start of a process, and
            of `evaluate` the stored bits of some photographs, which one machine measures one after the other;
            a cluster shares them out, and so takes some seconds less.
        hours: on all nodes together, from the start of the first process on.
        nodes_a_day: nodes that do it in a day.
        read, written: bytes in all.
        bytes_a_second: that each node reads and writes meanwhile.
    """

    name: str
    milliseconds: float
    fixed_seconds: float
    hours: float
    nodes_a_day: int
    read: float
    written: float
    bytes_a_second: float


@dataclass(frozen=True)
class Plan:
    """What every work takes, and what it was reckoned from.

    Attributes:
        images, nodes, cores, pixels: photographs, machines, cores of each, pixels of a photograph.
        costs: of one photograph.
        works: what is to be done.
        bytes: of a photograph, by what it is kept as.
    """

    images: float
    nodes: int
    cores: int
    pixels: float
    costs: Costs
    works: tuple[Work, ...]
    bytes: dict[str, float]


def make_plan(
    costs: Costs, images: float, nodes: int = 1, cores: int | None = None, pixels: float | None = None
) -> Plan:
    """Reckon what a number of photographs takes.

    All cores of all nodes work all the time, which a cluster comes near to where parts are many and the
    storage is quick enough: the plan says how quick that is.

    Args:
        costs: of one photograph, from `measure_costs`.
        images: how many there are.
        nodes: machines.
        cores: of each machine; by default as many as the one that was measured has.
        pixels: of a photograph, on average; by default of those that were measured.

    Raises:
        ValueError: a number is not above 0.
    """
    cores = costs.cores if cores is None else cores
    pixels = costs.pixels if pixels is None else pixels
    given = {"images": images, "nodes": nodes, "cores": cores, "pixels": pixels}
    for name, value in given.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"`{name}` is {value}: expected a number above 0")
    factor = pixels / costs.pixels

    def scaled(name: str, value: float) -> float:
        return value * factor if name in BY_PIXELS else value

    times = {stage: scaled(stage, value) for stage, value in costs.milliseconds.items()}
    sizes = {kind: scaled("file", value) if kind != "store" else value for kind, value in costs.bytes.items()}
    works = []
    for name, (stages, read, written) in WORKS.items():
        each = sum(times[stage] for stage in stages)
        core_hours = images * each / 1e3 / HOUR
        coded = min(images, BITS_IMAGES) if "measure" in stages else 0
        fixed = costs.start_seconds + coded * times["bits"] / 1e3
        hours = core_hours / (nodes * cores) + fixed / HOUR
        came, made = images * sizes[read], images * sizes[written] if written else 0.0
        works.append(
            Work(
                name, each, fixed, hours, math.ceil(core_hours / (cores * DAY)), came, made,
                (came + made) / nodes / (hours * HOUR),
            )
        )  # fmt: skip
    return Plan(images, nodes, cores, pixels, costs, tuple(works), sizes)


def tabulate(plan: Plan) -> list[Table]:
    """Two tables: what every work takes, and what the photographs take on disk."""
    head = f"{plan.images:,.0f} photographs, {plan.nodes:,} nodes of {plan.cores} cores"
    works = Table(
        head,
        (
            Column("work", "work", text=True),
            Column("cpu_milliseconds", "CPU ms each", ".2f"),
            Column("hours", "hours", ",.4g"),
            Column("nodes_a_day", "nodes for a day", ","),
            Column("gigabytes_read", "GB read", ",.4g"),
            Column("gigabytes_written", "GB written", ",.4g"),
            Column("megabytes_a_second", "MB/s a node", ",.3g"),
        ),
        tuple(_cells(work) for work in plan.works),
    )
    disk = Table(
        "On disk",
        (
            Column("kept_as", "kept as", text=True),
            Column("bytes", "bytes each", ",.0f"),
            Column("gigabytes", "GB", ",.4g"),
        ),
        tuple((kind, each, each * plan.images / 1e9) for kind, each in plan.bytes.items()),
    )
    return [works, disk]


def describe(plan: Plan) -> Iterator[str]:
    """What the numbers come from, and what a training sends, in sentences."""
    costs = plan.costs
    yield (
        f"Measured on {costs.processor}, {costs.cores} cores, {costs.date}, with {costs.model}: "
        f"{costs.photographs:,} photographs of {costs.data}, of {costs.pixels:,.0f} pixels on average, "
        f"{costs.size}x{costs.size} in a store, torch {costs.versions.get('torch', '?')}."
    )
    once = max(work.fixed_seconds for work in plan.works) - costs.start_seconds
    yield (
        f"Hours hold {costs.start_seconds:.1f} s for the start of a process, those of an evaluation "
        f"{once:.1f} s more, for the stored bits of {min(plan.images, BITS_IMAGES):,.0f} photographs."
    )
    if plan.pixels != costs.pixels:
        yield f"For {plan.pixels:,.0f} pixels a photograph: files, switches and their times in proportion."
    if costs.size != SIDE:
        yield f"Training was timed at {SIDE}x{SIDE}, whatever the size in a store."
    processes = plan.nodes * plan.cores
    if processes > 1:
        # Around a ring everything is sent twice, but for a process's own part.
        sent = 2 * (processes - 1) / processes * 4 * costs.parameters
        yield (
            f"A step of training on {processes:,} processes, {BATCH * processes:,} photographs, sends "
            f"{sent / 1e6:.3g} MB of gradients from each; the time of that is not in the hours."
        )


def _cells(work: Work) -> tuple[Cell, ...]:
    return (
        work.name, work.milliseconds, work.hours, work.nodes_a_day, work.read / 1e9, work.written / 1e9,
        work.bytes_a_second / 1e6,
    )  # fmt: skip
