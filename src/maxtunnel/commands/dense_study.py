"""Commands that study networks which answer for every pixel."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress
from maxtunnel.commands.options import CsvFile, LatexFile, Out
from maxtunnel.commands.studying import (
    Batch,
    Full,
    NetworkSteps,
    Rate,
    Seeds,
    Toy,
    command_line,
    show_study,
    study_size,
)
from maxtunnel.commands.tables import check_targets
from maxtunnel.support import choices


def contours(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="BSDS500's folder data, in which images and groundTruth lie.",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="A VGG16 whose convolutions stay as they are; by default encoders are trained.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        choices.VggInputs | None,
        typer.Option(help="What that VGG was trained on; by default as usual for such files."),
    ] = None,
    networks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of networks that were trained elsewhere, in files *KIND-SEED.safetensors.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    toy: Toy = False,
    full: Full = False,
    seeds: Seeds = None,
    width: Annotated[
        int | None, typer.Option(help="Filters of the first stage; 64 in CEDN.", min=1, show_default=False)
    ] = None,
    poolings: Annotated[
        int | None,
        typer.Option(
            help="Of every network; CEDN has 5, and fewer learn faster.", min=1, max=5, show_default=False
        ),
    ] = None,
    steps: NetworkSteps = None,
    batch: Batch = None,
    tested: Annotated[
        int | None, typer.Option(help="Test photographs to measure on.", min=2, show_default=False)
    ] = None,
    thresholds: Annotated[
        int | None,
        typer.Option(help="At which contours are cut; 99 as usual.", min=2, show_default=False),
    ] = None,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """How much of the contours that a network draws comes through its switches; write contours.html.

    Networks like CEDN are trained with and without switches, and read with others, on BSDS500. Takes minutes,
    with --full hours. Given again it goes on where it stopped. Several of it may work in one folder at the
    same time.
    """
    from maxtunnel.studies.contours import study_contours
    from maxtunnel.studies.contours_page import report_of

    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_contours(
            data, out, size=study_size(toy, full), seeds=seeds, encoder=encoder, inputs=inputs,
            networks=networks, width=width, poolings=poolings, steps=steps, batch=batch, tested=tested,
            thresholds=thresholds, command=command_line(), on_progress=on_progress,
        )  # fmt: skip
    show_study(report_of(study), csv_file, latex_file)


def segmentation(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="CamVid's folder, with train.txt and test.txt; or that of Weizmann's horses, with rgb and "
            "figure_ground.",
            show_default=False,
        ),
    ],
    set: Annotated[choices.SegmentationSetName, typer.Option(help="Which set it is.")] = "camvid",
    toy: Toy = False,
    full: Full = False,
    seeds: Seeds = None,
    network: Annotated[
        choices.SegmentationNetworkName | None, typer.Option(help="What is trained.", show_default=False)
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Filters of its first stage; of segnet-basic, of every layer.", min=1, show_default=False
        ),
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(help="What images are brought to: 480x360.", metavar="WxH", show_default=False),
    ] = None,
    steps: NetworkSteps = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    images: Annotated[
        int | None,
        typer.Option(help="How many of the test images to measure on.", min=2, show_default=False),
    ] = None,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """How much of a segmentation comes through the switches; write segmentation.html.

    The same network is trained with known switches, fixed ones and none, and decoders on switches alone.
    Takes minutes, with --full hours of a GPU. Given again it goes on where it stopped; a folder may get more
    seeds. Several of it may work in one folder at the same time.
    """
    from maxtunnel.studies.segmentation import study_segmentation
    from maxtunnel.studies.segmentation_page import report_of

    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_segmentation(
            data, out, set=set, size=study_size(toy, full), seeds=seeds, network=network, width=width,
            pixels=pixels, steps=steps, batch=batch, learning_rate=learning_rate, images=images,
            command=command_line(), on_progress=on_progress,
        )  # fmt: skip
    show_study(report_of(study), csv_file, latex_file)
