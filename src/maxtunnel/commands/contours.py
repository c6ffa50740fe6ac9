"""Photographs to contours."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress
from maxtunnel.commands.options import Force, Images, Out
from maxtunnel.commands.segment import DenseModel, Other, Side, Switches, finish_drawn
from maxtunnel.support.choices import OUTLINES


def contours(
    images: Images,
    model: DenseModel = OUTLINES,
    out: Out = Path(),
    switches: Switches = "known",
    other: Other = None,
    side: Side = 480,
    thick: Annotated[
        bool, typer.Option("--thick", help="Leave contours as wide as the network draws them.")
    ] = False,
    strengths: Annotated[
        bool,
        typer.Option("--strengths", help="Write NAME-strength.png too: grey levels at the image's own size."),
    ] = False,
    force: Force = False,
) -> None:
    """Draw the contours of photographs: the photograph, its contours, and both.

    Pictures are called NAME-contours.png. One that is there is replaced only if the same network made it.
    """
    from maxtunnel.report.contour_files import contour_files

    with progress() as on_progress:
        written, skipped = contour_files(
            images, model, out, switches, other, side, thick, strengths, force, on_progress
        )
    finish_drawn(written, skipped, images)
