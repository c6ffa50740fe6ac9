"""Ways to run the command line in tests."""

import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

from typer.testing import CliRunner

from maxtunnel.__main__ import main
from maxtunnel.commands.app import command_line


def run(*arguments, status=0):
    """In a process of its own; standard output and error as text."""
    done = subprocess.run(
        [sys.executable, "-m", "maxtunnel", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def call(*arguments):
    """In this process, which is quicker; what it prints. It must end well."""
    words = [str(argument) for argument in arguments]
    # Not by `invoke`: that puts the command line together anew, which takes longer than many commands.
    with CliRunner().isolation() as (*_, output):
        ended = command_line()(words, prog_name="maxtunnel", standalone_mode=False)
        sys.stdout.flush()
        printed = output.getvalue().decode()
    assert not ended, printed
    return printed


def here(*arguments, status=0):
    """As `run`, in this process."""
    command = ["maxtunnel", *map(str, arguments)]
    # How the process keeps its memory is not for a test to change.
    with (
        patch.object(sys, "argv", command),
        patch("maxtunnel.__main__.keep_freed_memory"),
        redirect_stdout(StringIO()) as output,
        redirect_stderr(StringIO()) as errors,
    ):
        ended = main()
    assert ended == status, errors.getvalue()
    return output.getvalue(), errors.getvalue()


def refuse(*arguments):
    """In this process; the one line on standard error with which it must end, in status 2."""
    lines = here(*arguments, status=2)[1].splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("maxtunnel: ")
    return lines[0]
