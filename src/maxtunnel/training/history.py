"""The history of a run: its network as it was at some steps, in a folder of the run."""

from pathlib import Path

from maxtunnel.support.files import FormatError
from maxtunnel.support.numbers import counted

_FOLDER = "history"


def is_kept(step: int) -> bool:
    """Whether the network of a step belongs to the history: 0, 1, 2, 5, 10, 20, 50, 100, ..."""
    return step == 0 or str(step).rstrip("0") in ("1", "2", "5")


def history_file(run: Path, step: int) -> Path:
    """Where the network of a step lies: RUN/history/000050.safetensors."""
    return run / _FOLDER / f"{step:06d}.safetensors"


def read_history(run: str | Path) -> tuple[tuple[int, Path], ...]:
    """Steps and the files of their networks, the first step first.

    Raises:
        FormatError: `run` keeps no history, or fewer than two steps of it.
    """
    files = (Path(run) / _FOLDER).glob("*.safetensors")
    found = sorted((int(file.stem), file) for file in files if file.stem.isascii() and file.stem.isdigit())
    if len(found) < 2:
        raise FormatError(
            f"{run} holds {counted(len(found), 'network')} of a run's steps: give the folder of a run that "
            "`maxtunnel pretrain --history` or `maxtunnel train --history` began"
        )
    return tuple(found)
