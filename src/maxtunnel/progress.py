"""How long work tells of itself, without knowing who listens."""

from collections.abc import Callable

# What is being done, how far, out of how much, and a word about it.
OnProgress = Callable[[str, int, int, str], None]


def silent(phase: str, done: int, total: int, note: str) -> None:
    """Listen to nothing."""


def counter(on_progress: OnProgress, phase: str) -> Callable[[int, int], None]:
    """For work of one phase: takes only how far and out of how much."""
    return lambda done, total: on_progress(phase, done, total, "")
