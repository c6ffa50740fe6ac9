"""`maxtunnel`, and `python -m maxtunnel`."""

import sys

from maxtunnel.commands.app import command_line, spellings_of
from maxtunnel.commands.console import explain
from maxtunnel.support.memory import keep_freed_memory


def main() -> int:
    """Run the command line; an error is one line on standard error and exit status 2."""
    arguments = sys.argv[1:]
    keep_freed_memory()
    try:
        return command_line()(arguments, prog_name="maxtunnel", standalone_mode=False) or 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - what explain does not know is raised again
        return explain(error, spellings_of(arguments))


if __name__ == "__main__":
    sys.exit(main())
