"""What the command line says: lines, progress and errors."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column as RichColumn

from maxtunnel.commands.spelling import Spellings, spell
from maxtunnel.support.memory import is_out_of_memory
from maxtunnel.support.progress import OnProgress, Stopped

Skipped = Sequence[tuple[Path, str]]

output = Console()
_errors = Console(stderr=True)


@runtime_checkable
class _UsageError(Protocol):
    """An error of Typer about the arguments; its class has moved between versions."""

    def format_message(self) -> str: ...


def say(text: str) -> None:
    """Print a line, whole, however narrow the terminal."""
    output.print(escape(text), soft_wrap=True, highlight=False)


def explain(error: BaseException, known: Spellings | None = None) -> int:
    """Print an error that a person can do something about as one line; raise any other again.

    Args:
        error: what ended the command.
        known: how the command spells its parameters, which errors of the library name in backticks.

    Returns:
        The exit status: 2, or 130 after Ctrl-C.
    """
    text = " ".join(str(error).split())
    if isinstance(error, _UsageError):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "maxtunnel COMMAND"
        text = f"{_plain(error.format_message())} ({command} --help shows how)"
    elif isinstance(error, typer.Abort | KeyboardInterrupt):
        text = "interrupted"
    elif is_out_of_memory(error):
        why = text[:120] or type(error).__name__
        text = f"not enough memory: take fewer or smaller photographs, or fewer filters ({why})"
    elif isinstance(error, OSError) and error.filename is not None:
        # Of two files, as in renaming, the second is the one that was asked for.
        text = f"{error.filename2 or error.filename}: {error.strerror}"
    elif not isinstance(error, Stopped | ValueError | OSError):
        raise error
    print(f"maxtunnel: {spell(text, known or {}) or type(error).__name__}", file=sys.stderr)
    return 130 if isinstance(error, Stopped | typer.Abort | KeyboardInterrupt) else 2


def _plain(message: str) -> str:
    """Without the name of the exception that some versions of Typer put before the reason."""
    return message.replace("Value error, ", "")


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Bars on standard error, one a phase, gone when all is done; in a log, a line every half minute."""
    if not _errors.is_terminal:
        yield _line_a_while()
        return
    with bars_on(_errors) as bars:
        tasks: dict[str, object] = {}

        def on_progress(phase: str, done: int, total: int, note: str = "") -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, note="")
            bars.update(tasks[phase], completed=done, total=total, note=note)  # type: ignore[arg-type]

        yield on_progress


def bars_on(console: Console) -> Progress:
    """Bars that keep name, count and time left on a narrow terminal: the note at the end is cut first."""
    wide = console.width >= 100
    return Progress(
        TextColumn(
            "{task.description}", table_column=RichColumn(no_wrap=True, overflow="ellipsis", max_width=30)
        ),
        BarColumn(bar_width=40 if wide else 8),
        MofNCompleteColumn(table_column=RichColumn(no_wrap=True, min_width=9)),
        TimeRemainingColumn(
            elapsed_when_finished=True, table_column=RichColumn(no_wrap=True, min_width=len("-:--:--"))
        ),
        TextColumn(
            "{task.fields[note]}", table_column=RichColumn(no_wrap=True, overflow="ellipsis", ratio=1)
        ),
        console=console,
        transient=True,
        expand=True,
    )


def _line_a_while(seconds: float = 30.0) -> OnProgress:
    said = time.monotonic()

    def on_progress(phase: str, done: int, total: int, note: str = "") -> None:
        nonlocal said
        if time.monotonic() - said > seconds:
            said = time.monotonic()
            print(f"{phase}: {done:,} of {total:,} {note}".rstrip(), file=sys.stderr)

    return on_progress


def finish_with_skipped(skipped: Skipped, fail: bool = False) -> None:
    """Name the files that were left out, and why, on standard error; with `fail`, exit with status 2."""
    if not skipped:
        return
    print(f"skipped ({len(skipped)}):", file=sys.stderr)
    for _, reason in skipped:
        print(f"  {reason}", file=sys.stderr)
    if fail:
        raise typer.Exit(2)
