"""`study adaptive`: how much of an adaptive deconvolutional network's sharpness its switches carry.

Zeiler, Taylor and Fergus (2011) infer features layer by layer, each layer rebuilding the image through the
switches of all below it. The paper under reproduction says of it that a layer uses the output of convolution
"along with the max switches to reconstruct the image". Networks are learnt with max and with average pooling;
each layer's images are then drawn from features and switches, from switches without the features, and from
the features with other switches.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from maxtunnel.models.adaptive_deconv import Pooling
from maxtunnel.report.pictures import png
from maxtunnel.studies.adaptive_classes import check_installed
from maxtunnel.studies.adaptive_config import Grid, Run, Settings, Size, left_out, preset
from maxtunnel.studies.adaptive_run import NetworkRow, Parts, fingerprint, read_parts, run_network
from maxtunnel.studies.report import gather_facts
from maxtunnel.studies.rows import Rows, do_missing
from maxtunnel.support.files import check_folder
from maxtunnel.support.numbers import parse_numbers
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import changed

STUDY = "adaptive"


@dataclass(frozen=True)
class AdaptiveStudy:
    """All that is known.

    Attributes:
        settings, grid: what was asked for.
        rows: of the networks that are done, in the order of the grid.
        missing: names of those that are not, as another process is at them.
        classes, labelled, tested: how many classes and images there are.
        left_out: what is not there of the full study, in words; empty for nothing.
        folder: where rows and pictures lie.
        facts: where and when it was made, by name.
    """

    settings: Settings
    grid: Grid
    rows: tuple[NetworkRow, ...]
    missing: tuple[str, ...]
    classes: int
    labelled: int
    tested: int
    left_out: str
    folder: Path
    facts: dict[str, str]

    def of(self, pooling: Pooling) -> tuple[NetworkRow, ...]:
        """The networks of one kind, by seed."""
        return tuple(row for row in self.rows if row.pooling == pooling)


def study_adaptive(
    data: str | Path,
    out: str | Path,
    *,
    size: Size = "small",
    seeds: int | None = None,
    side: int | None = None,
    maps: str | None = None,
    learned: int | None = None,
    passes: int | None = None,
    classes: int | None = None,
    sparsity: float | None = None,
    command: str = "",
    on_progress: OnProgress = silent,
) -> AdaptiveStudy:
    """Learn and measure the networks of the study that are not in its folder yet.

    Args:
        data: a folder of class folders of photographs.
        out: the study's folder.
        size: `toy`, `small` or `full`; it decides what is not given.
        seeds: networks of each kind.
        side: of the square that photographs are put on, in pixels.
        maps: of each layer, such as `15,50,100,150`.
        learned: photographs that filters are learnt on.
        passes: over them, for each layer.
        classes: how many of the class folders, evenly spaced.
        sparsity: weight of the features' magnitudes.
        command: the command line, for the report.
        on_progress: told of reading, of learning, and as phase `networks` of all.

    Raises:
        FormatError: the data or the folder are damaged or of another kind.
        ValueError: an argument cannot be, or scikit-learn is not installed; or the folder holds a study with
            other settings.
        Stopped: interrupted; what is done is kept.
    """
    began = time.monotonic()
    settings, grid = preset(size)
    grid = grid if seeds is None else replace(grid, seeds=seeds)
    settings = changed(
        settings, side=side, maps=None if maps is None else list(parse_numbers(maps, "maps") or ()),
        learned=learned, passes=passes, classes=classes, sparsity=sparsity,
    )  # fmt: skip
    check_installed()
    check_folder(out)
    parts = read_parts(data, settings, on_progress)
    settings = replace(settings, data=fingerprint(parts))
    rows = Rows(out, STUDY, settings, NetworkRow)
    runs = tuple(grid.runs())
    do_missing(runs, lambda run: rows, partial(_do, rows, settings, parts, on_progress), on_progress)
    kept, missing = rows.sorted_out(runs)
    return AdaptiveStudy(
        settings=settings,
        grid=grid,
        rows=kept,
        missing=missing,
        classes=len(parts.names),
        labelled=len(parts.labelled),
        tested=len(parts.tested),
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
        row, network, readings, maps = found
        network.save(rows.network(run.name))
        rows.keep_picture(run.name, png(readings))
        rows.keep_picture(maps_name(run), png(maps))
        rows.keep(run.name, row)


def maps_name(run: Run) -> str:
    """Under which the picture of what a network's maps stand for is kept."""
    return f"{run.name}-maps"
