"""A benchmark as Markdown, for docs/benchmarks.md, and as one table."""

from dataclasses import replace

from maxtunnel.benchmark.run import Benchmark, Timing
from maxtunnel.support.tables import Cell, Column, Table


def markdown(benchmark: Benchmark) -> str:
    """The machine, its ceilings and a table an operation."""
    machine, ceilings = benchmark.machine, benchmark.ceilings
    lines = [
        f"{machine.device}, {machine.threads} threads, {machine.system}, "
        f"Python {machine.python}, PyTorch {machine.torch}, {machine.date}.",
        f"Ceilings: {ceilings.float32 / 1e9:.0f} GFLOP/s in float32 and {ceilings.bfloat16 / 1e9:.0f} in "
        f"bfloat16 (large matrix products), {ceilings.copy / 1e9:.0f} GB/s (large copy, read and written).",
    ]
    if machine.kernels_compile_seconds is not None:
        lines.append(f"Compiling the kernels, once a machine: {machine.kernels_compile_seconds} s.")
    for operation in dict.fromkeys(timing.operation for timing in benchmark.timings):
        lines += ["", f"### {operation}", "", *_HEAD]
        lines += [_row(timing) for timing in benchmark.timings if timing.operation == operation]
    if benchmark.large:
        lines += ["", "### whole photographs", "", *_LARGE_HEAD]
        lines += [
            f"| {large.model} | {large.megapixels:g} | {large.seconds:.1f} s "
            f"| {large.seconds / large.megapixels:.3f} s "
            f"| {_megabytes(large.image)} | {_megabytes(large.peak)} |"
            for large in benchmark.large
        ]
    return "\n".join(lines) + "\n"


def tabulate(benchmark: Benchmark) -> Table:
    """One row a way of doing an operation."""
    machine = benchmark.machine
    return Table(
        f"Milliseconds a call on {machine.device}, {machine.threads} threads, PyTorch {machine.torch}",
        (Column("network", "network", text=True), Column("operation", "operation", text=True), *_COLUMNS),
        tuple((timing.model, timing.operation, *_cells(timing)) for timing in benchmark.timings),
    )


def tabulate_operation(benchmark: Benchmark, operation: str) -> Table:
    """One row a network and way of doing one operation."""
    table = tabulate(benchmark)
    rows = tuple((row[0], *row[2:]) for row in table.rows if row[1] == operation)
    return replace(table, title=operation, columns=(table.columns[0], *table.columns[2:]), rows=rows)


_COLUMNS = (
    Column("way", "way", text=True),
    Column("milliseconds", "ms", ".1f"),
    Column("milliseconds_10_90", "10–90 %", ".1f", interval=True),
    Column("times_stock", "x stock", ".2f"),
    Column("times_floor", "x floor", ".1f"),
    Column("peak_megabytes", "peak MB", ".0f"),
)


def _cells(timing: Timing) -> tuple[Cell, ...]:
    median, low, high = (1e3 * seconds for seconds in timing.seconds)
    floor = None if timing.floor is None else timing.seconds[0] / timing.floor.seconds
    peak = None if timing.peak is None else timing.peak / 1e6
    return timing.way, median, (low, high), timing.ratio, floor, peak


_HEAD = (
    "| network | way | median (10 to 90 %) | stock / this | GFLOP | MB moved | floor | above floor | peak "
    "| first call |",
    "|---|---|---|---|---|---|---|---|---|---|",
)
_LARGE_HEAD = (
    "| network | megapixels | time | a megapixel | photograph | peak beyond it |",
    "|---|---|---|---|---|---|",
)


def _row(timing: Timing) -> str:
    median, low, high = (f"{1e3 * seconds:.1f}" for seconds in timing.seconds)
    least, counts = timing.floor, "| | | | "
    if least is not None:
        counts = (
            f"| {least.operations / 1e9:.2f} | {least.bytes / 1e6:.0f} | {1e3 * least.seconds:.1f} ms "
            f"| {timing.seconds[0] / least.seconds:.1f}x "
        )
    return (
        f"| {timing.model} | {timing.way} | {median} ({low} to {high}) ms | {timing.ratio:.2f}x "
        f"{counts}| {_megabytes(timing.peak)} | {1e3 * timing.first:.0f} ms |"
    )


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f} MB"
