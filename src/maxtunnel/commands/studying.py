"""What the commands of studies share: options, their size, and how one is told."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maxtunnel.commands.console import say
from maxtunnel.commands.tables import print_table
from maxtunnel.support.tables import write_tables

if TYPE_CHECKING:
    from maxtunnel.studies.report import Report

Toy = Annotated[bool, typer.Option("--toy", help="Under a minute: shows that it works, answers nothing.")]
Full = Annotated[bool, typer.Option("--full", help="Hours: what an answer takes.")]
Seeds = Annotated[int | None, typer.Option(help="Networks of each kind.", min=1, show_default=False)]
NetworkSteps = Annotated[int | None, typer.Option(help="Of every network.", min=1, show_default=False)]
ReaderSteps = Annotated[int | None, typer.Option(help="Of every reader.", min=1, show_default=False)]
Batch = Annotated[int | None, typer.Option(help="Images a step.", min=1, show_default=False)]
Rate = Annotated[float | None, typer.Option(help="At its highest.", show_default=False)]
ImageWeight = Annotated[float | None, typer.Option(help="Weight of the image term.", show_default=False)]
Validate = Annotated[
    bool, typer.Option("--validate", help="Measure on training images held out; leave the test set alone.")
]


def study_size(toy: bool, full: bool) -> Literal["toy", "small", "full"]:
    """Which size the options ask for.

    Raises:
        ValueError: both do.
    """
    if toy and full:
        raise ValueError("`toy` and `full` both say how large the study is: give one of them")
    return "toy" if toy else "full" if full else "small"


def command_line() -> str:
    """The command as it was given, for the record."""
    return shlex.join(["maxtunnel", *sys.argv[1:]])


def show_study(report: "Report", csv_file: Path | None, latex_file: Path | None) -> None:
    """Print what a study tells, and write its tables, its page and its verdict."""
    from maxtunnel.studies.verdicts import TOY

    if report.verdict.toy:
        say(TOY)
    for table in report.tables:
        print_table(table)
    write_tables(report.tables, csv_file, latex_file)
    for sentence in (*report.verdict.sentences, *report.verdict.gaps):
        say(sentence)
    say(f"Report: {report.write()}")
