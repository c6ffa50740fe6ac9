"""Commands that answer a question about a paper by many trainings."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress, say
from maxtunnel.commands.options import CsvFile, LatexFile, Out
from maxtunnel.commands.studying import (
    Batch,
    Full,
    ImageWeight,
    NetworkSteps,
    Rate,
    ReaderSteps,
    Seeds,
    Toy,
    Validate,
    command_line,
    show_study,
    study_size,
)
from maxtunnel.commands.tables import check_targets
from maxtunnel.support import choices


def swwae(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="The set's own files, or train and test: folders of class folders, or stores.",
            show_default=False,
        ),
    ],
    set: Annotated[choices.LabelledSetName, typer.Option(help="Which set it is.")] = "mnist",
    toy: Toy = False,
    full: Full = False,
    labels: Annotated[
        str | None, typer.Option(help="How many images are labelled.", metavar="N,...", show_default=False)
    ] = None,
    seeds: Seeds = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Some of untrained, supervised, image, intermediate, both; or all.",
            metavar="NAME,...",
            show_default=False,
        ),
    ] = None,
    unpoolings: Annotated[
        str | None,
        typer.Option(
            help="Some of switches, fixed, average; or all.", metavar="NAME,...", show_default=False
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="As the paper writes it: (16)5c-(32)3c-2p.", metavar="L", show_default=False),
    ] = None,
    recipe: Annotated[
        choices.RecipeName | None,
        typer.Option(
            help="How networks are trained; paper is gradient descent, all that is known of it.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of every training.", min=1, show_default=False)] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="For all networks, in the place of steps.", min=0.01, show_default=False),
    ] = None,
    l2rec: ImageWeight = None,
    l2m: Annotated[
        float | None, typer.Option(help="Weight of each intermediate term.", show_default=False)
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(help="Share left out before fully connected layers.", show_default=False),
    ] = None,
    learning_rate: Rate = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Labelled images a step, and as many of all.", min=1, show_default=False),
    ] = None,
    validate: Validate = False,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """What-where autoencoders with few labels: which term of the loss helps; write swwae.html.

    Takes minutes, with --full hours. Given again it goes on where it stopped; a folder may get more labels,
    seeds, methods and unpoolings. Several of it may work in one folder at the same time.
    """
    from maxtunnel.studies.swwae import study_swwae
    from maxtunnel.studies.swwae_page import report_of

    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_swwae(
            data, out, set=set, size=study_size(toy, full), labels=labels, seeds=seeds, methods=methods,
            unpoolings=unpoolings, layout=layout, recipe=recipe, steps=steps, minutes=minutes,
            l2rec=l2rec, l2m=l2m, dropout=dropout, learning_rate=learning_rate, batch=batch,
            validate=validate, command=command_line(), on_progress=on_progress,
        )  # fmt: skip
    show_study(report_of(study), csv_file, latex_file)


def recon_dec(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="Photographs to train on: a folder of class folders, or a store.",
            show_default=False,
        ),
    ],
    val: Annotated[
        Path, typer.Option("--val", help="Others to measure on, of the same classes.", show_default=False)
    ],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Whose depths are read: a VGG's file, a network of ours, or an architecture such as vgg16 "
            "with random weights; by default one that is trained here.",
            metavar="FILE|NAME",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        choices.VggInputs | None,
        typer.Option(help="What the VGG of a file was trained on; by default as usual for such files."),
    ] = None,
    toy: Toy = False,
    full: Full = False,
    parts: Annotated[
        str | None,
        typer.Option(help="Some of depths, networks; or all.", metavar="NAME,...", show_default=False),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Depths that are read, by the number of the pooling.", metavar="N,...", show_default=False
        ),
    ] = None,
    seeds: Seeds = None,
    side: Annotated[
        int | None,
        typer.Option(help="Photographs are warped to so many pixels a side.", min=8, show_default=False),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="Networks with classes: filters per block.", metavar="ARCH", show_default=False),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Of every network with classes.", min=1, show_default=False)
    ] = None,
    reader_steps: ReaderSteps = None,
    l2rec: ImageWeight = None,
    l2m: Annotated[
        float | None, typer.Option(help="Weight of each plane's term.", show_default=False)
    ] = None,
    seen: Annotated[
        int | None, typer.Option(help="Photographs that readers are trained on.", min=1, show_default=False)
    ] = None,
    held: Annotated[
        int | None,
        typer.Option(help="Photographs that reconstructions are measured on.", min=1, show_default=False),
    ] = None,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """What a VGG's features and its switches each carry, depth by depth; write recon-dec.html.

    Readers rebuild photographs from either and both, and decoders are trained beside a classifier. Takes
    minutes, with --full hours. Given again it goes on where it stopped. Several of it may work in one folder
    at the same time.
    """
    from maxtunnel.studies.recon_dec import study_recon_dec
    from maxtunnel.studies.recon_dec_page import report_of

    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_recon_dec(
            data, val, out, encoder=encoder, inputs=inputs, size=study_size(toy, full), parts=parts,
            levels=levels, seeds=seeds, side=side, network=network, steps=steps, reader_steps=reader_steps,
            l2rec=l2rec, l2m=l2m, seen=seen, held=held, command=command_line(), on_progress=on_progress,
        )  # fmt: skip
    show_study(report_of(study), csv_file, latex_file)


def all_conv(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="CIFAR-10: its binary files, or train and test: folders of class folders, or stores.",
            show_default=False,
        ),
    ],
    toy: Toy = False,
    full: Full = False,
    bases: Annotated[
        str | None, typer.Option(help="Some of A, B, C; or all.", metavar="NAME,...", show_default=False)
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(
            help="Some of base, strided, convpool, all; all gives each.",
            metavar="NAME,...",
            show_default=False,
        ),
    ] = None,
    seeds: Seeds = None,
    places: Annotated[
        str | None,
        typer.Option(help="Where planes are halved, that are read.", metavar="N,...", show_default=False),
    ] = None,
    recipe: Annotated[
        choices.RecipeName | None,
        typer.Option(
            help="How networks are trained; paper has 350 passes over the images.", show_default=False
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Filters of block 1; 96 as published.", min=1, show_default=False)
    ] = None,
    steps: NetworkSteps = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    reader_steps: ReaderSteps = None,
    seen: Annotated[
        int | None, typer.Option(help="Images that readers are trained on.", min=1, show_default=False)
    ] = None,
    augment: Annotated[
        bool, typer.Option("--augment", help="Mirror images, and shift them by up to 5 pixels.")
    ] = False,
    validate: Validate = False,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """Networks with and without pooling: their errors, and what each gives away; write all-conv.html.

    Takes minutes, with --full hours, or minutes on a GPU. Given again it goes on where it stopped. Several of
    it may work in one folder at the same time.
    """
    from maxtunnel.studies.all_conv import study_all_conv
    from maxtunnel.studies.all_conv_page import report_of

    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_all_conv(
            data, out, size=study_size(toy, full), bases=bases, variants=variants, seeds=seeds, places=places,
            recipe=recipe, width=width, steps=steps, batch=batch, learning_rate=learning_rate,
            reader_steps=reader_steps, seen=seen, augment=augment, validate=validate,
            command=command_line(), on_progress=on_progress,
        )  # fmt: skip
    show_study(report_of(study), csv_file, latex_file)


def verdicts(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Of studies, or folders in which such folders lie.", metavar="DIR...", show_default=False
        ),
    ],
    into: Annotated[
        Path,
        typer.Option(
            help="Document in Markdown; its older section is replaced.", metavar="FILE", show_default=False
        ),
    ],
) -> None:
    """Put what studies found into a document, such as the claims that `reproduce` wrote."""
    from maxtunnel.studies.verdicts import write_verdicts

    for verdict in write_verdicts(folders, into):
        say(verdict.title)
    say(f"Verdicts: {into}")
