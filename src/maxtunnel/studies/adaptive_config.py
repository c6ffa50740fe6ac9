"""What `study adaptive` runs: which networks, and how much of it there is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from maxtunnel.models.adaptive_deconv import AdaptiveSettings, Pooling
from maxtunnel.training.adaptive import Learning

Size = Literal["toy", "small", "full"]
POOLINGS: dict[Pooling, str] = {"max": "max pooling, switches", "average": "average pooling"}


@dataclass(frozen=True)
class Run:
    """One network.

    Attributes:
        pooling: of its layers.
        seed: draws the filters that it begins with, and the order of the images.
    """

    pooling: Pooling
    seed: int

    @property
    def name(self) -> str:
        """Of its row: `max-0`."""
        return f"{self.pooling}-{self.seed}"


@dataclass(frozen=True)
class Settings:
    """All that decides what a run comes to, besides its name; a folder has runs of one of these alone.

    Attributes:
        data: identity of the images.
        side: of the square that images are put on, in pixels.
        maps: of the layers.
        sparsity: weight of the features' magnitudes.
        learned: how many images filters are learnt on.
        passes, batch, steps: see `Learning`.
        classes: how many are told apart, evenly spaced; None for all.
        labelled: images a class that the linear classifier is trained on.
        tested: images a class, at most, that it is measured on.
        held: on how many of these reconstructions are measured.

    Raises:
        ValueError: a number is out of range.
    """

    data: str
    side: int
    maps: tuple[int, ...]
    sparsity: float
    learned: int
    passes: int
    batch: int
    steps: int
    classes: int | None
    labelled: int
    tested: int
    held: int

    def __post_init__(self) -> None:
        for name, least in (("side", 16), ("learned", 1), ("labelled", 1), ("tested", 1), ("held", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected at least {least}")
        if self.classes is not None and self.classes < 2:
            raise ValueError(f"`classes` is {self.classes}: expected at least 2 to tell apart")

    def network(self, pooling: Pooling) -> AdaptiveSettings:
        """The shape of a network."""
        return AdaptiveSettings(pooling, self.maps, sparsity=self.sparsity)

    @property
    def learning(self) -> Learning:
        """How each is learnt."""
        return Learning(self.passes, self.batch, self.steps)


@dataclass(frozen=True)
class Grid:
    """Which networks there are.

    Attributes:
        poolings: of the networks.
        seeds: how many of each, with the seeds 0, 1, ...

    Raises:
        ValueError: there are none.
    """

    poolings: tuple[Pooling, ...] = get_args(Pooling)
    seeds: int = 3

    def __post_init__(self) -> None:
        if not self.poolings or self.seeds < 1:
            raise ValueError("`poolings` and `seeds` must name at least one network")

    def runs(self) -> Iterator[Run]:
        """All networks, one seed after the other."""
        for seed in range(self.seeds):
            for pooling in self.poolings:
                yield Run(pooling, seed)


_FULL = Settings("", 150, (15, 50, 100, 150), 0.2, 200, 4, 10, 2, None, 30, 30, 100)
_SMALL = replace(
    _FULL, side=64, maps=(12, 24, 36, 48), learned=64, passes=2, batch=16, classes=10, labelled=15, tested=10,
    held=32,
)  # fmt: skip
_TOY = replace(
    _FULL, side=24, maps=(4, 6), learned=4, passes=1, batch=4, classes=2, labelled=2, tested=2, held=3
)


def preset(size: Size) -> tuple[Settings, Grid]:
    """Settings and networks of a size."""
    if size == "full":
        return _FULL, Grid()
    return (_SMALL, Grid(seeds=2)) if size == "small" else (_TOY, Grid(seeds=1))


def left_out(settings: Settings, grid: Grid) -> str:
    """What is not there of the full study, in words; empty for nothing."""
    whole, every = preset("full")
    found = []
    for name, words in (
        ("side", "pixels a side"), ("learned", "images to learn on"), ("passes", "passes over them"),
        ("labelled", "labelled images a class"), ("tested", "test images a class"),
        ("held", "images to rebuild"),
    ):  # fmt: skip
        now, then = getattr(settings, name), getattr(whole, name)
        if now < then:
            found.append(f"{then - now} of {then} {words}")
    if settings.maps != whole.maps:
        found.append(f"maps beyond {'-'.join(map(str, settings.maps))} of {'-'.join(map(str, whole.maps))}")
    if settings.classes is not None:
        found.append(f"classes beyond {settings.classes}")
    if grid.seeds < every.seeds:
        found.append(f"{every.seeds - grid.seeds} of {every.seeds} seeds")
    found.extend(POOLINGS[pooling] for pooling in every.poolings if pooling not in grid.poolings)
    return ", ".join(found)
