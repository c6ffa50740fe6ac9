"""Commands that re-measure the paper."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from maxtunnel.commands.console import progress, say
from maxtunnel.commands.options import (
    Batch,
    CsvFile,
    Engine,
    Gpus,
    Labels,
    LatexFile,
    Out,
    RayAddress,
    Recipe,
    Resize,
    Size,
    Steps,
)
from maxtunnel.commands.tables import check_targets, print_table, tabulate_table2
from maxtunnel.scale.cluster import start_engine
from maxtunnel.support.tables import write_tables

MOST_SEED = 2**63 - 1  # PyTorch's generators take no larger one


def reproduce(
    test: Annotated[Path, typer.Option(help="Store to measure on.", metavar="STORE", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of report and runs.", show_default=False)],
    train: Annotated[
        Path | None,
        typer.Option(
            help="Store to train on; without it, --use-shipped.", metavar="STORE", show_default=False
        ),
    ] = None,
    recipe: Recipe = "fast",
    decoder: Annotated[
        Literal["mirrored", "strong", "both"],
        typer.Option(help="Train the paper's decoder, a strong one on its switches, or both."),
    ] = "mirrored",
    width: Annotated[int, typer.Option(help="Channels of strong decoders.", min=1, max=4096)] = 64,
    only: Annotated[
        str | None,
        typer.Option(
            help="Rows of Table II, with commas: 8-8-8,6-12-24; by default all.",
            metavar="ROWS",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Networks a row, to see the spread over draws.", min=1)] = 1,
    steps: Steps = None,
    batch: Batch = None,
    minutes: Annotated[
        float | None, typer.Option(help="Bound on all training together, instead of steps.", min=0.01)
    ] = None,
    use_shipped: Annotated[
        bool, typer.Option("--use-shipped", help="Take the networks in the package instead of training them.")
    ] = False,
    snapshots: Annotated[
        Path | None, typer.Option(help="Folder of the authors' .caffemodel files, to measure too.")
    ] = None,
    photographs: Annotated[
        int, typer.Option(help="How many the claims are measured on; the table takes all.", min=4)
    ] = 400,
    seed: Annotated[
        int, typer.Option(help="Draws the photographs and channels shown.", min=0, max=MOST_SEED)
    ] = 0,
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
    engine: Engine = "here",
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
) -> None:
    """Re-measure the paper: Table II, figures and claims in one page. Goes on where it was stopped."""
    from maxtunnel.paper import Reproduction
    from maxtunnel.paper import reproduce as reproduce_paper

    check_targets(csv_file, latex_file)
    asked = Reproduction(
        test=test,
        out=out,
        train=train,
        recipe=recipe,
        decoder=decoder,
        width=width,
        only=only,
        seeds=seeds,
        steps=steps,
        batch=batch,
        minutes=minutes,
        use_shipped=use_shipped,
        snapshots=snapshots,
        photographs=photographs,
        seed=seed,
        command=shlex.join(["maxtunnel", *sys.argv[1:]]),
    )
    with progress() as on_progress, start_engine(engine, ray_address, gpus) as spread:
        report, table = reproduce_paper(asked, on_progress, say, spread)
    printed = tabulate_table2(table)
    print_table(printed)
    write_tables([printed], csv_file, latex_file)
    say(f"Report: {report}")


def figure(
    number: Annotated[int, typer.Argument(help="1, 2, 3 or 4.", min=1, max=4, show_default=False)],
    data: Annotated[
        Path | None, typer.Option(help="Folder or store to draw photographs from.", show_default=False)
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Repeat it for Figure 3; Figure 2 takes an architecture.", metavar="M"
        ),
    ] = None,
    out: Out = Path("figures"),
    count: Annotated[int, typer.Option(help="Photographs in Figures 1 and 3.", min=1, max=40)] = 8,
    seed: Annotated[int, typer.Option(help="Draws photographs, and channels.", min=0, max=MOST_SEED)] = 0,
    size: Size = 128,
    resize: Resize = "bilinear",
    labels: Labels = None,
) -> None:
    """Draw a figure of the paper as PNG and PDF: 1 and 3 reconstructions, 2 the schematic, 4 the layers."""
    from maxtunnel.paper import draw_figure

    with progress() as on_progress:
        written = draw_figure(
            number, out, data, models or (), count, seed, size, resize, labels or (), on_progress
        )
    say(f"Figure: {written[0]}, {written[1]}")
