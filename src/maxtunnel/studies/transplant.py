"""`study transplant`: which image comes out where features are changed and the switches are not.

Yim and others (2015) turn faces: a network is given an image and a code of the pose, and gives the turned
face. The paper under reproduction names it where images are manipulated in a feature space and then
reconstructed, and warns of max unpooling there. Networks are trained to rebuild images of some people; of
others the features are then put together with the switches of another image, or edited.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from maxtunnel.report.pictures import png
from maxtunnel.studies.report import gather_facts
from maxtunnel.studies.rows import Rows, do_missing
from maxtunnel.studies.transplant_config import Grid, Kind, Run, Settings, Size, left_out, preset
from maxtunnel.studies.transplant_data import Parts, fingerprint, read_parts
from maxtunnel.studies.transplant_run import NetworkRow, Shown, all_pairs, run_network
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import changed

STUDY = "transplant"


@dataclass(frozen=True)
class TransplantStudy:
    """All that is known.

    Attributes:
        settings, grid: what was asked for.
        rows: of the networks that are done, in the order of the grid.
        missing: names of those that are not, as another process is at them.
        trained, tested: how many images there are.
        people: how many folders are tested on.
        lit: whether names of files say where the light comes from.
        ignored: images whose names do not, where those of the others do.
        left_out: what is not there of the full study, in words; empty for nothing.
        folder: where rows and pictures lie.
        facts: where and when it was made, by name.
    """

    settings: Settings
    grid: Grid
    rows: tuple[NetworkRow, ...]
    missing: tuple[str, ...]
    trained: int
    tested: int
    people: int
    lit: bool
    ignored: int
    left_out: str
    folder: Path
    facts: dict[str, str]

    @property
    def pairs(self) -> int:
        """How many pairs of each kind were measured on."""
        return min(self.settings.pairs, self.tested)

    def of(self, kind: Kind) -> tuple[NetworkRow, ...]:
        """The networks of one kind, by seed."""
        return tuple(row for row in self.rows if row.kind == kind)


def study_transplant(
    data: str | Path,
    out: str | Path,
    *,
    size: Size = "small",
    seeds: int | None = None,
    side: int | None = None,
    layout: str | None = None,
    steps: int | None = None,
    each: int | None = None,
    pairs: int | None = None,
    learning_rate: float | None = None,
    command: str = "",
    on_progress: OnProgress = silent,
) -> TransplantStudy:
    """Train and measure the networks of the study that are not in its folder yet.

    Args:
        data: a folder with a folder of images for each person, or each class.
        out: the study's folder.
        size: `toy`, `small` or `full`; it decides what is not given.
        seeds: networks of each kind.
        side: of the square that images are warped to, in pixels.
        layout: of the encoder, as `Layout` reads it, without fully connected layers.
        steps: of every training.
        each: images of a folder, at most.
        pairs: of each kind that are measured on, at most.
        learning_rate: at its highest.
        command: the command line, for the report.
        on_progress: told of reading, of every training, and as phase `networks` of all.

    Raises:
        FormatError: the images or the folder are damaged or of another kind.
        ValueError: an argument cannot be; or the folder holds a study with other settings.
        Stopped: interrupted; what is done is kept.
    """
    began = time.monotonic()
    settings, grid = preset(size)
    grid = grid if seeds is None else replace(grid, seeds=seeds)
    settings = changed(
        settings, side=side, layout=layout, steps=steps, each=each, pairs=pairs, learning_rate=learning_rate
    )
    check_folder(out)
    parts = read_parts(data, settings, on_progress)
    # What cannot be paired is refused before anything is trained.
    all_pairs(parts, settings)
    settings = replace(settings, data=fingerprint(parts))
    rows = Rows(out, STUDY, settings, NetworkRow)
    runs = tuple(grid.runs())
    do_missing(runs, lambda run: rows, partial(_do, rows, settings, parts, on_progress), on_progress)
    kept, missing = rows.sorted_out(runs)
    return TransplantStudy(
        settings=settings,
        grid=grid,
        rows=kept,
        missing=missing,
        trained=len(parts.trained),
        tested=len(parts.tested),
        people=len(parts.tested.folders.unique()),
        lit=bool(parts.tested.lights),
        ignored=parts.ignored,
        left_out=left_out(settings, grid),
        folder=rows.folder,
        facts=gather_facts(command, str(data), began, size),
    )


def _do(
    rows: Rows[NetworkRow],
    settings: Settings,
    parts: Parts,
    on_progress: OnProgress,
    run: Run,
    stop: Callable[[], bool],
) -> None:
    found = run_network(settings, run, parts, on_progress, stop)
    if found is not None:
        row, network, pictures = found
        network.save(rows.network(run.name))
        for what, picture in pictures.items():
            rows.keep_picture(picture_name(run, what), png(picture))
        rows.keep(run.name, row)


def picture_name(run: Run, what: Shown) -> str:
    """Under which a picture of a run is kept."""
    return run.name if what == "pairs" else f"{run.name}-{what}"
