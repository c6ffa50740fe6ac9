"""Commands that study switches: their bits against image files, and what each one says."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress, say
from maxtunnel.commands.options import CsvFile, Data, Labels, LatexFile, Limit, Out, Refine, Resize, Size
from maxtunnel.commands.tables import check_targets, print_table
from maxtunnel.support.tables import write_tables


def frontier(
    data: Data,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Repeat it; by default all that ship.", metavar="M"),
    ] = None,
    out: Out = Path("frontier"),
    size: Size = 128,
    resize: Resize = "bilinear",
    limit: Limit = None,
    labels: Labels = None,
    refine: Refine = 0,
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """Rate against distortion: RMSE at so many bits, of switches, JPEG and WebP on the same photographs."""
    from maxtunnel.paper.canvas import save
    from maxtunnel.paper.frontier import measure_frontier, tabulate
    from maxtunnel.paper.frontier_figure import draw_frontier
    from maxtunnel.support.files import check_folder

    check_targets(csv_file, latex_file)
    check_folder(out)
    with progress() as on_progress:
        found = measure_frontier(
            data, models or (), size=size, resize=resize, limit=limit, labels=labels or (),
            refine=refine, on_progress=on_progress,
        )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    written = [found.save(out), *save(draw_frontier(found), out / "frontier")]
    table = tabulate(found)
    print_table(table)
    write_tables([table], csv_file, latex_file)
    say(f"Frontier: {', '.join(map(str, written))}")


def triggers(
    model: Annotated[
        str,
        typer.Argument(
            help="Whose switches are asked: shipped name, saved file, run folder or .caffemodel.",
            metavar="M",
            show_default=False,
        ),
    ],
    data: Data,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The picture.", metavar="FILE.png", show_default=False)
    ],
    level: Annotated[int, typer.Option(help="Which pooling layer, from 1, the finest.", min=1)] = 1,
    size: Size = 128,
    resize: Resize = "bilinear",
    limit: Limit = 200,
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """Draw what a switch says: the mean patch around it, for each channel and cell of a level."""
    from maxtunnel.paper.trigger_figure import draw_triggers, tabulate

    check_targets(out, csv_file, latex_file)
    with progress() as on_progress:
        found = draw_triggers(model, data, out, level, size, resize, limit, on_progress)
    table = tabulate(found)
    print_table(table)
    write_tables([table], csv_file, latex_file)
    say(f"Picture: {out}")
