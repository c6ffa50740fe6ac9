"""What `study contours` runs: which networks, how each is trained, and how much of it there is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from maxtunnel.evaluation.contours import THRESHOLDS
from maxtunnel.studies.contours_networks import POOLINGS
from maxtunnel.studies.dense_conditions import Trained
from maxtunnel.training.recipes import DENSE_FAST, Recipe

Size = Literal["toy", "small", "full"]
# A network, or what needs none: the brightness of the image.
Kind = Literal[Trained, "brightness"]
KINDS: tuple[Kind, ...] = (*get_args(Trained), "brightness")


_MOST_THRESHOLDS = 1000


@dataclass(frozen=True)
class Run:
    """One network, trained and read in all its ways.

    Attributes:
        kind: how it is trained.
        seed: draws weights and order.
    """

    kind: Kind
    seed: int

    @property
    def name(self) -> str:
        """Of its row: `switches-0`."""
        return f"{self.kind}-{self.seed}"


@dataclass(frozen=True)
class Settings:
    """All that decides what a run comes to, besides its name; a folder has runs of one of these alone.

    Attributes:
        data: identity of the photographs and annotations.
        encoder: identity of the encoder that was given, and stays as it is; empty where they are trained.
        elsewhere: whether networks were trained elsewhere; width, poolings, crop, steps, batch and rate are
            not theirs.
        width: filters of the first stage of such a one.
        poolings: of every network: CEDN has 5, and fewer learn faster.
        shrink: how many times smaller a side of a photograph is when a network gets it.
        crop: pixels of a side of the squares that networks are trained on, after that.
        steps: of each training.
        batch: squares a step.
        learning_rate: at its highest.
        tested: how many of the test photographs are measured on, evenly spaced; None for all.
        thresholds: at which contours are cut.

    Raises:
        ValueError: a number is out of range.
    """

    data: str
    encoder: str
    elsewhere: bool
    width: int
    poolings: int
    shrink: int
    crop: int
    steps: int
    batch: int
    learning_rate: float
    tested: int | None
    thresholds: int

    def __post_init__(self) -> None:
        for name in ("width", "shrink", "crop", "steps", "batch", "learning_rate", "thresholds"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected a number above 0")
        if self.thresholds < 2 or (self.tested is not None and self.tested < 2):
            raise ValueError(
                f"`thresholds` is {self.thresholds}, `tested` {self.tested}: expected at least 2 of both"
            )
        if self.thresholds > _MOST_THRESHOLDS:
            raise ValueError(
                f"`thresholds` is {self.thresholds:,}: expected at most {_MOST_THRESHOLDS:,}, as more change "
                "no third decimal and take as many times longer"
            )
        if not 1 <= self.poolings <= POOLINGS:
            raise ValueError(f"`poolings` is {self.poolings}: expected 1 to {POOLINGS}")

    @property
    def recipe(self) -> Recipe:
        """That of each training."""
        return replace(DENSE_FAST, steps=self.steps, batch=self.batch, learning_rate=self.learning_rate)


@dataclass(frozen=True)
class Preset:
    """The settings and networks of a size.

    Attributes:
        settings: without the identity of the data.
        seeds: networks of each kind.
    """

    settings: Settings
    seeds: int

    def runs(self) -> Iterator[Run]:
        """All networks, in the order in which they are trained: one seed after the other."""
        yield Run("brightness", 0)
        for seed in range(self.seeds):
            yield from (Run(kind, seed) for kind in KINDS if kind != "brightness")


_FULL = Preset(
    Settings(
        data="", encoder="", elsewhere=False, width=16, poolings=POOLINGS, shrink=2, crop=160, steps=4000,
        batch=8, learning_rate=DENSE_FAST.learning_rate, tested=None, thresholds=THRESHOLDS,
    ),
    seeds=3,
)  # fmt: skip


def preset(size: Size = "small") -> Preset:
    """What a study is unless it is asked for otherwise.

    Args:
        size: `toy` takes seconds and shows that everything works; `small` takes less than ten minutes on two
            cores; `full` is what an answer takes.
    """
    if size == "full":
        return _FULL
    if size == "small":
        few = replace(_FULL.settings, width=8, poolings=3, steps=1000, batch=4, tested=20, thresholds=33)
        return Preset(few, seeds=1)
    return Preset(
        replace(_FULL.settings, width=2, poolings=3, crop=16, steps=2, batch=2, tested=2, thresholds=3),
        seeds=1,
    )


def left_out(found: Preset) -> str:
    """What a study does not have of the full one, in words; empty for nothing."""
    settings, full = found.settings, _FULL.settings
    told = []
    if found.seeds < _FULL.seeds:
        told.append(f"{_FULL.seeds - found.seeds} of {_FULL.seeds} seeds")
    if settings.width < full.width and not settings.encoder and not settings.elsewhere:
        told.append(f"networks of {full.width} filters, which are {settings.width} here")
    if settings.poolings < full.poolings and not settings.elsewhere:
        told.append(f"networks of {full.poolings} poolings, which have {settings.poolings} here")
    if settings.steps < full.steps and not settings.elsewhere:
        told.append(f"steps after the first {settings.steps:,} of {full.steps:,}")
    if settings.crop < full.crop and not settings.elsewhere:
        told.append(f"squares of {full.crop} pixels")
    if settings.tested is not None:
        told.append(f"test photographs beyond {settings.tested}")
    if settings.thresholds < full.thresholds:
        told.append(f"thresholds beyond {settings.thresholds}")
    return "; ".join(told)
