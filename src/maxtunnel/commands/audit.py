"""The command that measures what a person's own model gives away."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from maxtunnel.commands.console import finish_with_skipped, progress, say
from maxtunnel.commands.options import Data, Holdout, Levels, Out, Preprocess, Resize, Size, Target
from maxtunnel.commands.tables import print_audit
from maxtunnel.support.progress import Stopped


def audit(
    target: Target,
    data: Data,
    holdout: Holdout = None,
    size: Size = 128,
    resize: Resize = "bilinear",
    preprocess: Preprocess = None,
    minutes: Annotated[float, typer.Option(help="For all but the mitigations.", min=0.01)] = 10.0,
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
    seed: Annotated[int, typer.Option(help="Draws split, decoders and order.", min=0)] = 0,
    out: Out = Path("audit"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the decoders of an interrupted audit in --out.")
    ] = False,
) -> None:
    """Measure what the pooling indices of your model give away; write audit.html and audit.json.

    Ctrl-C writes what is known until then.
    """
    from maxtunnel.auditing import AuditConfig, audit_folder
    from maxtunnel.support.numbers import parse_numbers

    numbers = None if levels is None else parse_numbers(levels)
    config = AuditConfig(minutes, steps, mitigations, numbers, width=width, seed=seed, decoder=decoder)
    with progress() as show:

        def on_progress(phase: str, done: int, total: int, note: str) -> None:
            if phase == "plan":
                print(f"{Path(target).name}: {note}", file=sys.stderr)
            else:
                show(phase, done, total, note)

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
