"""How long work says how far it is, without knowing who listens, and how it says that it was stopped."""

from collections.abc import Callable

# What is being done, how much of it is done, out of how much, and a word about it.
OnProgress = Callable[[str, int, int, str], None]


def silent(phase: str, done: int, total: int, note: str) -> None:
    """Listen to nothing."""


class Stopped(Exception):
    """The work was interrupted; what was done is saved, and the message says how to go on."""
