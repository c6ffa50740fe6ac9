"""Photographs to classes of pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import finish_with_skipped, progress, say
from maxtunnel.commands.options import Force, Images, Out
from maxtunnel.support import choices
from maxtunnel.support.choices import STREETS

DenseModel = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A network that answers for every pixel: one that ships (segnet-camvid, cedn-bsds), a file "
        "that a study kept in runs, or a .caffemodel of SegNet, DeconvNet or CEDN.",
        metavar="M",
    ),
]
Switches = Annotated[
    choices.DenseShown,
    typer.Option(
        help="What the decoder is given: the image's own switches, fixed ones, another image's, its own "
        "with a constant in the features' place; all shows each."
    ),
]
Other = Annotated[
    Path | None,
    typer.Option(
        help="The image whose switches `other` is; by default the next one.",
        metavar="IMAGE",
        show_default=False,
    ),
]
Side = Annotated[
    int,
    typer.Option(
        help="Longest side in pixels of pictures. The network is given images as large as its file says, "
        "otherwise as large as pictures are.",
        min=1,
    ),
]


def segment(
    images: Images,
    model: DenseModel = STREETS,
    out: Out = Path(),
    switches: Switches = "known",
    other: Other = None,
    side: Side = 480,
    masks: Annotated[
        bool,
        typer.Option("--masks", help="Write NAME-mask.png too: classes as numbers, at the image's own size."),
    ] = False,
    force: Force = False,
) -> None:
    """Draw the classes of photographs: the photograph, its classes in colours, both, and a legend.

    Pictures are called NAME-classes.png. One that is there is replaced only if the same network made it.
    """
    from maxtunnel.report.dense_files import segment_files

    with progress() as on_progress:
        written, skipped = segment_files(images, model, out, switches, other, side, masks, force, on_progress)
    finish_drawn(written, skipped, images)


def finish_drawn(
    written: Sequence[tuple[Path, str]], skipped: Sequence[tuple[Path, str]], images: Sequence[Path]
) -> None:
    """Tell what was drawn, and what could not be read; exit with status 2 where that was named."""
    for path, about in written:
        say(f"{path}  ({about})")
    asked = set(images)
    finish_with_skipped(skipped, fail=not written or any(path in asked for path, _ in skipped))
