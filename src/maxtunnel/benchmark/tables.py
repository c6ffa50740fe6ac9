"""A benchmark as Markdown, for docs/benchmarks.md, and as one table."""

from dataclasses import replace

from maxtunnel.benchmark.floors import Ceilings
from maxtunnel.benchmark.run import Benchmark, Timing
from maxtunnel.support.tables import Cell, Column, Table

_UNFINISHED = "The run was cut short: what is missing was not reached."


def markdown(benchmark: Benchmark) -> str:
    """The machine, its ceilings, a table an operation and batch, and what could not be timed."""
    machine = benchmark.machine
    lines = [
        f"{machine.device}, {machine.threads} threads, {machine.system}, "
        f"Python {machine.python}, PyTorch {machine.torch}, {machine.date}.",
        describe_ceilings(benchmark.ceilings),
    ]
    if machine.kernels_compile_seconds is not None:
        lines.append(f"Compiling the kernels, once a machine: {machine.kernels_compile_seconds} s.")
    lines += [] if benchmark.finished else [_UNFINISHED]
    for part in dict.fromkeys((timing.operation, timing.batch) for timing in benchmark.timings):
        lines += ["", f"### {_title(*part)}", "", *_HEAD]
        lines += [_row(timing) for timing in benchmark.timings if (timing.operation, timing.batch) == part]
    if benchmark.large:
        lines += ["", "### whole photographs", "", *_LARGE_HEAD]
        lines += [
            f"| {large.model} | {large.megapixels:g} | {large.seconds:.1f} s "
            f"| {large.seconds / large.megapixels:.3f} s "
            f"| {_megabytes(large.image)} | {_megabytes(large.peak)} |"
            for large in benchmark.large
        ]
    if benchmark.failures:
        lines += ["", "Could not be timed:", ""]
        lines += [
            f"- {_title(failure.operation, failure.batch)}, {failure.model}, {failure.way}: {failure.error}"
            for failure in benchmark.failures
        ]
    return "\n".join(lines) + "\n"


def tabulate(benchmark: Benchmark) -> Table:
    """One row a way of doing an operation."""
    machine = benchmark.machine
    heads = (
        Column("network", "network", text=True),
        Column("operation", "operation", text=True),
        Column("batch", "batch"),
    )
    return Table(
        f"Milliseconds a call on {machine.device}, {machine.threads} threads, PyTorch {machine.torch}",
        (*heads, *_columns(benchmark)),
        tuple(
            (timing.model, timing.operation, timing.batch, *_cells(timing)) for timing in benchmark.timings
        ),
    )


def tabulate_part(benchmark: Benchmark, operation: str, batch: int) -> Table:
    """One row a network and way of doing one operation to one batch: its times, for a terminal."""
    table = tabulate(benchmark)
    rows = tuple((row[0], *row[3:-1]) for row in table.rows if row[1:3] == (operation, batch))
    columns = (table.columns[0], *table.columns[3:-1])
    return replace(table, title=_title(operation, batch), columns=columns, rows=rows)


def describe_ceilings(ceilings: Ceilings) -> str:
    """What the machine can do at most, in a sentence."""
    tf32 = "" if ceilings.tf32 is None else f", {ceilings.tf32 / 1e9:.0f} in TF32"
    return (
        f"Ceilings: {ceilings.float32 / 1e9:.0f} GFLOP/s in float32{tf32} and "
        f"{ceilings.bfloat16 / 1e9:.0f} in bfloat16 (large matrix products), {ceilings.copy / 1e9:.0f} GB/s "
        "(large copy, read and written)."
    )


def _title(operation: str, batch: int) -> str:
    return f"{operation}, batch of {batch}"


def _columns(benchmark: Benchmark) -> tuple[Column, ...]:
    # What takes a GPU tenths of a millisecond takes a CPU tens of them.
    fastest = min((timing.seconds.median for timing in benchmark.timings), default=1.0)
    form = ".1f" if fastest > 1e-3 else ".3f"
    return (
        Column("way", "way", text=True),
        Column("milliseconds", "ms", form),
        Column("milliseconds_10_90", "10–90 %", form, interval=True),
        Column("times_stock", "x stock", ".2f"),
        Column("times_best_stock", "x best", ".2f"),
        Column("times_floor", "x floor", ".1f"),
        Column("peak_megabytes", "peak MB", ".0f"),
    )


def _cells(timing: Timing) -> tuple[Cell, ...]:
    median, low, high = (1e3 * seconds for seconds in timing.seconds)
    floor = None if timing.floor is None else timing.seconds.median / timing.floor.seconds
    peak = None if timing.peak is None else timing.peak / 1e6
    return timing.way, median, (low, high), timing.ratio, timing.best, floor, peak


_HEAD = (
    "| network | way | median (10 to 90 %) | stock / this | best stock / this | GFLOP | MB moved | floor "
    "| above floor | peak | first call |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)
_LARGE_HEAD = (
    "| network | megapixels | time | a megapixel | photograph | peak beyond it |",
    "|---|---|---|---|---|---|",
)


def _row(timing: Timing) -> str:
    median, low, high = map(_milliseconds, timing.seconds)
    least, counts = timing.floor, "| | | | "
    if least is not None:
        counts = (
            f"| {least.operations / 1e9:.2f} | {least.bytes / 1e6:.0f} | {_milliseconds(least.seconds)} ms "
            f"| {timing.seconds.median / least.seconds:.1f}x "
        )
    return (
        f"| {timing.model} | {timing.way} | {median} ({low} to {high}) ms | {_times(timing.ratio)} "
        f"| {_times(timing.best)} {counts}| {_megabytes(timing.peak)} | {1e3 * timing.first:.0f} ms |"
    )


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}" if seconds >= 1e-2 else f"{1e3 * seconds:.3f}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f} MB"
