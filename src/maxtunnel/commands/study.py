"""Commands that answer a question about a paper by many trainings."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress, say
from maxtunnel.commands.options import CsvFile, LatexFile, Out
from maxtunnel.commands.tables import check_targets, print_table
from maxtunnel.support import choices
from maxtunnel.support.tables import write_tables


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
    toy: Annotated[
        bool, typer.Option("--toy", help="Seconds: shows that it works, answers nothing.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Hours: what an answer takes.")] = False,
    labels: Annotated[
        str | None, typer.Option(help="How many images are labelled.", metavar="N,...", show_default=False)
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Networks of each kind.", min=1, show_default=False)
    ] = None,
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
    steps: Annotated[int | None, typer.Option(help="Of every training.", min=1, show_default=False)] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="For all networks, in the place of steps.", min=0.01, show_default=False),
    ] = None,
    l2rec: Annotated[float | None, typer.Option(help="Weight of the image term.", show_default=False)] = None,
    l2m: Annotated[
        float | None, typer.Option(help="Weight of each intermediate term.", show_default=False)
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(help="Share left out before fully connected layers.", show_default=False),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its highest.", show_default=False)] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Labelled images a step, and as many of all.", min=1, show_default=False),
    ] = None,
    validate: Annotated[
        bool,
        typer.Option("--validate", help="Measure on training images held out; leave the test set alone."),
    ] = False,
    out: Out = Path("study"),
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """What-where autoencoders with few labels: which term of the loss helps; write swwae.html.

    Takes minutes, with --full hours. Given again it goes on where it stopped; a folder may get more labels,
    seeds, methods and unpoolings. Several of it may work in one folder at the same time.
    """
    from maxtunnel.studies.swwae import study_swwae
    from maxtunnel.studies.swwae_conclusions import learnt, verdict
    from maxtunnel.studies.swwae_page import write_report
    from maxtunnel.studies.swwae_tables import tabulate

    if toy and full:
        raise ValueError("`toy` and `full` both say how large the study is: give one of them")
    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_swwae(
            data, out, set=set, size="toy" if toy else "full" if full else "small", labels=labels,
            seeds=seeds, methods=methods, unpoolings=unpoolings, layout=layout, steps=steps, minutes=minutes,
            l2rec=l2rec, l2m=l2m, dropout=dropout, learning_rate=learning_rate, batch=batch,
            validate=validate, command=shlex.join(["maxtunnel", *sys.argv[1:]]), on_progress=on_progress,
        )  # fmt: skip
    tables = tabulate(study)
    for table in tables:
        print_table(table)
    write_tables(tables, csv_file, latex_file)
    for sentence in (
        *verdict(study),
        *(text for number in study.grid.labels for text in learnt(study, number)),
    ):
        say(sentence)
    if study.missing:
        say(f"Not there yet, as another process is at them: {', '.join(study.missing)}")
    if study.left_out:
        say(f"Left out of the full study: {study.left_out}")
    say(f"Report: {write_report(study)}")


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
    toy: Annotated[
        bool, typer.Option("--toy", help="Seconds: shows that it works, answers nothing.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Hours: what an answer takes.")] = False,
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
    seeds: Annotated[
        int | None, typer.Option(help="Networks of each kind.", min=1, show_default=False)
    ] = None,
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
    reader_steps: Annotated[
        int | None, typer.Option(help="Of every reader.", min=1, show_default=False)
    ] = None,
    l2rec: Annotated[float | None, typer.Option(help="Weight of the image term.", show_default=False)] = None,
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
    from maxtunnel.studies.recon_dec_conclusions import verdict
    from maxtunnel.studies.recon_dec_page import write_report
    from maxtunnel.studies.recon_dec_tables import tabulate

    if toy and full:
        raise ValueError("`toy` and `full` both say how large the study is: give one of them")
    check_targets(csv_file, latex_file)
    with progress() as on_progress:
        study = study_recon_dec(
            data, val, out, encoder=encoder, inputs=inputs,
            size="toy" if toy else "full" if full else "small", parts=parts, levels=levels, seeds=seeds,
            side=side, network=network, steps=steps, reader_steps=reader_steps, l2rec=l2rec, l2m=l2m,
            seen=seen, held=held, command=shlex.join(["maxtunnel", *sys.argv[1:]]), on_progress=on_progress,
        )  # fmt: skip
    tables = tabulate(study)
    for table in tables:
        print_table(table)
    write_tables(tables, csv_file, latex_file)
    for sentence in verdict(study):
        say(sentence)
    if study.missing:
        say(f"Not there yet, as another process is at them: {', '.join(study.missing)}")
    if study.left_out:
        say(f"Left out at this size: {study.left_out}. --full leaves out nothing.")
    say(f"Report: {write_report(study)}")
