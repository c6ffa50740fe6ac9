"""The tables that commands print."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from maxtunnel.commands.console import counted, finish_with_skipped, output, say
from maxtunnel.switches.window import Window

if TYPE_CHECKING:
    from maxtunnel.auditing import AuditResult
    from maxtunnel.benchmark.run import Benchmark, Timing
    from maxtunnel.codec.files import Inspection
    from maxtunnel.data import Manifest
    from maxtunnel.evaluation.records import Evaluation
    from maxtunnel.models.architecture import Architecture
    from maxtunnel.paper.results import TableRow
    from maxtunnel.zoo.names import Shipped

_LevelBits = tuple[float, float, float]
BITS = "nominal, stored: bits per pixel and colour channel"


def print_evaluations(evaluations: "Sequence[Evaluation]", title: str, intervals: bool = True) -> None:
    """One row a network; `intervals` only where there are photographs enough for them."""
    table = Table(title=f"{title}\n{BITS}", title_justify="left")
    table.add_column("network", overflow="fold")
    for column in ("nominal", "stored", "RMSE", *(["95 % interval"] if intervals else []), "PSNR", "SSIM"):
        table.add_column(column, justify="right", no_wrap=True)
    for result in evaluations:
        low, high = result.rmse_ci95
        interval = f"{low:.4f}–{high:.4f}" if result.images > 1 else "–"
        table.add_row(
            escape(result.model),
            f"{result.bits_per_pixel.nominal:.4g}",
            _bits(result.bits_per_pixel.stored),
            f"{result.rmse:.4f}",
            *([interval] if intervals else []),
            f"{result.psnr:.2f} dB",
            f"{result.ssim:.3f}",
        )
    output.print(table)
    if len(evaluations) == 1:
        _print_stored_interval(evaluations[0])


def _print_stored_interval(result: "Evaluation") -> None:
    if result.stored_ci95 is not None and result.bits_images > 1:
        low, high = result.stored_ci95
        say(f"Stored bits: 95 % interval {low:.3f}–{high:.3f}, on {result.bits_images:,} photographs")


def print_audit(result: "AuditResult") -> None:
    """The verdict, the rows behind it, and what to know before trusting them."""
    table = Table(title=f"Pooling switches of {escape(result.target)}", title_justify="left")
    table.add_column("rebuilt from")
    for column in ("RMSE", "95 % interval", "PSNR", "SSIM", "explained"):
        table.add_column(column, justify="right")
    for row in result.rows.values():
        low, high = row.rmse_ci95
        table.add_row(
            escape(row.name),
            f"{row.rmse:.4f}",
            f"{low:.4f}–{high:.4f}",
            f"{row.psnr:.2f} dB",
            f"{row.ssim:.3f}",
            f"{row.explained:.1%}",
        )
    output.print(table)
    say(result.verdict)
    for warning in result.warnings():
        say(f"Note: {warning}")


def print_table2(lines: "Sequence[TableRow]") -> None:
    """Table II with ours beside the paper's; a row without a network says so."""
    table = Table(title="Table II, RMSE (–: not trained, shipped or asked for)", title_justify="left")
    table.add_column("network", no_wrap=True)
    for column in ("bits", "paper", "ours", "seeds", "snapshot"):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        ours = None if line.ours is None else line.ours.evaluation
        table.add_row(
            line.row.name,
            f"{line.row.bits_per_pixel:g}",
            f"{line.row.rmse:.4f}",
            "–" if ours is None else f"{ours.rmse:.4f}",
            "" if line.spread is None else f"{line.spread[0]:.4f}±{line.spread[1]:.4f}",
            "" if line.snapshot is None else f"{line.snapshot.evaluation.rmse:.4f}",
        )
    output.print(table)


def print_models(models: "Sequence[Shipped]") -> None:
    """The networks that ship."""
    table = Table(title=f"Networks in the package\n{BITS}", title_justify="left")
    table.add_column("network", no_wrap=True)
    for column in ("parameters", "file", "nominal", "stored", "RMSE"):
        table.add_column(column, justify="right", no_wrap=True)
    for model in models:
        table.add_row(
            model.name,
            f"{model.parameters:,}",
            f"{model.file_bytes / 1e6:.2f} MB",
            f"{model.bits_per_pixel:.4g}",
            _bits(model.stored_bits_per_pixel),
            f"{model.rmse:.4f}",
        )
    output.print(table)
    for measured_on in dict.fromkeys(model.measured_on for model in models):
        names = [model.name for model in models if model.measured_on == measured_on]
        which = "" if len(names) == len(models) else f" ({', '.join(names)})"
        say(f"Measured on {measured_on}{which}")


