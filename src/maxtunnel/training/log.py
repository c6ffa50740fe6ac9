"""The log of a run: a row of figures every so many steps."""

import csv
from pathlib import Path
from typing import Literal

from maxtunnel.support.choices import Logger
from maxtunnel.support.files import replacing
from maxtunnel.training.engine import FigureLogger, start_logger


class Log:
    """metrics.csv of a run, and the logger that was asked for.

    The file is our own: Lightning's CSVLogger deletes the one that is there when it starts, so a resumed run
    would lose its beginning.

    Args:
        run: the run's folder.
        step: the step that is resumed; rows from after it are dropped.
        metric: the name of the phase's metric.
        writes: False in all processes but one; then nothing is written.
        logger: where the figures go besides.
    """

    def __init__(
        self, run: Path, step: int, metric: str, writes: bool = True, logger: Logger | None = None
    ) -> None:
        self.writes, self._path = writes, run / "metrics.csv"
        self._other: FigureLogger | None = None
        if not writes:
            return
        self._columns = ("step", "loss", metric, "learning_rate", "images_per_second")
        rows = [row for row in self._whole_rows() if int(row[0]) <= step]
        with replacing(self._path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([self._columns, *rows])
        if logger is not None:
            self._other = start_logger(logger, run, step)

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
        if self._other is not None:
            self._other.log_metrics(dict(zip(self._columns[1:], values, strict=True)), step)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close("success" if kind is None else "failed")

    def close(self, status: Literal["success", "failed"] = "success") -> None:
        """Write out what the logger still holds, and how the run ended, where the logger notes that."""
        if self._other is not None:
            self._other.finalize(status)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
