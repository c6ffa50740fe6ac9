"""The command that opens the page."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import say
from maxtunnel.commands.spelling import Context, spell, spellings


def serve(
    context: Context,
    networks: Annotated[
        list[Path] | None,
        typer.Option(
            "--network",
            help="Repeatable: a network to offer beside those that ship, such as an imported VGG, or one "
            "that answers for every pixel; its file, or the folder of a run.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others on the network in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 7860,
    auth: Annotated[
        str | None,
        typer.Option(
            help="What visitors must give.",
            metavar="NAME:PASSWORD",
            envvar="MAXTUNNEL_AUTH",
            show_default=False,
        ),
    ] = None,
    max_megabytes: Annotated[int, typer.Option(help="Of a file.", min=1)] = 20,
    max_megapixels: Annotated[
        int, typer.Option(help="Of a photograph, before it is made smaller.", min=1)
    ] = 25,
    max_side: Annotated[
        int,
        typer.Option(help="Longest side to compute on: 128, 256, 512, 1024 or 2048 pixels."),
    ] = 1024,
) -> None:
    """Open a page in which to try all this on your own photographs. Nothing leaves the machine."""
    from maxtunnel.web import Limits
    from maxtunnel.web import serve as serve_page

    known = spellings(context.command.params)
    limits = Limits(max_megabytes, max_megapixels, max_side)
    serve_page(host, port, auth, limits, lambda text: say(spell(text, known)), networks or ())
