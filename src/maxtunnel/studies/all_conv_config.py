"""What `study all-conv` runs: which networks, which readers of them, and how much of it there is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from maxtunnel.models.all_conv import TITLES, WIDTH, Base, Variant
from maxtunnel.support.choices import RecipeName
from maxtunnel.training.recipes import ALL_CONV_FAST, ALL_CONV_PAPER, Recipe

# What a reader is given of a place: as in an audit, without switches each is that of its window's first cell.
Given = Literal["switches", "features", "both", "random", "fixed"]
Size = Literal["toy", "small", "full"]
GIVEN: dict[Given, str] = {
    "switches": "switches",
    "features": "features",
    "both": "features and switches",
    "random": "random switches",
    "fixed": "fixed switches",
}
# The same weights with and without pooling; readers are trained on these.
TWINS: tuple[Variant, Variant] = ("convpool", "all")
SHIFT = 5  # pixels, where images are augmented
_RECIPES: dict[RecipeName, Recipe] = {"fast": ALL_CONV_FAST, "paper": ALL_CONV_PAPER}


@dataclass(frozen=True)
class NetworkRun:
    """One network that is trained on the classes.

    Attributes:
        base, variant: see `AllConv`.
        seed: draws weights and order.
    """

    base: Base
    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """Of its row: `C-all-0`."""
        return f"{self.base}-{self.variant}-{self.seed}"


@dataclass(frozen=True)
class ReadingRun:
    """One reader of what is behind a place of a network.

    Attributes:
        base, variant, seed: of the network.
        trained: whether the network is trained; if not, it is as it was drawn.
        place: it reads the features behind this one, and the switches up to it; 1 is the finest.
        given: what it is given.
    """

    base: Base
    variant: Variant
    seed: int
    trained: bool
    place: int
    given: Given

    @property
    def name(self) -> str:
        """Of its row: `C-all-0-place2-features`, or `C-all-0-untrained-place2-features`."""
        state = "" if self.trained else "-untrained"
        return f"{self.network.name}{state}-place{self.place}-{self.given}"

    @property
    def network(self) -> NetworkRun:
        """The network that is read."""
        return NetworkRun(self.base, self.variant, self.seed)


@dataclass(frozen=True)
class Settings:
    """All that decides what a run comes to, besides its name; a folder has runs of one of these alone.

    Attributes:
        data: identity of the images and labels.
        width: filters of block 1.
        recipe: how networks are trained.
        steps: of each network.
        batch: images a step.
        learning_rate: at its highest.
        dropout: whether there is any.
        augment: whether images are mirrored, and shifted by up to 5 pixels.
        reader_steps: of each reader.
        reader_width: channels of each.
        seen: how many images readers are trained on, evenly spaced; None for all.
        held: on how many of the images to measure on reconstructions are measured, evenly spaced.
        images: how many of them the error is taken over, evenly spaced; None for all.
        validate: whether a sixth of the training images is held out to measure on, and the test images are
            not looked at; for trying settings out.

    Raises:
        ValueError: a number is out of range.
    """

    data: str
    width: int
    recipe: RecipeName
    steps: int
    batch: int
    learning_rate: float
    dropout: bool
    augment: bool
    reader_steps: int
    reader_width: int
    seen: int | None
    held: int
    images: int | None
    validate: bool

    def __post_init__(self) -> None:
        for name in ("width", "steps", "batch", "learning_rate", "reader_steps", "reader_width", "held"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected a number above 0")

    @property
    def as_recipe(self) -> Recipe:
        """That of each network."""
        return replace(
            _RECIPES[self.recipe],
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            flips=self.augment,
        )

    def with_recipe(self, name: RecipeName) -> "Settings":
        """The same with all that a recipe of this name decides."""
        recipe = _RECIPES[name]
        return replace(
            self, recipe=name, steps=recipe.steps, batch=recipe.batch, learning_rate=recipe.learning_rate,
            dropout=True,
        )  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Which runs there are.

    Attributes:
        bases: A, B, C or some of them.
        variants: that are trained; of the twins among them there are readers.
        seeds: how many networks of each kind, with the seeds 0, 1, ...
        places: that are read.

    Raises:
        ValueError: one of these is empty, given twice or out of range.
    """

    bases: tuple[Base, ...] = ("C",)
    variants: tuple[Variant, ...] = get_args(Variant)
    seeds: int = 3
    places: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        for name, values in (("bases", self.bases), ("variants", self.variants), ("places", self.places)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"`{name}` is {','.join(map(str, values))!r}: give at least one, none twice")
        if not set(self.places) <= {1, 2}:
            raise ValueError(f"`places` is {','.join(map(str, self.places))}: expected some of 1,2")
        if self.seeds < 1:
            raise ValueError(f"`seeds` is {self.seeds}: expected at least 1")

    def networks(self) -> tuple[NetworkRun, ...]:
        """The networks, one seed after the other."""
        return tuple(
            NetworkRun(base, variant, seed)
            for seed in range(self.seeds)
            for base in self.bases
            for variant in self.variants
        )

    def readings(self) -> tuple[ReadingRun, ...]:
        """The readers, one seed after the other; of networks that are not trained, and controls, one seed."""
        return tuple(
            run
            for seed in range(self.seeds)
            for base in self.bases
            for variant in TWINS
            if variant in self.variants
            for run in self._readings(base, variant, seed)
        )

    def _readings(self, base: Base, variant: Variant, seed: int) -> Iterator[ReadingRun]:
        pools = variant == TWINS[0]
        given: tuple[Given, ...] = ("switches", "features", "both") if pools else ("features",)
        for place in self.places:
            for each in given:
                yield ReadingRun(base, variant, seed, True, place, each)
        if seed:
            return
        deepest = max(self.places)
        if pools:
            yield ReadingRun(base, variant, seed, True, deepest, "random")
            yield ReadingRun(base, variant, seed, True, deepest, "fixed")
        for each in given:
            if each != "both":
                yield ReadingRun(base, variant, seed, False, deepest, each)


