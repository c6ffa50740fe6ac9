"""`study swwae`: what the terms of a what-where autoencoder's loss do to the error with few labels.

The paper under reproduction (section VI) supposes that what Zhao et al. gained came from the intermediate
terms, as a good reconstruction is possible from the switches of an encoder that has learnt nothing. It asks
for a training with the intermediate terms alone: here it is, beside all others.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from maxtunnel.data.labelled import labels_each
from maxtunnel.data.labelled_sets import SETS, read_labels, read_set
from maxtunnel.report.pictures import png
from maxtunnel.studies.report import gather_facts
from maxtunnel.studies.rows import Rows, do_missing, kept_settings
from maxtunnel.studies.swwae_config import Grid, Method, Run, Settings, Size, parse_choices
from maxtunnel.studies.swwae_presets import left_out, preset
from maxtunnel.studies.swwae_run import (
    NetworkRow,
    Parts,
    check_labels,
    draw_network,
    fingerprint,
    mean_rmse,
    run_network,
    split,
)
from maxtunnel.support.choices import LabelledSetName, RecipeName, Unpooling
from maxtunnel.support.files import check_folder
from maxtunnel.support.numbers import parse_numbers
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import changed

STUDY = "swwae"
_TRIED, _WARM_UP = 10, 5  # steps whose pace is measured at first, and how many of them only warm up
_ENOUGH, _MOST = 0.3, 1000  # seconds that tell a pace, and most steps for it
_MEASURING = 0.85  # share of the time for trainings; the rest is for measuring


@dataclass(frozen=True)
class SwwaeStudy:
    """All that is known.

    Attributes:
        settings, grid: what was asked for.
        rows: of the networks that are done, in the order of the grid.
        missing: names of those that are not, as another process is at them.
        trained, measured: how many images there are to train on, and to measure on.
        mean_rmse: of the mean training image, on the images that reconstructions are measured on.
        left_out: what is not there of the full study, in words; empty for nothing.
        folder: where the rows and the pictures lie.
        facts: where and when it was made, by name.
    """

    settings: Settings
    grid: Grid
    rows: tuple[NetworkRow, ...]
    missing: tuple[str, ...]
    trained: int
    measured: int
    mean_rmse: float
    left_out: str
    folder: Path
    facts: dict[str, str]

    def of(self, labels: int, method: Method, unpooling: Unpooling | None) -> tuple[NetworkRow, ...]:
        """The networks of one kind, by seed; of untrained ones whatever the number of labels."""
        return tuple(
            row
            for row in self.rows
            if (row.method, row.unpooling) == (method, unpooling) and row.labels in (labels, 0)
        )


def study_swwae(
    data: str | Path,
    out: str | Path,
    *,
    set: LabelledSetName = "mnist",
    size: Size = "small",
    labels: str | None = None,
    seeds: int | None = None,
    methods: str | None = None,
    unpoolings: str | None = None,
    layout: str | None = None,
    recipe: RecipeName | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    l2rec: float | None = None,
    l2m: float | None = None,
    dropout: float | None = None,
    learning_rate: float | None = None,
    batch: int | None = None,
    validate: bool = False,
    command: str = "",
    on_progress: OnProgress = silent,
) -> SwwaeStudy:
    """Train and measure the networks of the study that are not in its folder yet.

    Args:
        data: what `read_set` takes.
        out: the study's folder.
        set: which set of images `data` is.
        size: `toy`, `small` or `full`; it decides what is not given.
        labels: numbers of labelled images, such as `100,1000`.
        seeds: networks of each kind.
        methods, unpoolings: some of `Method` and `Unpooling`, or `all`.
        layout: as `Layout` reads it, of at least two layers.
        recipe: how networks are trained: `fast`, or `paper`, gradient descent with momentum at a constant
            rate, which is all that is known of the paper's.
        steps: of every training.
        minutes: for all networks; the steps are chosen so, by the pace of some that are tried out. A study
            that goes on keeps the steps that it has.
        l2rec, l2m: weights of the terms.
        dropout: share that is left out before fully connected layers.
        learning_rate: at its highest.
        batch: labelled images a step, and as many of the whole set besides.
        validate: hold out a sixth of the training images to measure on, and leave the test images alone.
        command: the command line, for the report.
        on_progress: told of reading, of every training, and as phase `networks` of all.

    Raises:
        FormatError: the data or the folder are damaged or of another kind.
        ValueError: an argument cannot be; or the folder holds a study with other settings.
        Stopped: interrupted; what is done is kept.
    """
    if steps is not None and minutes is not None:
        raise ValueError("`steps` and `minutes` both bound the study: give one of them")
    began, base = time.monotonic(), preset(set, size)
    grid = _grid(base.grid, labels, seeds, methods, unpoolings)
    check_folder(out)
    asked = base.settings if recipe is None else base.settings.with_recipe(recipe)
    settings = changed(
        asked, layout=layout, steps=steps, l2rec=l2rec, l2m=l2m, dropout=dropout,
        learning_rate=learning_rate, batch=batch, unlabelled_batch=batch, validate=validate,
    )  # fmt: skip
    parts = _read(data, settings, grid, on_progress)
    settings = replace(settings, data=fingerprint(parts))
    if minutes is not None:
        settings = replace(settings, steps=_kept_steps(out) or _steps_in(minutes, settings, grid, parts))
    rows = Rows(out, STUDY, settings, NetworkRow)
    do_missing(
        tuple(grid.runs()), lambda run: rows, partial(_do, rows, settings, parts, on_progress), on_progress
    )
    return _result(rows, settings, grid, parts, gather_facts(command, str(data), began, size))


def _read(data: str | Path, settings: Settings, grid: Grid, on_progress: OnProgress) -> Parts:
    """The images; what cannot be is refused as soon as it shows: minutes may pass until all are decoded."""
    name, facts = settings.set, SETS[settings.set]
    for count in grid.labels:
        labels_each(count, facts.classes)
    draw_network(settings, next(grid.runs()), facts.channels, (facts.side, facts.side), facts.classes)
    labels = read_labels(data, name)
    if labels is not None:
        check_labels(labels, grid.labels, settings.validate)
    trained = read_set(data, name, "train", on_progress)
    check_labels(trained.labels, grid.labels, settings.validate)
    return split(
        trained,
        None if settings.validate else read_set(data, name, "test", on_progress),
        # STL-10 has images of its own for this.
        read_set(data, name, "unlabelled", on_progress) if name == "stl10" else None,
    )


def _grid(
    base: Grid, labels: str | None, seeds: int | None, methods: str | None, unpoolings: str | None
) -> Grid:
    numbers = base.labels if labels is None else parse_numbers(labels, "labels")
    if numbers is None:
        raise ValueError(f"`labels` is {labels!r}: give numbers, such as 100,1000")
    chosen: tuple[Method, ...] = base.methods
    kinds: tuple[Unpooling, ...] = base.unpoolings
    if methods is not None:
        names = parse_choices(methods, "methods", get_args(Method))
        chosen = tuple(method for method in get_args(Method) if method in names)
    if unpoolings is not None:
        names = parse_choices(unpoolings, "unpoolings", get_args(Unpooling))
        kinds = tuple(unpooling for unpooling in get_args(Unpooling) if unpooling in names)
    return Grid(numbers, chosen, kinds, base.seeds if seeds is None else seeds)


def _do(
    rows: Rows[NetworkRow],
    settings: Settings,
    parts: Parts,
    on_progress: OnProgress,
    run: Run,
    stop: Callable[[], bool],
) -> None:
    row, picture = run_network(settings, run, parts, on_progress, stop)
    if not stop():
        rows.keep_picture(run.name, png(picture))
        rows.keep(run.name, row)


def _result(
    rows: Rows[NetworkRow], settings: Settings, grid: Grid, parts: Parts, facts: dict[str, str]
) -> SwwaeStudy:
    kept, missing = rows.sorted_out(grid.runs())
    return SwwaeStudy(
        settings=settings,
        grid=grid,
        rows=kept,
        missing=missing,
        trained=len(parts.trained),
        measured=len(parts.measured),
        mean_rmse=mean_rmse(parts, settings.rebuilt),
        left_out=left_out(settings, grid),
        folder=rows.folder,
        facts=facts,
    )


def _kept_steps(out: str | Path) -> int | None:
    """Those of the study in a folder."""
    kept = kept_settings(out)
    steps = kept["settings"].get("steps") if kept is not None and isinstance(kept["settings"], dict) else None
    return steps if isinstance(steps, int) else None


def _steps_in(minutes: float, settings: Settings, grid: Grid, parts: Parts) -> int:
    """How many steps every training may have for all networks to take so many minutes.

    One network of each method is tried out; unpoolings take about as long as each other.
    """
    seconds, few = 0.0, replace(settings, images=1, rebuilt=1)
    pace: dict[Method, float] = {}
    for run in grid.runs():
        if run.method not in pace:
            pace[run.method] = _pace(run, few, parts)
        seconds += pace[run.method]
    return max(1, round(_MEASURING * 60 * minutes / seconds))


def _pace(run: Run, settings: Settings, parts: Parts) -> float:
    """Seconds of a step of a network, with those of the decoder that is trained on it.

    A GPU's step is recorded while it warms up, which takes as long as hundreds of them: so many are tried
    that they tell.
    """
    tried = _TRIED
    while True:
        taken = []
        for steps in (_WARM_UP, _WARM_UP + tried):
            before = time.monotonic()
            run_network(replace(settings, steps=steps), run, parts)
            taken.append(time.monotonic() - before)
        passed = max(taken[1] - taken[0], 1e-3)
        if passed >= _ENOUGH or tried >= _MOST:
            return passed / tried
        tried *= 10
