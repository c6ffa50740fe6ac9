"""The command that builds the page without a server."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import say


def site(
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False)],
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(
            help="Folder of that npm package (node_modules/onnxruntime-web); by default npm fetches it.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            help="Networks that ship, by name, the one shown first before the others.", metavar="M,..."
        ),
    ] = "16-16-16,8-8-8",
) -> None:
    """Build a page that rebuilds photographs in the browser, without a server. Needs the package onnx."""
    from maxtunnel.site.build import build_site

    size = build_site(out, onnxruntime_web, [name for name in models.split(",") if name])
    say(f"{out}: {size / 1e6:.1f} MB. To see it: python -m http.server --directory {out}")
