"""Locks between processes, on files; they end with the process that took them, however that ends."""

import logging
from typing import IO

from maxtunnel.support.system import lock


def take(file: IO[str]) -> bool:
    """Whether the lock on an open file is ours now, not another process's; closing the file gives it back.

    Where the file system has no locks, a warning says so and the lock counts as ours: no other process is
    then kept out.
    """
    try:
        lock(file)
    except BlockingIOError:
        return False
    except OSError as error:
        logging.getLogger("maxtunnel").warning(
            "%s cannot be locked here (%s): see to it that no other process does the same work",
            file.name,
            error,
        )
    return True
