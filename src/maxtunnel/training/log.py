"""The log of a run: a row of figures every so many steps."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maxtunnel.support.files import replacing


class Log:
    """metrics.csv of a run, and TensorBoard events where the `tensorboard` extra is installed.

    Args:
        run: the run's folder.
        step: the step that is resumed; rows from after it are dropped.
        metric: the name of the phase's metric.
        writes: False in all processes but one; then nothing is written.
    """

    def __init__(self, run: Path, step: int, metric: str, writes: bool = True) -> None:
        self.writes, self._path, self._events = writes, run / "metrics.csv", None
        if not writes:
            return
        self._columns = ("step", "loss", metric, "learning_rate", "images_per_second")
        rows = [row for row in self._whole_rows() if int(row[0]) <= step]
        with replacing(self._path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([self._columns, *rows])
        self._events = _events(run, step)

    def _whole_rows(self) -> list[list[str]]:
        """The rows that are there, but for what a power cut left of one, which may end in NULs."""
        if not self._path.exists():
            return []
        lines = self._path.read_bytes().split(b"\r\n")[1:-1]
        rows = [line.decode("ascii", "replace").split(",") for line in lines]
        return [row for row in rows if len(row) == len(self._columns) and all(map(_is_number, row))]

    def row(self, step: int, *values: float) -> None:
        """Note loss, metric, learning rate and images per second at `step`."""
        if not self.writes:
            return
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow([step, *(f"{value:.6g}" for value in values)])
        if self._events is not None:
            for name, value in zip(self._columns[1:], values, strict=True):
                self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        if self._events is not None:
            self._events.close()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _events(run: Path, step: int) -> Any:
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(run / "tensorboard", purge_step=step + 1)
