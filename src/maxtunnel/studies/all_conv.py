"""`study all-conv`: is a network without pooling the cure of what its switches give away?

Springenberg et al. (2015, arXiv 1412.6806) find that max pooling can be replaced by convolutions of stride 2
without loss of accuracy; the paper under reproduction names it first of the related systems. Such a network
has no switches that could be handed on. Here both kinds are trained alike, and what is behind each place
where a plane is halved is read by an audit's reader: switches, features, and both.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from maxtunnel.auditing.attacker import CutShort
from maxtunnel.data.labelled_sets import read_set
from maxtunnel.models.all_conv import AllConv, Base, Variant
from maxtunnel.report.pictures import png
from maxtunnel.studies.all_conv_config import (
    Grid,
    NetworkRun,
    ReadingRun,
    Settings,
    Size,
    left_out,
    preset,
)
from maxtunnel.studies.all_conv_run import (
    NetworkRow,
    ReadingRow,
    Seen,
    capture,
    make_network,
    readers_pixels,
    run_network,
    run_reading,
)
from maxtunnel.studies.recon_dec_depths import mean_errors
from maxtunnel.studies.report import gather_facts
from maxtunnel.studies.rows import Rows, do_missing
from maxtunnel.studies.swwae_config import parse_choices
from maxtunnel.studies.swwae_run import Parts, fingerprint, split
from maxtunnel.support.choices import RecipeName
from maxtunnel.support.files import check_folder
from maxtunnel.support.numbers import parse_numbers
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.support.records import changed

STUDY = "all-conv"


@dataclass(frozen=True)
class AllConvStudy:
    """All that is known.

    Attributes:
        settings, grid: what was asked for.
        networks, readings: of the runs that are done, in their order.
        missing: names of those that are not, as another process is at them.
        of_mean: squared error of the mean image on each image that reconstructions are measured on.
        trained, measured: how many images there are to train on, and to measure on.
        left_out: what is not there of the full study, in words; empty for nothing.
        folder: where the rows and the pictures lie.
        facts: where and when it was made, by name.
    """

    settings: Settings
    grid: Grid
    networks: tuple[NetworkRow, ...]
    readings: tuple[ReadingRow, ...]
    missing: tuple[str, ...]
    of_mean: tuple[float, ...]
    trained: int
    measured: int
    left_out: str
    folder: Path
    facts: dict[str, str]


def study_all_conv(
    data: str | Path,
    out: str | Path,
    *,
    size: Size = "small",
    bases: str | None = None,
    variants: str | None = None,
    seeds: int | None = None,
    places: str | None = None,
    recipe: RecipeName | None = None,
    width: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    reader_steps: int | None = None,
    seen: int | None = None,
    augment: bool = False,
    validate: bool = False,
    command: str = "",
    on_progress: OnProgress = silent,
) -> AllConvStudy:
    """Train and measure what is not in the study's folder yet.

    Args:
        data: CIFAR-10, as `read_set` takes it.
        out: the study's folder.
        size: `toy`, `small` or `full`; it decides what is not given.
        bases: some of `Base`, or `all`.
        variants: some of `Variant`, or `all`.
        seeds: networks of each kind.
        places: that are read: 1, 2 or both.
        recipe: `fast`, or `paper` with its 350 passes, batch, rate and dropout.
        width: filters of block 1.
        steps: of every network.
        batch: images a step.
        learning_rate: at its highest.
        reader_steps: of every reader.
        seen: how many images readers are trained on.
        augment: mirror half of the images, and shift them by up to 5 pixels.
        validate: hold out a sixth of the training images to measure on, and leave the test images alone.
        command: the command line, for the report.
        on_progress: told of reading, of every training, and as phase `runs` of all.

    Raises:
        FormatError: the data or the folder are damaged or of another kind.
        ValueError: an argument cannot be; or the folder holds a study with other settings.
        Stopped: interrupted; what is done is kept.
    """
    began, base = time.monotonic(), preset(size)
    grid = _grid(base.grid, bases, variants, seeds, places)
    check_folder(out)
    asked = base.settings if recipe is None else base.settings.with_recipe(recipe)
    settings = changed(
        asked, width=width, steps=steps, batch=batch, learning_rate=learning_rate, reader_steps=reader_steps,
        seen=seen, augment=augment, validate=validate,
    )  # fmt: skip
    parts = split(
        read_set(data, "cifar10", "train", on_progress),
        None if validate else read_set(data, "cifar10", "test", on_progress),
    )
    settings = replace(settings, data=fingerprint(parts))
    work = _Work(settings, grid, parts, Path(out), on_progress)
    work.run()
    return work.result(gather_facts(command, str(data), began, size))


def _grid(base: Grid, bases: str | None, variants: str | None, seeds: int | None, places: str | None) -> Grid:
    letters: tuple[Base, ...] = base.bases
    kinds: tuple[Variant, ...] = base.variants
    if bases is not None:
        names = parse_choices(bases, "bases", get_args(Base))
        letters = tuple(letter for letter in get_args(Base) if letter in names)
    if variants is not None:
        names = parse_choices(variants, "variants", get_args(Variant))
        kinds = tuple(variant for variant in get_args(Variant) if variant in names)
    numbers = base.places if places is None else parse_numbers(places, "places") or base.places
    return Grid(letters, kinds, base.seeds if seeds is None else seeds, numbers)


class _Work:
    """The runs of a study, those of a seed after those of the seed before."""

    def __init__(
        self, settings: Settings, grid: Grid, parts: Parts, out: Path, on_progress: OnProgress
    ) -> None:
        self.settings, self.grid, self.parts, self.on_progress = settings, grid, parts, on_progress
        self.network_rows = Rows(out, STUDY, settings, NetworkRow)
        self.reading_rows = Rows(out, STUDY, settings, ReadingRow)
        # The last that was captured: readers of the same place come one after the other.
        self._seen: tuple[tuple[NetworkRun, bool, int], Seen] | None = None

    @property
    def runs(self) -> tuple[NetworkRun | ReadingRun, ...]:
        """All of them, in their order."""
        every: list[NetworkRun | ReadingRun] = [*self.grid.networks(), *self.grid.readings()]
        # Sorting keeps the order of equal ones: networks before their readers.
        return tuple(sorted(every, key=lambda run: run.seed))

    def run(self) -> None:
        """Do every run that is missing, but for those that another process is at."""
        do_missing(self.runs, self._rows_of, self._do, self.on_progress, "runs")

    def _rows_of(self, run: NetworkRun | ReadingRun) -> Rows[NetworkRow] | Rows[ReadingRow]:
        return self.network_rows if isinstance(run, NetworkRun) else self.reading_rows

    def _do(self, run: NetworkRun | ReadingRun, stop: Callable[[], bool]) -> None:
        if isinstance(run, NetworkRun):
            row, network = run_network(self.settings, run, self.parts, self.on_progress, stop)
            if not stop():
                network.save(self.network_rows.network(run.name))
                self.network_rows.keep(run.name, row)
            return
        seen = self._captured(run)
        if seen is None:
            return
        try:
            found, picture = run_reading(self.settings, run, seen, self.on_progress, stop)
        except CutShort:
            return
        self.reading_rows.keep_picture(run.name, png(picture))
        self.reading_rows.keep(run.name, found)

    def _captured(self, run: ReadingRun) -> Seen | None:
        """What a reader is given; None where another process is still at its network."""
        key = (run.network, run.trained, run.place)
        if self._seen is None or self._seen[0] != key:
            network = self._network(run)
            if network is None:
                return None
            self._seen = (key, capture(self.settings, network, run.place, self.parts))
        return self._seen[1]

    def _network(self, run: ReadingRun) -> AllConv | None:
        if not run.trained:
            return make_network(self.settings, run.network, self.parts.trained)
        if self.network_rows.get(run.network.name) is None:
            return None
        return AllConv.load(self.network_rows.find_network(run.network.name))

    def result(self, facts: dict[str, str]) -> AllConvStudy:
        """What is known now."""
        networks, untrained = self.network_rows.sorted_out(self.grid.networks())
        readings, unread = self.reading_rows.sorted_out(self.grid.readings())
        of_mean = mean_errors(*readers_pixels(self.settings, self.parts))["mse"]
        return AllConvStudy(
            settings=self.settings,
            grid=self.grid,
            networks=networks,
            readings=readings,
            missing=untrained + unread,
            of_mean=tuple(of_mean.tolist()),
            trained=len(self.parts.trained),
            measured=len(self.parts.measured),
            left_out=left_out(self.settings, self.grid),
            folder=self.network_rows.folder,
            facts=facts,
        )
