"""Commands on photographs: rebuild them, and keep their switches as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import Skipped, finish_with_skipped, progress, say
from maxtunnel.commands.options import (
    Engine,
    Force,
    Gpus,
    Images,
    Labels,
    Model,
    Out,
    RayAddress,
    Refine,
    Sources,
    SwitchFiles,
)
from maxtunnel.commands.tables import print_inspection, print_table, tabulate_evaluations
from maxtunnel.scale.cluster import start_engine
from maxtunnel.support.choices import Coding, SwitchFormat
from maxtunnel.support.numbers import counted
from maxtunnel.support.places import without_secrets


def demo(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Repeatable; by default 16-16-16 and 16-16-16-strong.", metavar="M"
        ),
    ] = None,
    out: Out = Path("demo"),
    labels: Labels = None,
) -> None:
    """Rebuild the four photographs in the package, and measure how close they come.

    By default the same switches are read by the paper's decoder and by a strong one.
    """
    from maxtunnel.report.demo import run_demo

    with progress() as on_progress:
        picture, evaluations = run_demo(out, models or (), labels or (), on_progress)
    title = "Four photographs of 256x256 pixels, from switches alone"
    print_table(tabulate_evaluations(evaluations, title, intervals=False))
    say(f"Picture: {picture}")


def reconstruct(
    images: Images,
    model: Model = "16-16-16",
    out: Out = Path(),
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Original on the left, reconstruction on the right."),
    ] = False,
    refine: Refine = 0,
    force: Force = False,
) -> None:
    """Rebuild photographs from their switches: one PNG each, at the photograph's own size.

    Pictures are called NAME-MODEL.png, refined ones NAME-MODEL-refined.png. One that is there is replaced
    only if the same network made it.
    """
    from maxtunnel.codec.files import reconstruct_files

    with progress() as on_progress:
        written, skipped = reconstruct_files(images, model, out, side_by_side, force, refine, on_progress)
    for path, error in written:
        say(f"{path}  (RMSE {error:.4f})")
    _finish(images, skipped, bool(written))


def encode(
    images: Sources,
    model: Model = "16-16-16",
    coding: Annotated[
        Coding,
        typer.Option(help="packed: the least whole bits a switch; entropy: fewer, as docs/codec.md says."),
    ] = "entropy",
    out: Annotated[
        str,
        typer.Option("--out", "-o", help="Folder to write to; of parquet, or its address.", metavar="DIR"),
    ] = ".",
    format: Annotated[
        SwitchFormat,
        typer.Option(
            help="mxt: a file a photograph; parquet: rows of a data set, which goes on when stopped."
        ),
    ] = "mxt",
    part_size: Annotated[
        int | None, typer.Option(help="Photographs a Parquet file; by default 1,000.", min=1)
    ] = None,
    force: Force = False,
    engine: Engine = "here",
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
) -> None:
    """Write the switches of photographs, and nothing else, as .mxt files or as a data set.

    Files are called NAME.mxt. One that is there is replaced only if it is of the same network.
    """
    from maxtunnel.codec.dataset import encode_dataset
    from maxtunnel.codec.files import encode_files

    if format == "mxt" and part_size is not None:
        raise ValueError("`part_size` is of Parquet files: give `format` parquet as well")
    if format == "parquet" and force:
        raise ValueError(
            "`force` replaces .mxt files: a data set gets a new folder, or the one it goes on in"
        )
    device = "cuda" if gpus else "cpu"
    with progress() as on_progress, start_engine(engine, ray_address, gpus) as spread:
        if format == "parquet":
            made = encode_dataset(images, model, out, coding, part_size, device, spread, on_progress)
        else:
            written, skipped = encode_files(images, model, out, coding, force, device, spread, on_progress)
    if format == "parquet":
        files, size = counted(len(made.parts), "Parquet file"), sum(part.bytes for part in made.parts)
        say(f"{without_secrets(out)}: {made.photographs:,} switch files in {files}, {size:,} bytes")
        skipped = [(Path(place), reason) for place, reason in made.skipped]
        _finish(images, skipped, bool(made.photographs))
        return
    for path, bits in written:
        say(f"{path}  ({path.stat().st_size:,} bytes, {bits:.3f} bits per pixel and colour channel)")
    _finish(images, skipped, bool(written))


def _finish(images: Sequence[str | Path], skipped: Skipped, written: bool) -> None:
    """Name what was skipped; a failure where it was asked for by name, or nothing else was there."""
    asked = {Path(without_secrets(str(image))) for image in images}
    finish_with_skipped(skipped, fail=not written or any(path in asked for path, _ in skipped))


def decode(
    files: SwitchFiles,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="By default the shipped model that a file names, with the paper's decoder; a -strong one "
            "reads the same switches.",
            metavar="M",
        ),
    ] = None,
    levels: Annotated[
        str,
        typer.Option(
            help="Levels to make use of, 1 the finest: all, or such as 3 or 3,2.", metavar="all|N,..."
        ),
    ] = "all",
    out: Out = Path(),
    limit: Annotated[
        int | None,
        typer.Option(
            help="Only the first so many images of each file; without it, a file of more than 1,000 is "
            "refused.",
            min=1,
            show_default=False,
        ),
    ] = None,
    refine: Refine = 0,
    force: Force = False,
) -> None:
    """Rebuild photographs from .mxt files.

    Pictures are called NAME-rebuilt.png, refined ones NAME-refined.png. One that is there is replaced only
    if the same network made it.
    """
    from maxtunnel.codec.files import decode_files
    from maxtunnel.support.numbers import parse_numbers

    with progress() as on_progress:
        written = decode_files(files, model, parse_numbers(levels), out, limit, force, refine, on_progress)
    for path in written:
        say(str(path))


def inspect(files: SwitchFiles) -> None:
    """Show what .mxt files hold: geometry, bits a level (nominal, entropy, stored), and the model."""
    from maxtunnel.codec.files import inspect_file

    for file in files:
        print_inspection(inspect_file(file))
