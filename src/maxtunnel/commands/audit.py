"""The command that measures what a person's own model gives away."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from maxtunnel.commands.console import finish_with_skipped, say
from maxtunnel.commands.measuring import planned_progress, refuse_both
from maxtunnel.commands.options import (
    Data,
    Engine,
    Gpus,
    Holdout,
    Levels,
    Out,
    Preprocess,
    RayAddress,
    Resize,
    Size,
    Target,
)
from maxtunnel.commands.tables import print_audit
from maxtunnel.scale.cluster import start_engine
from maxtunnel.support.progress import Stopped


def audit(
    target: Target,
    data: Data,
    holdout: Holdout = None,
    size: Size = 128,
    resize: Resize = "bilinear",
    preprocess: Preprocess = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="For all but the mitigations; by default 10.", min=0.01, show_default=False),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Of the known-switch decoders, a quarter for others: instead of minutes, repeatable.", min=1
        ),
    ] = None,
    levels: Levels = None,
    mitigations: Annotated[
        float, typer.Option(help="Minutes for trying out mitigations; 0 leaves them out.", min=0)
    ] = 0.0,
    metric: Annotated[
        str | None,
        typer.Option(
            help="The model's own task, for the mitigations: takes a module to call like the model, gives a "
            "number.",
            metavar="FILE.py:CALLABLE",
            show_default=False,
        ),
    ] = None,
    decoder: Annotated[
        Literal["mirrored", "strong", "both"],
        typer.Option(help="What reads the switches: the paper's decoder, a strong one, or the best of both."),
    ] = "both",
    width: Annotated[
        int | None,
        typer.Option(
            help="Channels of the decoders; by default their kind's own.", min=1, show_default=False
        ),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            help="Rounds in which pictures are changed, through the model, until nearly all of their own "
            "switches are those captured; 40 do most of it. Takes up to half of --minutes more.",
            metavar="ROUNDS",
            min=0,
            max=10_000,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Draws split, decoders and order.", min=0)] = 0,
    out: Out = Path("audit"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the decoders of an interrupted audit in --out.")
    ] = False,
    engine: Engine = "here",
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
) -> None:
    """Measure what the pooling indices of your model give away; write audit.html and audit.json.

    Ctrl-C writes what is known until then.
    """
    from maxtunnel.auditing import AuditConfig, audit_folder
    from maxtunnel.auditing.config import DEFAULTS
    from maxtunnel.support.numbers import parse_numbers

    refuse_both(minutes, steps)
    numbers = None if levels is None else parse_numbers(levels)
    minutes = DEFAULTS.minutes if minutes is None else minutes
    config = AuditConfig(
        minutes, steps, mitigations, numbers, width=width, seed=seed, decoder=decoder, refine=refine
    )
    with planned_progress(target) as on_progress, start_engine(engine, ray_address, gpus) as spread:
        result, page, skipped = audit_folder(
            target,
            data,
            out,
            config,
            holdout=holdout,
            size=size,
            resize=resize,
            preprocess=preprocess,
            metric=metric,
            resume=resume,
            spread=spread,
            device="cuda" if gpus else "cpu",
            command=shlex.join(["maxtunnel", *sys.argv[1:]]),
            on_progress=on_progress,
        )
    print_audit(result)
    say(f"Report: {page}")
    finish_with_skipped(skipped)
    if result.interrupted:
        raise Stopped(
            f"the report holds what was known when you interrupted; go on with --resume --out {out}"
        )