def print_benchmark(benchmark: "Benchmark") -> None:
    """One table an operation."""
    ceilings = benchmark.ceilings
    say(
        f"{benchmark.machine.device}, {counted(benchmark.machine.threads, 'thread')}: "
        f"{ceilings.float32 / 1e9:.0f} GFLOP/s in float32, {ceilings.bfloat16 / 1e9:.0f} in bfloat16, "
        f"{ceilings.copy / 1e9:.0f} GB/s"
    )
    for operation in dict.fromkeys(timing.operation for timing in benchmark.timings):
        timings = [timing for timing in benchmark.timings if timing.operation == operation]
        output.print(_timings_table(operation, timings))
    for large in benchmark.large:
        peak = "" if large.peak is None else f", {large.peak / 1e6:.0f} MB beyond the photograph"
        say(f"{large.model}, {large.megapixels:g} megapixels: {large.seconds:.1f} s{peak}")


def _timings_table(title: str, timings: "Sequence[Timing]") -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("network", "way"):
        table.add_column(column)
    for column in ("ms", "10-90 %", "x stock", "x floor", "peak MB"):
        table.add_column(column, justify="right")
    for timing in timings:
        median, low, high = (1e3 * seconds for seconds in timing.seconds)
        table.add_row(
            timing.model,
            timing.way,
            f"{median:.1f}",
            f"{low:.1f}-{high:.1f}",
            f"{timing.ratio:.2f}",
            "" if timing.floor is None else f"{timing.seconds[0] / timing.floor.seconds:.1f}",
            "" if timing.peak is None else f"{timing.peak / 1e6:.0f}",
        )
    return table


def _bits(bits: float | None) -> str:
    return "–" if bits is None else f"{bits:.3f}"


def print_inspection(inspection: "Inspection") -> None:
    """One row a level, in the order of the file: the deepest first."""
    header = inspection.header
    levels = zip(header.parts, inspection.entropy_bits, strict=True)
    bits = [
        (part.nominal_bits * header.images, entropy * header.images, 8.0 * part.length)
        for part, entropy in levels
    ]
    nominal, entropy = sum(level[0] for level in bits), sum(level[1] for level in bits)
    whole = (nominal, entropy, 8.0 * inspection.bytes)
    output.print(_levels_table(inspection, bits, whole))
    values = 3 * header.image_size[0] * header.image_size[1] * header.images
    nominal, entropy, stored = (total / values for total in whole)
    say(
        f"{nominal:.4g} nominal, {entropy:.3f} entropy, {stored:.3f} stored bits per pixel and colour channel"
    )
    model = f"shipped model {inspection.model}" if inspection.model else "a model that does not ship"
    say(f"Made by {model}, network {header.network.hex()}" if any(header.network) else "It names no network.")


def _levels_table(inspection: "Inspection", bits: Sequence[_LevelBits], whole: _LevelBits) -> Table:
    """Nominal, entropy and stored bits of the levels, finest first in `bits`, and of the whole file."""
    header = inspection.header
    height, width = header.image_size
    images = counted(header.images, "image")
    title = f"{inspection.path}: {images} of {height}x{width} pixels, {inspection.bytes:,} bytes"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("level")
    for column in ("channels", "codes", "window", "coding", "nominal", "entropy", "stored bits"):
        table.add_column(column, justify="right")
    for number, (part, level) in reversed(list(enumerate(zip(header.parts, bits, strict=True), 1))):
        table.add_row(
            str(number),
            str(part.channels),
            f"{part.pooled[0]}x{part.pooled[1]}",
            "2x2" if part.window == Window() else str(part.window),
            part.coding,
            *(f"{value:,.0f}" for value in level),
        )
    table.add_section()
    table.add_row("file", "", "", "", "", *(f"{value:,.0f}" for value in whole))
    return table


def print_manifest(store: Path, manifest: "Manifest") -> None:
    """What a store holds, and on standard error what it could not take in."""
    classes = f", {counted(len(manifest.class_names), 'class')}" if manifest.class_names else ""
    say(f"{store}: {counted(manifest.images, 'image')} of {manifest.size}x{manifest.size}{classes}")
    if manifest.skipped:
        finish_with_skipped([(Path(name), reason) for name, reason in manifest.skipped])


def print_summary(architecture: "Architecture", size: int) -> None:
    """Table I, and the sums."""
    rows = architecture.table((size, size))
    padded = rows[0].size[0]
    note = f", padded to {padded}x{padded}" if padded != size else ""
    table = Table(title=f"{architecture} for images of {size}x{size} pixels{note}", title_justify="left")
    table.add_column("layer")
    for column in ("filters", "size", "ReLU", "parameters", "switch bits"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            str(row.filters),
            f"{row.size[0]}x{row.size[1]}",
            "yes" if row.relu else "",
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.switch_bits:,}" if row.switch_bits else "",
        )
    table.add_section()
    parameters, bits = sum(row.parameters for row in rows), sum(row.switch_bits for row in rows)
    table.add_row("total", "", "", "", f"{parameters:,}", f"{bits:,}")
    output.print(table)
    say(f"{architecture.bits_per_pixel((size, size)):.4g} bits per pixel and colour channel")