@dataclass(frozen=True)
class Preset:
    """The settings and runs of a size."""

    settings: Settings
    grid: Grid


def preset(size: Size = "small") -> Preset:
    """What the study is unless it is asked for otherwise.

    Args:
        size: `toy` takes seconds and shows that everything works; `small` takes less than ten minutes on two
            cores; `full` has the published widths, which asks for a GPU.
    """
    full = Settings(
        data="", width=WIDTH, recipe="fast", steps=8000, batch=ALL_CONV_FAST.batch,
        learning_rate=ALL_CONV_FAST.learning_rate, dropout=True, augment=False, reader_steps=2000,
        reader_width=32, seen=10_000, held=500, images=None, validate=False,
    )  # fmt: skip
    if size == "full":
        return Preset(full, Grid())
    if size == "small":
        few = replace(
            full, width=16, steps=300, batch=32, learning_rate=3e-3, dropout=False, reader_steps=200,
            reader_width=16, seen=2000, held=250, images=2000,
        )  # fmt: skip
        return Preset(few, Grid(seeds=2))
    tiny = replace(
        full, width=2, steps=2, batch=4, dropout=False, reader_steps=2, reader_width=4, seen=8, held=6,
        images=20,
    )  # fmt: skip
    return Preset(tiny, Grid(seeds=2))


def left_out(settings: Settings, grid: Grid) -> str:
    """What a study does not have of the full one, in words; empty for nothing."""
    full = preset("full")
    return "; ".join([*_runs_left_out(grid, full.grid), *_work_left_out(settings, full.settings)])


def _runs_left_out(grid: Grid, full: Grid) -> Iterator[str]:
    for variant in full.variants:
        if variant not in grid.variants:
            yield TITLES[variant]
    for place in full.places:
        if place not in grid.places:
            yield f"place {place}"
    if grid.seeds < full.seeds:
        yield f"{full.seeds - grid.seeds} of {full.seeds} seeds"


def _work_left_out(settings: Settings, full: Settings) -> Iterator[str]:
    if settings.width < full.width:
        yield f"filters of block 1 beyond {settings.width} of {full.width}"
    for name, noun in (("steps", "steps of a network"), ("reader_steps", "steps of a reader")):
        now, whole = getattr(settings, name), getattr(full, name)
        if now < whole:
            yield f"{noun} after the first {now:,} of {whole:,}"
    if settings.reader_width < full.reader_width:
        yield f"channels of a reader beyond {settings.reader_width} of {full.reader_width}"
    if full.dropout and not settings.dropout:
        yield "dropout"
    if settings.images is not None:
        yield f"images to measure errors on beyond {settings.images:,}"
    if settings.held < full.held:
        yield f"images to rebuild beyond {settings.held:,}"
