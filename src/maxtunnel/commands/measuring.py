"""What the commands that measure a person's own model share: their time, and the plan that they announce."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maxtunnel.commands.console import progress
from maxtunnel.support.progress import OnProgress


def refuse_both(minutes: float | None, steps: int | None) -> None:
    """ValueError where both bounds are given."""
    if minutes is not None and steps is not None:
        raise ValueError("`minutes` and `steps` both bound the work: give one of them")


@contextmanager
def planned_progress(target: str) -> Iterator[OnProgress]:
    """Bars as `progress` has them; what is told as the plan is a line before them, with the model's name."""
    with progress() as show:

        def on_progress(phase: str, done: int, total: int, note: str) -> None:
            if phase == "plan":
                print(f"{Path(target).name}: {note}", file=sys.stderr)
            else:
                show(phase, done, total, note)

        yield on_progress
