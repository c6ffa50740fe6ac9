"""The command that studies adaptive deconvolutional networks."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress
from maxtunnel.commands.options import CsvFile, LatexFile, Out
from maxtunnel.commands.studying import Full, Seeds, Toy, command_line, show_study, study_size
from maxtunnel.commands.tables import check_targets


def adaptive(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="Photographs in class folders, such as Caltech-101's 101_ObjectCategories.",
            show_default=False,
        ),
    ],
    toy: Toy = False,
    full: Full = False,
    seeds: Seeds = None,
    side: Annotated[
        int | None,
        typer.Option(
            help="Photographs are put on a square of so many pixels a side; 150 as published.",
            min=16,
            show_default=False,
        ),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(help="Of each layer; 15,50,100,150 as published.", metavar="N,...", show_default=False),
    ] = None,
    learned: Annotated[
        int | None, typer.Option(help="Photographs that filters are learnt on.", min=1, show_default=False)
    ] = None,
    passes: Annotated[
        int | None, typer.Option(help="Over them, for each layer.", min=1, show_default=False)
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Class folders, evenly spaced.", min=2, show_default=False)
    ] = None,
    sparsity: Annotated[
        float | None, typer.Option(help="Weight of the features' magnitudes.", show_default=False)
    ] = None,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """How sharp images are that come back through max pooling, and how much its switches carry.

    Adaptive deconvolutional networks are learnt with max and with average pooling, and read with and without
    their features and switches; write adaptive.html. Takes minutes, with --full hours. Given again it goes on
    where it stopped. Several of it may work in one folder at the same time.
    """
    from maxtunnel.studies.adaptive import study_adaptive
    from maxtunnel.studies.adaptive_page import report_of

    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_adaptive(
            data, out, size=study_size(toy, full), seeds=seeds, side=side, maps=maps, learned=learned,
            passes=passes, classes=classes, sparsity=sparsity, command=command_line(),
            on_progress=on_progress,
        )  # fmt: skip
    show_study(report_of(study), csv_file, latex_file)
