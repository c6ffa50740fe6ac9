"""The command that times everything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxtunnel.commands.console import progress
from maxtunnel.commands.options import CsvFile, JsonFile, LatexFile
from maxtunnel.commands.tables import check_targets, print_benchmark
from maxtunnel.support.tables import write_tables

if TYPE_CHECKING:
    from maxtunnel.benchmark.run import Benchmark


def bench(
    models: Annotated[
        str, typer.Option(help="Architectures, or 8-8-8-strong-112, separated by commas.", metavar="ARCH,...")
    ] = "8-8-8,16-16-16,24-48-96,64-64-64",
    batches: Annotated[
        str, typer.Option(help="Photographs that an operation is done to.", metavar="N,...")
    ] = "16",
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
    """Time every operation against stock PyTorch and against the limits of the machine.

    Runs on the GPU if there is one. Files are written after every part anew, so a run that is cut short
    leaves what it had.
    """
    from maxtunnel.benchmark.run import run_benchmark
    from maxtunnel.benchmark.tables import markdown as to_markdown
    from maxtunnel.benchmark.tables import tabulate
    from maxtunnel.support.files import replacing

    def write(result: "Benchmark") -> None:
        if markdown is not None:
            with replacing(markdown) as temporary:
                temporary.write_text(to_markdown(result), encoding="utf-8")
        write_tables([tabulate(result)], csv_file, latex_file)

    check_targets(json_file, markdown, csv_file, latex_file)
    numbers = _numbers(batches)
    with progress() as on_progress:
        result = run_benchmark(
            _names(models), repeats, _names(large), numbers, json_file, on_progress, on_part=write
        )
    print_benchmark(result)
    if result.failures:
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in _names(text)]
    except ValueError:
        raise ValueError(f"`batches` is {text!r}: give whole numbers, separated by commas") from None
