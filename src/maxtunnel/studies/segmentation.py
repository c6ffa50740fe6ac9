"""`study segmentation`: how much of a segmentation comes through the switches.

The paper under reproduction concludes (section VII) that its finding explains why segmentation by unpooling
works so well, as the spatial information can be extracted completely from the switches. Here networks are
trained with known switches and without any, decoders on switches alone, and each is measured on the same
images.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.report.pictures import png
from maxtunnel.studies.dense_conditions import Condition
from maxtunnel.studies.report import gather_facts
from maxtunnel.studies.rows import Rows, do_missing
from maxtunnel.studies.segmentation_config import (
    Grid,
    Run,
    Settings,
    Size,
    left_out,
    parse_pixels,
    preset,
)
from maxtunnel.studies.segmentation_data import Parts, fingerprint, read_parts, usual
from maxtunnel.studies.segmentation_run import Found, NetworkRow, count, draw_truth, run_network
from maxtunnel.support.choices import SegmentationNetworkName, SegmentationSetName
from maxtunnel.support.files import check_folder
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import changed

STUDY = "segmentation"


@dataclass(frozen=True)
class SegmentationStudy:
    """All that is known.

    Attributes:
        settings, grid: what was asked for.
        rows: of the networks that are done, in the order of the grid.
        missing: names of those that are not, as another process is at them.
        usual: what is found where every image gets the class that its places have most often.
        class_names: of the set.
        trained, measured: how many images there are to train on, and to measure on.
        left_out: what is not there of the full study, in words; empty for nothing.
        folder: where the rows and the pictures lie.
        facts: where and when it was made, by name.
    """

    settings: Settings
    grid: Grid
    rows: tuple[NetworkRow, ...]
    missing: tuple[str, ...]
    usual: Found
    class_names: tuple[str, ...]
    trained: int
    measured: int
    left_out: str
    folder: Path
    facts: dict[str, str]

    def of(self, condition: Condition) -> dict[int, Found]:
        """What was found under a condition, by seed."""
        return {row.seed: row.found[condition.given] for row in self.rows if row.trained == condition.trained}


def study_segmentation(
    data: str | Path,
    out: str | Path,
    *,
    set: SegmentationSetName = "camvid",
    size: Size = "small",
    seeds: int | None = None,
    network: SegmentationNetworkName | None = None,
    width: int | None = None,
    pixels: str | None = None,
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    images: int | None = None,
    command: str = "",
    on_progress: OnProgress = silent,
) -> SegmentationStudy:
    """Train and measure the networks of the study that are not in its folder yet.

    Args:
        data: the set's folder, see `read_parts`.
        out: the study's folder; networks are kept in it too.
        set: which set of images `data` is.
        size: `toy`, `small` or `full`; it decides what is not given.
        seeds: networks of each kind.
        network: which one is trained.
        width: filters of its first stage, of SegNet-Basic of every layer.
        pixels: what images are brought to, such as `480x360`.
        steps: of every network.
        batch: images a step.
        learning_rate: at its highest.
        images: how many to measure on, evenly spaced over the test images.
        command: the command line, for the report.
        on_progress: told of reading, of every training, and as phase `networks` of all.

    Raises:
        FormatError: the data or the folder are damaged or of another kind.
        ValueError: an argument cannot be; or the folder holds a study with other settings.
        Stopped: interrupted; what is done is kept.
    """
    began, base = time.monotonic(), preset(set, size)
    grid = base.grid if seeds is None else Grid(seeds)
    settings = changed(
        base.settings, network=network, width=width, size=None if pixels is None else [*parse_pixels(pixels)],
        steps=steps, batch=batch, learning_rate=learning_rate, images=images,
    )  # fmt: skip
    check_folder(out)
    parts = read_parts(data, set, settings.size, settings.images, on_progress)
    # What cannot be is refused before anything is written.
    settings.draw(len(parts.class_names), "fixed", 0).shape.sizes(settings.size)
    chosen = settings.images if len(parts.measured) < parts.available else None
    settings = replace(settings, data=fingerprint(parts), images=chosen)
    rows = Rows(out, STUDY, settings, NetworkRow)
    rows.keep_picture("images", png(draw_truth(parts.measured, len(parts.class_names))))
    do_missing(
        tuple(grid.runs()), lambda run: rows, partial(_do, rows, settings, parts, on_progress), on_progress
    )
    return _result(rows, settings, grid, parts, gather_facts(command, str(data), began, size))


def _can_begin(rows: Rows[NetworkRow], run: Run) -> bool:
    return run.trained != "alone" or rows.get(Run("switches", run.seed).name) is not None


def _do(
    rows: Rows[NetworkRow],
    settings: Settings,
    parts: Parts,
    on_progress: OnProgress,
    run: Run,
    stop: Callable[[], bool],
) -> None:
    """Do a run, unless another process is still at the network whose switches it reads."""
    if not _can_begin(rows, run):
        return
    known = None
    if run.trained == "alone":
        known = DenseNetwork.load(rows.find_network(Run("switches", run.seed).name))
    row, network, pictures = run_network(settings, run, parts, known, on_progress, stop)
    if stop():
        return
    for given, picture in pictures.items():
        rows.keep_picture(f"{run.name}-{given}", png(picture))
    network.cpu().save(rows.network(run.name))
    rows.keep(run.name, row)


def _result(
    rows: Rows[NetworkRow], settings: Settings, grid: Grid, parts: Parts, facts: dict[str, str]
) -> SegmentationStudy:
    kept, missing = rows.sorted_out(grid.runs())
    same = usual(parts).expand(len(parts.measured), -1, -1)
    return SegmentationStudy(
        settings=settings,
        grid=grid,
        rows=kept,
        missing=missing,
        usual=count(same, parts, settings.band),
        class_names=parts.class_names,
        trained=len(parts.trained),
        measured=len(parts.measured),
        left_out=left_out(settings, grid),
        folder=rows.folder,
        facts=facts,
    )
