"""The command that writes a network for other frameworks."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import say
from maxtunnel.support import choices


def export_onnx(
    model: Annotated[
        str,
        typer.Argument(
            help="Shipped name, saved file, run folder or .caffemodel.", metavar="M", show_default=False
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT.onnx", show_default=False)],
    part: Annotated[
        choices.Part,
        typer.Option(
            help="encoder: images to switches; decoder: switches to images; both: one after the other."
        ),
    ] = "both",
    half: Annotated[
        bool,
        typer.Option("--half", help="The decoder's weights in half precision: half of a strong one's file."),
    ] = False,
    pieces: Annotated[
        bool,
        typer.Option(
            "--pieces",
            help="Without padding, mean and scale, so that a large image can be taken piece by piece.",
        ),
    ] = False,
) -> None:
    """Write a network as ONNX: basic operators, any number and size of images. Needs the package onnx."""
    from maxtunnel.export.networks import export_file

    network = export_file(model, target, part, half, pieces)
    what = "both parts" if part == "both" else f"the {part}"
    say(f"{target}: {what} of {network.architecture} ({target.stat().st_size:,} bytes)")
