"""The command that times everything."""

from pathlib import Path
from typing import Annotated

import typer

from maxtunnel.commands.console import progress
from maxtunnel.commands.options import CsvFile, JsonFile, LatexFile
from maxtunnel.commands.tables import print_benchmark
from maxtunnel.support.tables import write_tables


def bench(
    models: Annotated[
        str, typer.Option(help="Architectures, separated by commas.", metavar="ARCH,...")
    ] = "8-8-8,16-16-16,24-48-96,64-64-64",
    large: Annotated[
        str,
        typer.Option(help="Architectures that rebuild 1, 12 and 48 megapixels.", metavar="ARCH,..."),
    ] = "",
    repeats: Annotated[int, typer.Option(help="Rounds; every way has a turn in each.", min=1)] = 7,
    json_file: JsonFile = None,
    markdown: Annotated[Path | None, typer.Option(help="Write tables here too.", metavar="FILE")] = None,
    csv_file: CsvFile = None,
    latex_file: LatexFile = None,
) -> None:
    """Time every operation against stock PyTorch and against the limits of the machine."""
    from maxtunnel.benchmark.run import run_benchmark
    from maxtunnel.benchmark.tables import markdown as to_markdown
    from maxtunnel.benchmark.tables import tabulate
    from maxtunnel.support.files import replacing

    with progress() as on_progress:
        result = run_benchmark(_names(models), repeats, _names(large), json_file, on_progress)
    if markdown is not None:
        with replacing(markdown) as temporary:
            temporary.write_text(to_markdown(result))
    write_tables([tabulate(result)], csv_file, latex_file)
    print_benchmark(result)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
