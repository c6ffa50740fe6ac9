"""What a study keeps: its settings, and a row for each run, written when the run ends.

    DIR/study.json           which study, and its settings
    DIR/runs/NAME.json       the row of a run
    DIR/runs/NAME.png        pictures of it, where there are any
    DIR/runs/NAME.safetensors   its network, where that is kept

A study that was stopped, or is to have more runs, goes on in the same folder. Several processes may work in
one folder: each run is done by one of them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from maxtunnel.support.files import FormatError, check_folder, one_line, replacing
from maxtunnel.support.locks import take
from maxtunnel.support.progress import OnProgress, Stopped
from maxtunnel.support.records import Json, from_json, to_json
from maxtunnel.training.loop import interrupts

Row = TypeVar("Row")
_FILE = "study.json"


@runtime_checkable
class Run(Protocol):
    """A run of a study."""

    @property
    def name(self) -> str:
        """It decides the files, and no two runs of a study share it."""


AnyRun = TypeVar("AnyRun", bound=Run)


class Rows(Generic[Row]):
    """The rows in a study's folder.

    Args:
        out: the folder; missing ones are made.
        study: name of the study.
        settings: a dataclass instance with all that decides what a run of a name comes to.
        kind: the dataclass of a row.

    Raises:
        ValueError: the folder cannot be written to, or holds another study, or one with other settings.
        FormatError: its study.json is damaged.
    """

    def __init__(self, out: str | Path, study: str, settings: object, kind: type[Row]) -> None:
        check_folder(out)
        self.folder, self._kind = Path(out), kind
        wanted: dict[str, Json] = {"study": study, "settings": to_json(settings)}
        kept = kept_settings(out)
        if kept is None:
            with replacing(self.folder / _FILE) as temporary:
                temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        else:
            _refuse_others(out, kept, wanted)
        self._runs = self.folder / "runs"
        self._runs.mkdir(parents=True, exist_ok=True)

    def get(self, name: str) -> Row | None:
        """The row of a run; None where it has not ended yet.

        Raises:
            FormatError: its file is damaged.
        """
        path = self._runs / f"{name}.json"
        if not path.exists():
            return None
        try:
            return from_json(self._kind, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise FormatError(
                f"{path} cannot be read ({one_line(error)}): delete it to run it again"
            ) from None

    def keep(self, name: str, row: Row) -> None:
        """Write the row of a run that has ended."""
        with replacing(self._runs / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(to_json(row)) + "\n", encoding="utf-8")

    def sorted_out(self, runs: Iterable[Run]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
        """The rows of these runs that have ended, in their order, and the names of the others."""
        found = {run.name: self.get(run.name) for run in runs}
        return (
            tuple(row for row in found.values() if row is not None),
            tuple(name for name, row in found.items() if row is None),
        )

    def picture(self, name: str) -> Path:
        """Where the pictures of a run lie."""
        return self._runs / f"{name}.png"

    def keep_picture(self, name: str, data: bytes) -> None:
        """Write a PNG file."""
        with replacing(self.picture(name)) as temporary:
            temporary.write_bytes(data)

    def network(self, name: str) -> Path:
        """Where the network of a run lies."""
        return self._runs / f"{name}.safetensors"

    def find_network(self, name: str) -> Path:
        """Where the network of a run that has ended lies.

        Raises:
            FormatError: it is not there any more.
        """
        path = self.network(name)
        if not path.exists():
            raise FormatError(f"{path} is missing: delete {path.with_suffix('.json')} to train it again")
        return path

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Whether the run is this process's to do: nobody has done it, and no other process is at it."""
        if self.get(name) is not None:
            yield False
            return
        path = self._runs / f"{name}.lock"
        with path.open("w") as file:
            taken = take(file)
            try:
                yield taken and self.get(name) is None
            finally:
                if taken:
                    with suppress(OSError):
                        path.unlink()


@runtime_checkable
class _Kept(Protocol):
    """Rows, of whatever kind."""

    folder: Path

    def get(self, name: str) -> object:
        """As of `Rows`."""

    def claim(self, name: str) -> AbstractContextManager[bool]:
        """As of `Rows`."""


def do_missing(
    runs: Sequence[AnyRun],
    rows_of: Callable[[AnyRun], _Kept],
    do: Callable[[AnyRun, Callable[[], bool]], None],
    on_progress: OnProgress,
    noun: str = "networks",
) -> None:
    """Do every run of a study that is missing, but for those that another process is at.

    Args:
        runs: in this order.
        rows_of: where the row of a run is kept.
        do: does a run and keeps its row, unless the function that it is given says to stop.
        on_progress: told of every run before it begins.
        noun: what runs are called there, and in messages.

    Raises:
        Stopped: interrupted; what is done is kept.
    """
    with interrupts() as interrupted:
        for number, run in enumerate(runs):
            on_progress(noun, number, len(runs), run.name)
            with rows_of(run).claim(run.name) as mine:
                if mine:
                    do(run, interrupted.is_set)
            if interrupted.is_set():
                done = sum(rows_of(each).get(each.name) is not None for each in runs)
                raise Stopped(
                    f"stopped; {done} of {len(runs)} {noun} are kept in {rows_of(run).folder}: give the same "
                    "command again to go on"
                )
    on_progress(noun, len(runs), len(runs), "")


def kept_settings(out: str | Path) -> dict[str, Json] | None:
    """`study` and `settings` of the study in a folder; None where there is none.

    Raises:
        FormatError: its study.json is damaged.
    """
    path = Path(out) / _FILE
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read ({one_line(error)}): give another folder") from None
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict) or "study" not in found:
        raise FormatError(f"{path} is no record of a study: give another folder")
    return found


def _refuse_others(out: str | Path, kept: dict[str, Json], wanted: dict[str, Json]) -> None:
    if kept["study"] != wanted["study"]:
        raise ValueError(f"{out} holds the study {kept['study']}, not {wanted['study']}: give another folder")
    before, now = kept["settings"], wanted["settings"]
    assert isinstance(before, dict)
    assert isinstance(now, dict)
    # A tuple has become a list in the file.
    now = json.loads(json.dumps(now))
    # Images last: how many of them are taken, or of what size, is what their hash changes with.
    for name in sorted(before.keys() | now.keys(), key=lambda name: (name == "data", name)):
        if before.get(name) != now.get(name):
            if name == "data":
                raise ValueError(
                    f"{out} holds runs with `data` of other images: give another folder, or the same images, "
                    "as many as then, to go on"
                )
            raise ValueError(
                f"{out} holds runs with `{name}` {_told(before.get(name))}, not {_told(now.get(name))}: give "
                "another folder, or the same settings to go on"
            )


def _told(setting: Json) -> str:
    return "the default" if setting is None else str(setting)
