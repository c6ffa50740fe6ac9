"""What `study segmentation` runs: which networks, how each is trained, and how much of it there is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.segnet import segnet, segnet_basic
from maxtunnel.studies.dense_conditions import Trained
from maxtunnel.support.choices import DenseUnpooling, SegmentationNetworkName, SegmentationSetName
from maxtunnel.switches.window import Pair
from maxtunnel.training.recipes import DENSE_FAST, Recipe

Size = Literal["toy", "small", "full"]
TRAINED: tuple[Trained, ...] = get_args(Trained)


@dataclass(frozen=True)
class Run:
    """One network.

    Attributes:
        trained: how.
        seed: draws weights and order.
    """

    trained: Trained
    seed: int

    @property
    def name(self) -> str:
        """Of its row: `switches-0`."""
        return f"{self.trained}-{self.seed}"


@dataclass(frozen=True)
class Settings:
    """All that decides what a run comes to, besides its name; a folder has runs of one of these alone.

    Attributes:
        set: of images.
        data: identity of the images and masks, see `fingerprint`.
        network: which one.
        width: filters of its first stage, of SegNet-Basic of every layer.
        size: (height, width) that images and masks are brought to, in pixels.
        steps: of each network.
        batch: images a step.
        learning_rate: at its highest.
        images: how many of the images to measure on are, evenly spaced; None for all.
        band: pixels from a border between classes that count as near it.

    Raises:
        ValueError: a number is out of range.
    """

    set: SegmentationSetName
    data: str
    network: SegmentationNetworkName
    width: int
    size: Pair
    steps: int
    batch: int
    learning_rate: float
    images: int | None
    band: int

    def __post_init__(self) -> None:
        for name in ("width", "steps", "batch", "learning_rate", "band"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected a number above 0")

    @property
    def recipe(self) -> Recipe:
        """That of each training."""
        return replace(DENSE_FAST, steps=self.steps, batch=self.batch, learning_rate=self.learning_rate)

    def draw(self, classes: int, unpooling: DenseUnpooling, seed: int) -> DenseNetwork:
        """An untrained network for so many classes."""
        make = segnet if self.network == "segnet" else segnet_basic
        return make(classes, self.width, unpooling, seed)


@dataclass(frozen=True)
class Grid:
    """Which networks there are: every kind with the seeds 0, 1, ...

    Raises:
        ValueError: there are no seeds.
    """

    seeds: int

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"`seeds` is {self.seeds}: expected at least 1")

    def runs(self) -> Iterator[Run]:
        """All networks, in the order in which they are trained: that with known switches before `alone`."""
        for seed in range(self.seeds):
            yield from (Run(trained, seed) for trained in TRAINED)


@dataclass(frozen=True)
class Preset:
    """The settings and networks of a size.

    Attributes:
        settings: without the identity of the data.
        grid: which networks.
    """

    settings: Settings
    grid: Grid


def preset(name: SegmentationSetName, size: Size = "small") -> Preset:
    """What a study of a set is unless it is asked for otherwise.

    Args:
        name: of the set.
        size: `toy` takes seconds and shows that everything works; `small` takes less than ten minutes on two
            cores; `full` is what an answer takes, and on CamVid is what SegNet-Basic was published with. It
            is for a GPU.
    """
    full = Settings(
        set=name, data="", network="segnet-basic", width=64, size=(360, 480), steps=6000, batch=12,
        learning_rate=DENSE_FAST.learning_rate, images=None, band=4,
    )  # fmt: skip
    if name == "horses":
        full = replace(full, size=(240, 320), steps=3000, band=3)
    if size == "full":
        return Preset(full, Grid(seeds=3))
    if size == "small":
        small = replace(full, width=16, size=(90, 120), steps=300, batch=8, images=80, band=2)
        return Preset(small, Grid(seeds=1))
    toy = replace(full, width=4, size=(24, 32), steps=2, batch=2, images=4, band=1)
    return Preset(toy, Grid(seeds=1))


def left_out(settings: Settings, grid: Grid) -> str:
    """What a study does not have of the full one of its set, in words; empty for nothing."""
    whole = preset(settings.set, "full")
    return "; ".join([*_work_left_out(settings, whole.settings), *_seeds_left_out(grid, whole.grid)])


def _work_left_out(settings: Settings, full: Settings) -> Iterator[str]:
    if (settings.network, settings.width) != (full.network, full.width):
        yield f"{full.network} of {full.width} filters"
    if settings.size < full.size:
        yield f"images of {full.size[1]}x{full.size[0]} pixels"
    if settings.steps < full.steps:
        yield f"steps after the first {settings.steps:,} of {full.steps:,}"
    if settings.images is not None:
        yield f"images to measure on beyond {settings.images:,}"


def _seeds_left_out(grid: Grid, full: Grid) -> Iterator[str]:
    if grid.seeds < full.seeds:
        yield f"{full.seeds - grid.seeds} of {full.seeds} seeds"


def parse_pixels(text: str) -> Pair:
    """`120x90`, width by height as sizes of images are written, as (height, width).

    Raises:
        ValueError: it is something else.
    """
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text.strip())
    if match is None:
        raise ValueError(f"`pixels` is {text!r}: expected WIDTHxHEIGHT, such as 480x360")
    return int(match[2]), int(match[1])
