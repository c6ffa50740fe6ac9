"""The command that says beforehand what much work takes."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress, say
from maxtunnel.commands.options import CsvFile, LatexFile, Size
from maxtunnel.commands.spelling import Context, given
from maxtunnel.commands.tables import check_targets, print_table
from maxtunnel.support.tables import write_tables

_OF_MEASURING = ("model", "size", "photographs")


def plan(
    context: Context,
    images: Annotated[float, typer.Option(help="Photographs, such as 1e9.", min=1)] = 1e6,
    nodes: Annotated[int, typer.Option(help="Machines.", min=1)] = 1,
    cores: Annotated[
        int | None, typer.Option(help="Of each machine; by default those of the measured one.", min=1)
    ] = None,
    pixels: Annotated[
        float | None, typer.Option(help="Of a photograph; by default of the measured ones.", min=1)
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(help="Measure the costs here first, with this folder of photographs.", metavar="DATA"),
    ] = None,
    costs: Annotated[
        Path | None,
        typer.Option(
            help="File of measured costs to use, or to write; by default what ships.", metavar="FILE"
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="The network to measure.", metavar="M")
    ] = "16-16-16",
    size: Size = 128,
    photographs: Annotated[int, typer.Option(help="To measure on each core.", min=1)] = 100,
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """Reckon hours, disk and network of many photographs, from what one costs at every stage.

    --measure DATA takes about a minute, and needs the machine for itself.
    """
    from maxtunnel.benchmark.costs import SHIPPED, Costs, measure_costs
    from maxtunnel.benchmark.plan import describe, make_plan, tabulate

    check_targets(csv_file, latex_file, None if measure is None else costs)
    idle = [spelling for name, spelling in given(context).items() if name in _OF_MEASURING]
    if measure is None and idle:
        raise typer.BadParameter(f"{', '.join(idle)}: only with --measure, as costs have their own")
    if measure is None:
        found = Costs.load(costs or SHIPPED)
    else:
        with progress() as on_progress:
            found = measure_costs(measure, model, size, photographs, on_progress)
        if costs is not None:
            found.save(costs)
    reckoned = make_plan(found, images, nodes, cores, pixels)
    tables = tabulate(reckoned)
    for table in tables:
        print_table(table)
    for line in describe(reckoned):
        say(line)
    write_tables(tables, csv_file, latex_file)
