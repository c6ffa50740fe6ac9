"""The command that studies what switches do to edits of features."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress
from maxtunnel.commands.options import CsvFile, LatexFile, Out
from maxtunnel.commands.studying import Full, Seeds, Toy, command_line, show_study, study_size
from maxtunnel.commands.tables import check_targets


def transplant(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="A folder of images for each person, or each class, such as Extended Yale B's or ORL's.",
            show_default=False,
        ),
    ],
    toy: Toy = False,
    full: Full = False,
    seeds: Seeds = None,
    side: Annotated[
        int | None,
        typer.Option(
            help="Images are warped to a square of so many pixels a side.", min=8, show_default=False
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Of the encoder, such as (16)3c-2p-(32)3c-2p; the decoder mirrors it.", show_default=False
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of every training.", min=1, show_default=False)] = None,
    each: Annotated[
        int | None, typer.Option(help="Images of a folder, at most.", min=2, show_default=False)
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(help="To measure on, of each kind at most.", min=2, show_default=False),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its highest.", show_default=False)] = None,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """Which image comes out where features of one meet switches of another, and how much of an edit arrives.

    Networks with known switches, fixed ones and none rebuild images of people that they were not trained on,
    from exchanged and edited features; write transplant.html. Takes minutes, with --full hours. Given again
    it goes on where it stopped. Several of it may work in one folder at the same time.
    """
    from maxtunnel.studies.transplant import study_transplant
    from maxtunnel.studies.transplant_page import report_of

    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_transplant(
            data, out, size=study_size(toy, full), seeds=seeds, side=side, layout=layout, steps=steps,
            each=each, pairs=pairs, learning_rate=learning_rate, command=command_line(),
            on_progress=on_progress,
        )  # fmt: skip
    show_study(report_of(study), csv_file, latex_file)
