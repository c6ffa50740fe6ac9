"""The command that pictures what units of a model see."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxtunnel.commands.console import finish_with_skipped, progress, say
from maxtunnel.commands.options import (
    CsvFile,
    Images,
    LatexFile,
    Limit,
    Out,
    Preprocess,
    Resize,
    Size,
    Target,
)
from maxtunnel.commands.tables import check_targets, print_table
from maxtunnel.support.choices import OverlapRule, VisualisingMethod
from maxtunnel.support.tables import Cell, Column, Table, write_tables

if TYPE_CHECKING:
    from maxtunnel.visualising import Evolution, Visualisation
    from maxtunnel.visualising.folders import Skipped


def visualise(
    target: Target,
    images: Images,
    layers: Annotated[
        list[str],
        typer.Option(
            "--layer", "-l", help="Its name; repeatable. A wrong one lists them all.", metavar="L",
            show_default=False,
        ),
    ],
    units: Annotated[
        str, typer.Option(help="Those nine that fire most strongly, or numbers from 0.", metavar="top|N,...")
    ] = "top",
    method: Annotated[
        VisualisingMethod, typer.Option(help="Zeiler and Fergus', Springenberg's, plain, or a grey square.")
    ] = "deconvnet",
    overlap: Annotated[
        OverlapRule,
        typer.Option(help="What a cell gets that several windows chose; deconvnet alone, others sum."),
    ] = "last",
    square: Annotated[
        int | None,
        typer.Option(
            help="Side of the grey square in pixels; by default an eighth of the photograph's.", min=1,
            show_default=False,
        ),
    ] = None,
    evolution: Annotated[
        bool,
        typer.Option(
            "--evolution",
            help="Of a run with a history: units at each of its steps, by switches and filters apart.",
        ),
    ] = False,
    size: Size = 224,
    resize: Resize = "bilinear",
    limit: Limit = None,
    preprocess: Preprocess = None,
    batch: Annotated[int, typer.Option(help="Photographs at a time.", min=1)] = 16,
    seed: Annotated[int, typer.Option(help="Draws random switches.", min=0)] = 0,
    out: Out = Path("visualised"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:  # fmt: skip
    """Picture what units of a layer see, and how much of that the pooling switches drew.

    Of each unit the nine photographs on which it fires most strongly, and what it becomes at their pixels.
    """
    from maxtunnel.visualising import VisualisingConfig, evolve_files, visualise_files

    check_targets(csv_file, latex_file)
    config = VisualisingConfig(method, overlap, square, batch, seed)
    if evolution:
        if preprocess is not None:
            raise ValueError("`preprocess` does not go with `evolution`: a run preprocesses by itself")
        with progress() as on_progress:
            evolved, page, skipped = evolve_files(
                target, images, layers, out, units, config, size=size, resize=resize, limit=limit,
                on_progress=on_progress,
            )  # fmt: skip
        _finish(tabulate_evolution(evolved), page, skipped, csv_file, latex_file)
        return
    with progress() as on_progress:
        found, page, skipped = visualise_files(
            target,
            images,
            layers,
            out,
            units,
            config,
            size=size,
            resize=resize,
            limit=limit,
            preprocess=preprocess,
            on_progress=on_progress,
        )
    table = tabulate(found) if any(layer.tunnel for layer in found.layers) else None
    _finish(table, page, skipped, csv_file, latex_file, found.unpooled)


def _finish(
    table: Table | None,
    page: Path,
    skipped: "Skipped",
    csv_file: Path | None,
    latex_file: Path | None,
    note: str = "",
) -> None:
    if table is not None:
        print_table(table)
        write_tables([table], csv_file, latex_file)
    if note:
        say(note)
    say(f"Pictures: {page}")
    finish_with_skipped(skipped)


def tabulate(found: "Visualisation") -> Table:
    """How much of each layer's pictures the switches drew."""
    columns = [
        Column("layer", "layer", text=True),
        Column("of", "of", text=True),
        Column("poolings", "poolings"),
    ]
    for name, head in (
        ("lost_other", "lost: others' switches"),
        ("lost_random", "lost: random"),
        ("without_feature", "there: no feature"),
    ):
        columns += [Column(name, head, ".1%"), Column(name, "95 % interval", ".1%", interval=True)]
    rows = []
    for layer in found.layers:
        for tunnel in layer.tunnel:
            shares = (tunnel.lost_other, tunnel.lost_random, tunnel.without_feature)
            cells = [(None, None) if share is None else (share.mean, share.ci95) for share in shares]
            rows.append((layer.name, tunnel.of, layer.poolings, *(part for cell in cells for part in cell)))
    return Table("shares of the energy of pictures", tuple(columns), tuple(rows))


def tabulate_evolution(found: "Evolution") -> Table:
    """How much of each layer's last pictures the networks of the steps make, and their parts."""
    columns = [
        Column("layer", "layer", text=True),
        Column("step", "step"),
        Column("same_photograph", "same photograph", ".0%"),
    ]
    heads = {"own": "there: its network", "switches": "its switches", "filters": "its filters"}
    for name, head in heads.items():
        columns += [Column(name, head, ".1%"), Column(name, "95 % interval", ".1%", interval=True)]
    rows: list[tuple[Cell, ...]] = []
    for layer in found.layers:
        for number, step in enumerate(layer.units[0].steps):
            shares = [layer.share(part, number) for part in heads]
            cells = [(None, None) if share is None else (share.mean, share.ci95) for share in shares]
            same = layer.same_photograph(number)
            rows.append((layer.name, step.step, same, *(part for cell in cells for part in cell)))
    return Table("share of the last step's pictures", tuple(columns), tuple(rows))
