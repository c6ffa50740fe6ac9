"""A benchmark as Markdown, for docs/benchmarks.md."""

from maxtunnel.benchmark.run import Benchmark, Timing


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
