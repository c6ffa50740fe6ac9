"""The command that fine-tunes a person's own model so that its indices give less away."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import finish_with_skipped, say
from maxtunnel.commands.measuring import planned_progress, refuse_both
from maxtunnel.commands.options import Data, Holdout, Levels, Out, Preprocess, Resize, Size, Target
from maxtunnel.commands.tables import print_table
from maxtunnel.support import choices
from maxtunnel.support.progress import Stopped


def protect(
    target: Target,
    data: Data,
    holdout: Holdout = None,
    size: Size = 128,
    resize: Resize = "bilinear",
    preprocess: Preprocess = None,
    weights: Annotated[
        str,
        typer.Option(
            help="Of the penalty on what a reader rebuilds, one model each; 0 is the control.",
            metavar="W,...",
        ),
    ] = "0,0.1,1",
    minutes: Annotated[
        float | None, typer.Option(help="For everything; by default 30.", min=0.01, show_default=False)
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Of every fine-tuning and every reader: instead of minutes, repeatable.",
            min=1,
            show_default=False,
        ),
    ] = None,
    levels: Levels = None,
    trained: Annotated[
        choices.Trained, typer.Option(help="All weights, or those on which what is pooled depends.")
    ] = "all",
    batch_norm: Annotated[
        choices.BatchNorm, typer.Option(help="Whether its running statistics follow while fine-tuning.")
    ] = "frozen",
    learning_rate: Annotated[float, typer.Option(help="Of the model, at its highest.", min=0.0)] = 1e-3,
    alone: Annotated[
        bool, typer.Option("--alone", help="Leave out what can be done without training.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(
            help="The model's own task: takes a module to call like the model, gives a number, or one for "
            "each photograph.",
            metavar="FILE.py:CALLABLE",
            show_default=False,
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(help="Channels of the readers; by default as in an audit.", min=1, show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws split, readers and order.", min=0)] = 0,
    out: Out = Path("protected"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted protection in --out.")
    ] = False,
) -> None:
    """Fine-tune your model so that its pooling indices give less away; write weights, protect.html and .json.

    Ctrl-C keeps what is trained until then.
    """
    from maxtunnel.protection import ProtectionConfig, protect_folder
    from maxtunnel.protection.conclusions import verdict, warnings
    from maxtunnel.protection.config import DEFAULTS, parse_weights
    from maxtunnel.protection.tables import tabulate
    from maxtunnel.protection.weights import how_to_load
    from maxtunnel.support.numbers import parse_numbers

    refuse_both(minutes, steps)
    numbers = None if levels is None else parse_numbers(levels)
    config = ProtectionConfig(
        DEFAULTS.minutes if minutes is None else minutes,
        parse_weights(weights),
        steps,
        numbers,
        trained,
        batch_norm,
        learning_rate,
        alone=alone,
        width=width,
        seed=seed,
    )
    with planned_progress(target) as on_progress:
        result, page, skipped = protect_folder(
            target, data, out, config, holdout=holdout, size=size, resize=resize, preprocess=preprocess,
            metric=metric, resume=resume, command=shlex.join(["maxtunnel", *sys.argv[1:]]),
            on_progress=on_progress,
        )  # fmt: skip
    print_table(tabulate(result))
    for sentence in verdict(result):
        say(sentence)
    for warning in warnings(result):
        say(f"Note: {warning}")
    for line in result.models[-1:]:
        say(how_to_load(out / line.file))
    say(f"Report: {page}")
    finish_with_skipped(skipped)
    if result.interrupted:
        raise Stopped(
            "the report holds what was known when you interrupted, and the weights lie beside it; go on with "
            f"--resume --out {out}"
        )
