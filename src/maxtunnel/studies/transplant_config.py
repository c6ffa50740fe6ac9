"""What `study transplant` runs: which networks, and how much of it there is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from maxtunnel.models.layout import Layout
from maxtunnel.models.swwae import Swwae
from maxtunnel.support.choices import Unpooling
from maxtunnel.training.recipes import SWWAE_FAST, Recipe

Size = Literal["toy", "small", "full"]
Kind = Literal["switches", "fixed", "average"]
KINDS: dict[Kind, str] = {
    "switches": "known switches",
    "fixed": "fixed switches",
    "average": "average pooling, no switches",
}
_UNPOOLING: dict[Kind, Unpooling] = {"switches": "switches", "fixed": "fixed", "average": "average"}
# So soft a maximum is the average of its window, to a thousandth of the values' spread.
_AVERAGE = 1e-4


@dataclass(frozen=True)
class Run:
    """One network.

    Attributes:
        kind: of its pooling and unpooling.
        seed: draws the weights and the order of the images.
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
        data: identity of the images.
        side: of the square that images are warped to, in pixels.
        layout: of the encoder; the decoder is its mirror image.
        steps: of each training.
        batch: images a step.
        learning_rate: at its highest.
        each: images of a folder, at most, evenly spaced; None for all.
        pairs: of each kind that are measured on, at most; of fewer images there are as many as of these.

    Raises:
        ValueError: a number is out of range, or the layout does not fit the images.
    """

    data: str
    side: int
    layout: str
    steps: int
    batch: int
    learning_rate: float
    each: int | None
    pairs: int

    def __post_init__(self) -> None:
        for name, least in (("side", 8), ("steps", 1), ("batch", 1), ("pairs", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected at least {least}")
        if self.each is not None and self.each < 2:
            raise ValueError(f"`each` is {self.each}: expected at least 2 images of a folder, to pair them")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"`learning_rate` is {self.learning_rate}: expected a number above 0")
        layout = Layout.parse(self.layout)
        if layout.connected:
            raise ValueError(f"`layout` is {self.layout}: expected no fully connected layer, as none is used")
        layout.sizes((self.side, self.side))

    @property
    def levels(self) -> int:
        """How many poolings there are."""
        return len(Layout.parse(self.layout).windows)

    @property
    def recipe(self) -> Recipe:
        """That of each training."""
        return replace(SWWAE_FAST, steps=self.steps, batch=self.batch, learning_rate=self.learning_rate)

    def network(self, run: Run, channels: int) -> Swwae:
        """The network of a run as it is drawn; its classifier, of one class, is not used."""
        return Swwae(
            Layout.parse(self.layout), channels, (self.side, self.side), 1, _UNPOOLING[run.kind],
            batch_norm=True, seed=run.seed, beta=_AVERAGE if run.kind == "average" else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Which networks there are.

    Attributes:
        kinds: of the networks.
        seeds: how many of each, with the seeds 0, 1, ...

    Raises:
        ValueError: there are none.
    """

    kinds: tuple[Kind, ...] = get_args(Kind)
    seeds: int = 3

    def __post_init__(self) -> None:
        if not self.kinds or self.seeds < 1:
            raise ValueError("`kinds` and `seeds` must name at least one network")

    def runs(self) -> Iterator[Run]:
        """All networks, one seed after the other."""
        for seed in range(self.seeds):
            for kind in self.kinds:
                yield Run(kind, seed)


_FULL = Settings(
    "", 96, "(32)3cx2-2p-(64)3cx2-2p-(128)3cx2-2p-(128)3cx2-2p", 20_000, 32, 2e-3, None, 200
)  # fmt: skip
_SMALL = replace(
    _FULL, side=48, layout="(16)3c-2p-(32)3c-2p-(64)3c-2p-(64)3c-2p", steps=400, batch=16, learning_rate=5e-3,
    each=80, pairs=48,
)  # fmt: skip
_TOY = replace(_SMALL, side=16, layout="(4)3c-2p-(6)3c-2p", steps=3, batch=4, each=6, pairs=4)


def preset(size: Size) -> tuple[Settings, Grid]:
    """Settings and networks of a size."""
    if size == "full":
        return _FULL, Grid()
    return (_SMALL, Grid(seeds=2)) if size == "small" else (_TOY, Grid(seeds=1))


def left_out(settings: Settings, grid: Grid) -> str:
    """What is not there of the full study, in words; empty for nothing."""
    whole, every = preset("full")
    found = []
    for name, words in (("side", "pixels a side"), ("steps", "steps"), ("pairs", "pairs of each kind")):
        now, then = getattr(settings, name), getattr(whole, name)
        if now < then:
            found.append(f"{then - now:,} of {then:,} {words}")
    if Layout.parse(settings.layout) != Layout.parse(whole.layout):
        found.append(f"the layout {whole.layout}, in whose place is {settings.layout}")
    if settings.each is not None:
        found.append(f"images of a folder beyond {settings.each}")
    if grid.seeds < every.seeds:
        found.append(f"{every.seeds - grid.seeds} of {every.seeds} seeds")
    found.extend(KINDS[kind] for kind in every.kinds if kind not in grid.kinds)
    return ", ".join(found)
