"""The tables that commands print, and what they say below them."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maxtunnel.commands.console import finish_with_skipped, output, say
from maxtunnel.support.files import check_folder
from maxtunnel.support.numbers import counted
from maxtunnel.support.tables import Cell, Column, Table, as_lines
from maxtunnel.switches.window import Pair, Window

if TYPE_CHECKING:
    from maxtunnel.auditing import AuditResult
    from maxtunnel.auditing.rows import Row
    from maxtunnel.benchmark.run import Benchmark
    from maxtunnel.codec.files import Inspection
    from maxtunnel.data import Manifest
    from maxtunnel.evaluation.comparison import Difference
    from maxtunnel.evaluation.records import Evaluation
    from maxtunnel.models.architecture import Architecture
    from maxtunnel.paper.results import TableRow
    from maxtunnel.zoo.dense_files import ShippedDense
    from maxtunnel.zoo.names import Shipped

BITS = "nominal, stored: bits per pixel and colour channel"
_NETWORK = Column("network", "network", text=True)
_ROUNDS = Column("rounds", "rounds", "d")
_NOMINAL = Column("bits_nominal", "nominal", ".4g")
_STORED = Column("bits_stored", "stored", ".3f")
_RMSE = Column("rmse", "RMSE", ".4f")
_INTERVAL = Column("rmse", "95 % interval", ".4f", interval=True)
_STRONG = (
    Column("strong_rmse", "strong", ".4f"),
    Column("strong_lower_by", "lower by", "+.4f"),
    Column("strong_lower_by", "95 % interval", "+.4f", interval=True),
)
_PSNR = Column("psnr_db", "PSNR, dB", ".2f")
_SSIM = Column("ssim", "SSIM", ".3f")


def check_targets(*paths: Path | None) -> None:
    """Refuse what cannot be a file to write to, before the work whose result it is to hold.

    Raises:
        ValueError: one of them is a folder, or lies where nothing can be written.
    """
    for path in paths:
        if path is not None:
            if path.is_dir():
                raise ValueError(f"{path} is a folder: give a file to write to")
            check_folder(path.parent)


def print_table(table: Table) -> None:
    """Print a table so that it fits the terminal; a file or a pipe has room for any."""
    bounded = output.is_terminal or "COLUMNS" in os.environ
    for line in (*table.title.splitlines(), *as_lines(table, output.width if bounded else None), ""):
        say(line)


def tabulate_evaluations(evaluations: "Sequence[Evaluation]", title: str, intervals: bool = True) -> Table:
    """One row a network; `intervals` only where there are photographs enough for them."""
    refined = any(result.refine for result in evaluations)
    columns = (_NETWORK, *([_ROUNDS] if refined else []), _NOMINAL, _STORED, _RMSE)
    columns += (*([_INTERVAL] if intervals else []), _PSNR, _SSIM)
    rows = tuple(
        (
            result.model,
            *([result.refine] if refined else []),
            result.bits_per_pixel.nominal,
            result.bits_per_pixel.stored,
            result.rmse,
            *([result.rmse_ci95 if result.images > 1 else None] if intervals else []),
            result.psnr,
            _known(result.ssim),
        )
        for result in evaluations
    )
    return Table(f"{title}\n{BITS}", columns, rows)


def tabulate_differences(differences: "Sequence[Difference]", intervals: bool = True) -> Table:
    """How far networks are from the first, metric by metric; without `intervals` dashes in their place."""
    heads = {"rmse": "RMSE", "psnr": "PSNR, dB", "ssim": "SSIM"}
    columns = (
        _NETWORK,
        Column("metric", "metric", text=True),
        Column("difference", "difference", "+.4f"),
        Column("difference", "95 % interval", "+.4f", interval=True),
    )
    rows = tuple(
        (one.model, heads[one.metric], _known(one.value), one.ci95 if intervals else None)
        for one in differences
    )
    title = f"Difference from {differences[0].reference}, paired by photograph"
    return Table(title, columns, rows)


def _known(value: float) -> float | None:
    """None for what there is none of: SSIM of photographs smaller than its window."""
    return None if math.isnan(value) else value


def print_bits(evaluations: "Sequence[Evaluation]") -> None:
    """How sure stored bits are, or why there are none."""
    missing = {result.bits_missing for result in evaluations if result.bits_missing}
    for reason in sorted(missing):
        say(f"Stored bits: not measured ({reason})")
    for result in evaluations:
        if result.stored_ci95 is not None and result.bits_images > 1:
            low, high = result.stored_ci95
            whose = f" of {result.model}" if len(evaluations) > 1 else ""
            say(
                f"Stored bits{whose}: 95 % interval {low:.3f}–{high:.3f}, "
                f"on {result.bits_images:,} photographs"
            )


def print_audit(result: "AuditResult") -> None:
    """The verdict, the rows, levels and mitigations behind it, and what to know before trusting them."""
    from maxtunnel.auditing import Conclusions

    conclusions = Conclusions(result)
    result = conclusions.without_withheld()
    columns = (
        Column("rebuilt_from", "rebuilt from", text=True),
        *(_RMSE, _INTERVAL, _PSNR, _SSIM),
        Column("explained", "explained", ".1%"),
    )
    rows = tuple(
        (row.name, row.rmse, row.rmse_ci95, row.psnr, row.ssim, row.explained) for row in result.rows.values()
    )
    print_table(Table(f"Pooling switches of {result.target}", columns, rows))
    if "levels" not in conclusions.withheld:
        print_table(_audited_levels(result))
    if result.mitigations:
        print_table(_mitigations(result))
    say(conclusions.verdict)
    for part in ("levels", "shares"):
        if part in conclusions.withheld:
            say(f"The {part} are withheld: {'; '.join(conclusions.withheld[part])}")
    for warning in conclusions.warnings():
        say(f"Note: {warning}")


def _audited_levels(result: "AuditResult") -> Table:
    columns = (
        Column("level", "level", "d"),
        Column("name", "name", text=True),
        Column("bits_nominal", "bits", ",.0f"),
        Column("alone_rmse", "alone: RMSE", ".4f"),
        Column("alone_explained", "explained", ".1%"),
        Column("from_deepest_rmse", "with all coarser: RMSE", ".4f"),
        Column("from_deepest_explained", "explained", ".1%"),
    )
    rows = tuple(
        (level.number, level.name, level.nominal_bits, *_leak(level.alone), *_leak(level.from_deepest))
        for level in result.levels
    )
    return Table("What each level gives away", columns, rows)


def _mitigations(result: "AuditResult") -> Table:
    columns = (
        Column("mitigation", "mitigation", text=True),
        Column("bits", "bits left", ",.0f"),
        Column("rmse", "switches alone: RMSE", ".4f"),
        Column("explained", "explained", ".1%"),
        Column("features_rmse", "with features: RMSE", ".4f"),
        Column("features_explained", "explained", ".1%"),
        Column("metric", "metric", ".4g"),
    )
    rows = tuple(
        (found.name, found.bits, *_leak(found.leak), *_leak(found.with_features), found.metric)
        for found in result.mitigations
    )
    return Table("What each mitigation leaves", columns, rows)


def _leak(row: "Row | None") -> tuple[float | None, float | None]:
    return (None, None) if row is None else (row.rmse, row.explained)


def tabulate_table2(lines: "Sequence[TableRow]") -> Table:
    """Table II with ours beside the paper's; a row without a network says so.

    The strong decoder has columns of its own as soon as there is one: its RMSE and, where it reads the
    switches of ours, by how much that is lower on the same photographs.
    """
    from maxtunnel.paper.comparisons import strong_gain

    strong = any(line.strong is not None for line in lines)
    columns = (
        _NETWORK,
        Column("bits", "bits", "g"),
        Column("paper_rmse", "paper", ".4f"),
        Column("rmse", "ours", ".4f"),
        Column("from", "ours from", text=True),
        Column("seeds", "seeds"),
        Column("snapshot_rmse", "snapshot", ".4f"),
        *(_STRONG if strong else ()),
    )
    rows = []
    for line in lines:
        spread = None if line.spread is None else f"{line.spread[0]:.4f}±{line.spread[1]:.4f}"
        gain = strong_gain(line)
        read = (
            None if line.strong is None else line.strong.evaluation.rmse,
            *((None, None) if gain is None else (gain.mean, gain.interval)),
        )
        rows.append(
            (
                line.row.name,
                line.row.bits_per_pixel,
                line.row.rmse,
                None if line.ours is None else line.ours.evaluation.rmse,
                None if line.ours is None else line.ours.origin,
                spread,
                None if line.snapshot is None else line.snapshot.evaluation.rmse,
                *(read if strong else ()),
            )
        )
    return Table("Table II, RMSE (–: not trained, shipped or asked for)", columns, tuple(rows))


def tabulate_models(models: "Sequence[Shipped]") -> Table:
    """The networks that ship; those whose names differ in `-strong` alone decode the same switches."""
    columns = (
        _NETWORK,
        Column("decoder", "decoder", text=True),
        Column("parameters", "parameters", ","),
        Column("file_megabytes", "file, MB", ".2f"),
        *(_NOMINAL, _STORED, _RMSE),
    )
    rows = tuple(
        (
            model.name,
            model.decoder,
            model.parameters,
            model.file_bytes / 1e6,
            model.bits_per_pixel,
            model.stored_bits_per_pixel,
            model.rmse,
        )
        for model in models
    )
    return Table(f"Networks in the package\n{BITS}", columns, rows)


def tabulate_dense(models: "Sequence[ShippedDense]") -> Table:
    """The networks that ship and answer for every pixel."""
    columns = (
        _NETWORK,
        Column("answers", "answers for every pixel", text=True),
        Column("parameters", "parameters", ","),
        Column("file_megabytes", "file, MB", ".2f"),
    )
    rows = tuple(
        (
            model.name,
            "strength of a contour" if model.classes == 1 else f"one of {model.classes} classes",
            model.parameters,
            model.file_bytes / 1e6,
        )
        for model in models
    )
    return Table("Networks in the package that answer for every pixel", columns, rows)


def print_sources(models: "Sequence[Shipped]") -> None:
    """On what the networks that ship were measured."""
    for measured_on in dict.fromkeys(model.measured_on for model in models):
        names = [model.name for model in models if model.measured_on == measured_on]
        which = "" if len(names) == len(models) else f" ({', '.join(names)})"
        say(f"Measured on {measured_on}{which}")


def print_benchmark(benchmark: "Benchmark") -> None:
    """One table an operation and batch, and what could not be timed."""
    from maxtunnel.benchmark.tables import describe_ceilings, tabulate_part

    machine = benchmark.machine
    say(f"{machine.device}, {counted(machine.threads, 'thread')}. {describe_ceilings(benchmark.ceilings)}")
    for part in dict.fromkeys((timing.operation, timing.batch) for timing in benchmark.timings):
        print_table(tabulate_part(benchmark, *part))
    for failure in benchmark.failures:
        say(
            f"not timed: {failure.operation} {failure.model}, batch of {failure.batch}, {failure.way}: "
            f"{failure.error}"
        )
    for large in benchmark.large:
        peak = "" if large.peak is None else f", {large.peak / 1e6:.0f} MB beyond the photograph"
        say(f"{large.model}, {large.megapixels:g} megapixels: {large.seconds:.1f} s{peak}")


def print_inspection(inspection: "Inspection") -> None:
    """One row a level, in the order of the file: the deepest first."""
    header = inspection.header
    print_table(tabulate_levels(inspection))
    bits = _bits_of_levels(inspection)
    whole = (sum(level[0] for level in bits), sum(level[1] for level in bits), 8.0 * inspection.bytes)
    values = 3 * header.image_size[0] * header.image_size[1] * header.images
    nominal, entropy, stored = (total / values for total in whole)
    say(
        f"{nominal:.4g} nominal, {entropy:.3f} entropy, {stored:.3f} stored bits per pixel and colour channel"
    )
    model = f"shipped model {inspection.model}" if inspection.model else "a model that does not ship"
    say(
        f"Made by the encoder of {model}, network {header.network.hex()}"
        if any(header.network)
        else "It names no network."
    )


def tabulate_levels(inspection: "Inspection") -> Table:
    """Nominal, entropy and stored bits of the levels, deepest first, and of the whole file."""
    header, bits = inspection.header, _bits_of_levels(inspection)
    images = counted(header.images, "image")
    title = (
        f"{inspection.path}: {images} of {_size(header.image_size)} pixels, {inspection.bytes:,} bytes\n"
        "nominal, entropy, stored: bits"
    )
    columns = (
        Column("level", "level", text=True),
        Column("channels", "channels"),
        Column("codes", "codes"),
        Column("window", "window"),
        Column("coding", "coding"),
        *(Column(name, name, ",.0f") for name in ("nominal", "entropy", "stored")),
    )
    rows = [
        (
            str(number),
            part.channels,
            _size(part.pooled),
            "2x2" if part.window == Window() else str(part.window),
            part.coding,
            *level,
        )
        for number, (part, level) in enumerate(zip(header.parts, bits, strict=True), 1)
    ]
    nominal, entropy = sum(level[0] for level in bits), sum(level[1] for level in bits)
    total: tuple[Cell, ...] = ("file", "", "", "", "", nominal, entropy, 8.0 * inspection.bytes)
    return Table(title, columns, tuple(reversed(rows)), total)


def _bits_of_levels(inspection: "Inspection") -> list[tuple[float, float, float]]:
    """Nominal, entropy and stored bits of each level, finest first."""
    header = inspection.header
    return [
        (part.nominal_bits * header.images, entropy * header.images, 8.0 * part.length)
        for part, entropy in zip(header.parts, inspection.entropy_bits, strict=True)
    ]


def _size(size: Pair) -> str:
    """Width x height, as people say it; inside it is (height, width)."""
    return f"{size[1]}x{size[0]}"


def print_manifest(store: Path, manifest: "Manifest") -> None:
    """What a store holds, and on standard error what it could not take in."""
    classes = f", {counted(len(manifest.class_names), 'class')}" if manifest.class_names else ""
    say(f"{store}: {counted(manifest.images, 'image')} of {manifest.size}x{manifest.size}{classes}")
    say(manifest.account())
    finish_with_skipped([(Path(name), f"{name} {reason}") for name, reason in manifest.skipped])


def print_summary(architecture: "Architecture", size: int) -> None:
    """Table I, and the sums."""
    layers = architecture.table((size, size))
    padded = layers[0].size[0]
    note = f", padded to {padded}x{padded}" if padded != size else ""
    columns = (
        Column("layer", "layer", text=True),
        Column("filters", "filters"),
        Column("size", "size"),
        Column("relu", "ReLU"),
        Column("parameters", "parameters", ","),
        Column("switch_bits", "switch bits", ","),
    )
    rows = tuple(
        (
            layer.name,
            layer.filters,
            _size(layer.size),
            "yes" if layer.relu else "",
            layer.parameters or "",
            layer.switch_bits or "",
        )
        for layer in layers
    )
    parameters, bits = sum(layer.parameters for layer in layers), sum(layer.switch_bits for layer in layers)
    title = f"{architecture} for images of {size}x{size} pixels{note}"
    print_table(Table(title, columns, rows, ("total", "", "", "", parameters, bits)))
    say(f"{architecture.bits_per_pixel((size, size)):.4g} bits per pixel and colour channel")
