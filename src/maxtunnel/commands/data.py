"""Commands on prepared data: make a store, check one, and write one for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress, say
from maxtunnel.commands.options import Engine, RayAddress, Resize, Size, Store
from maxtunnel.commands.tables import print_manifest
from maxtunnel.scale.cluster import start_engine
from maxtunnel.support.choices import ExportFormat


def prepare(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder (of class folders), Parquet files (Hugging Face), WebDataset tar shards, or the "
            "address of these.",
            metavar="SOURCE",
            show_default=False,
        ),
    ],
    store: Annotated[Path, typer.Argument(help="Folder to make.", metavar="STORE", show_default=False)],
    size: Size = 128,
    resize: Resize = "bilinear",
    select: Annotated[
        str | None,
        typer.Option(
            help="Draw so many classes and images of each, as the paper did: with replacement.",
            metavar="CLASSESxIMAGES",
        ),
    ] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="Draw without replacement.")] = False,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
    workers: Annotated[int | None, typer.Option(help="Workers; by default one a core.", min=1)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable image.")] = False,
    engine: Engine = "here",
    ray_address: RayAddress = None,
) -> None:
    """Decode and warp photographs once, into a store that opens at once. Can be stopped and goes on."""
    from maxtunnel.data import prepare as prepare_store

    with progress() as on_progress, start_engine(engine, ray_address) as spread:
        manifest = prepare_store(
            source,
            store,
            size=size,
            resize=resize,
            select=select,
            distinct=distinct,
            seed=seed,
            workers=workers,
            strict=strict,
            spread=spread,
            on_progress=on_progress,
        )
    print_manifest(store, manifest)


def verify(store: Store) -> None:
    """Read a whole store and compare it with the hashes in its manifest."""
    from maxtunnel.data import verify as verify_store

    with progress() as on_progress:
        verify_store(store, on_progress)
    say(f"{store} is whole")


def export(
    store: Store,
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False)],
    format: Annotated[ExportFormat, typer.Option(help="The Hugging Face image layout.")] = "parquet",
) -> None:
    """Write a store as Parquet files that any engine can read."""
    from maxtunnel.data import export as export_store

    with progress() as on_progress:
        export_store(store, out, format, on_progress)
    say(f"Written to {out}")
