"""What `study recon-dec` runs: which readers at which depths, which networks, and how much of it there is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.layout import Layout
from maxtunnel.support.choices import DecoderKind, Unpooling
from maxtunnel.training.recipes import FAST, STRONG, SWWAE_FAST, Recipe

# What a reader is given of a depth. Without features a learned constant stands in their place; without
# switches each is that of its window's first cell.
Given = Literal["both", "features", "switches"]
# What a decoder that is trained with the classes is to rebuild: the image alone, every pooled plane too, or
# these with each block beginning from the encoder's own plane.
Mode = Literal["first", "all", "layerwise"]
Part = Literal["depths", "networks"]
Size = Literal["toy", "small", "full"]

GIVEN: dict[Given, str] = {
    "both": "features with known switches",
    "features": "features with fixed switches",
    "switches": "switches with constant features",
}
READERS: dict[DecoderKind, str] = {"mirrored": "mirrored decoder, as Zhang's", "strong": "strong reader"}
MODES: tuple[Mode, ...] = ("first", "all", "layerwise")
PARTS: tuple[Part, ...] = ("depths", "networks")
AUTOENCODERS: dict[Unpooling, str] = {"fixed": "SAE", "switches": "SWWAE"}
DROPOUT = 0.5  # before the classes, as VGG's
_READER_BATCH, _STRONG_RATE = 8, 0.002  # those of an audit


@dataclass(frozen=True)
class DepthRun:
    """One reader.

    Attributes:
        level: it reads what lies behind this pooling, and the switches up to it; 1 is the finest.
        given: what it is given.
        reader: its kind.
    """

    level: int
    given: Given
    reader: DecoderKind

    @property
    def name(self) -> str:
        """Of its row: `pool3-switches-strong`."""
        return f"pool{self.level}-{self.given}-{self.reader}"


@dataclass(frozen=True)
class NetworkRun:
    """One network that is trained on classes.

    Attributes:
        unpooling: of the decoder that is trained with it: `fixed` for an SAE, `switches` for an SWWAE; None
            where there is none.
        mode: what that decoder is to rebuild; None where there is none.
        seed: draws weights and order.
    """

    unpooling: Unpooling | None
    mode: Mode | None
    seed: int

    @property
    def name(self) -> str:
        """Of its row: `SWWAE-all-0`, `classes-0`."""
        return f"{self.kind.replace(' ', '-')}-{self.seed}"

    @property
    def kind(self) -> str:
        """Its kind: `SWWAE all`, `classes`."""
        if self.unpooling is None or self.mode is None:
            return "classes"
        return f"{AUTOENCODERS[self.unpooling]} {self.mode}"


@dataclass(frozen=True)
class Settings:
    """All that decides what a run comes to, besides its name; a folder has runs of one of these alone.

    Attributes:
        data: identity of the photographs and their classes.
        encoder: whose depths are read: what it is, and a hash of its weights where it was given.
        size: side of the photographs in pixels.
        network: architecture of the networks that are trained on classes.
        steps: of each of these.
        batch: photographs a step of these.
        l2rec, l2m: weights of the image term and of each plane's, where a network has them.
        reader_steps: of each reader.
        width: channels of a strong reader.
        seen: how many photographs readers are trained on, evenly spaced; None for all.
        held: on how many reconstructions are measured, evenly spaced; None for all.

    Raises:
        ValueError: a number is out of range, or the photographs cannot be pooled as often as that.
    """

    data: str
    encoder: str
    size: int
    network: str
    steps: int
    batch: int
    l2rec: float
    l2m: float
    reader_steps: int
    width: int
    seen: int | None
    held: int | None

    def __post_init__(self) -> None:
        for name in ("size", "steps", "batch", "l2rec", "l2m", "reader_steps", "width"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected a number above 0")
        check_size(Architecture.parse(self.network), self.size)

    @property
    def recipe(self) -> Recipe:
        """That of each network."""
        return replace(SWWAE_FAST, steps=self.steps, batch=self.batch, flips=True)

    def reader_recipe(self, reader: DecoderKind) -> Recipe:
        """That of each reader of a kind; photographs are not mirrored, as their switches would be others."""
        found = FAST if reader == "mirrored" else replace(STRONG, learning_rate=_STRONG_RATE, flips=False)
        return replace(found, steps=self.reader_steps, batch=_READER_BATCH)


@dataclass(frozen=True)
class Grid:
    """Which runs there are.

    Attributes:
        levels: depths that are read; None for all.
        seeds: how many networks of each kind, with the seeds 0, 1, ...
        parts: which parts of the study.

    Raises:
        ValueError: one of these is empty, given twice or out of range.
    """

    levels: tuple[int, ...] | None = None
    seeds: int = 3
    parts: tuple[Part, ...] = PARTS

    def __post_init__(self) -> None:
        if self.levels is not None and (not self.levels or len(set(self.levels)) < len(self.levels)):
            raise ValueError(f"`levels` is {self.levels}: give at least one, none twice")
        if self.seeds < 1 or not self.parts:
            raise ValueError("`seeds` must be at least 1, and `parts` some of depths, networks")

    def depths(self, architecture: Architecture) -> tuple[DepthRun, ...]:
        """The readers of an encoder.

        Raises:
            ValueError: it has no pooling of such a number.
        """
        deepest = len(architecture.widths)
        levels = self.levels or range(1, deepest + 1)
        if not all(1 <= level <= deepest for level in levels):
            raise ValueError(
                f"`levels` is {','.join(map(str, levels))}: {architecture} pools {deepest} times"
            )
        return tuple(
            DepthRun(level, given, reader) for level in levels for reader in READERS for given in GIVEN
        )

    def networks(self) -> tuple[NetworkRun, ...]:
        """The networks, one seed after the other."""
        return tuple(run for seed in range(self.seeds) for run in _networks(seed))


def _networks(seed: int) -> Iterator[NetworkRun]:
    yield NetworkRun(None, None, seed)
    for unpooling in AUTOENCODERS:
        for mode in MODES:
            yield NetworkRun(unpooling, mode, seed)


def check_size(architecture: Architecture, size: int) -> None:
    """Refuse photographs that would be padded: what is rebuilt of a border is no photograph's.

    Raises:
        ValueError: the size is no multiple of what the poolings ask for.
    """
    if size % architecture.multiple:
        raise ValueError(
            f"`size` is {size}: {architecture} pools {len(architecture.widths)} times, so expected a "
            f"multiple of {architecture.multiple}"
        )


def layout_of(architecture: Architecture) -> Layout:
    """An architecture as Zhao et al. write it: `16-32x1` is `(16)3cx2-2p-(32)3c-2p`."""
    blocks = zip(architecture.widths, architecture.layers, strict=True)
    return Layout.parse("-".join(f"({width})3cx{count}-2p" for width, count in blocks))


@dataclass(frozen=True)
class Preset:
    """The settings and runs of a size.

    Attributes:
        settings: without the identities of data and encoder.
        grid: which runs.
        limit: most photographs that are read of each folder, evenly spaced; None for all.
    """

    settings: Settings
    grid: Grid
    limit: int | None = None


def preset(size: Size = "small") -> Preset:
    """What the study is unless it is asked for otherwise.

    Args:
        size: `toy` takes seconds and shows that everything works; `small` takes less than ten minutes on two
            cores; `full` is what an answer takes.
    """
    full = Settings(
        data="", encoder="", size=64, network="16-32-64-64", steps=1500, batch=32, l2rec=0.5, l2m=0.05,
        reader_steps=1000, width=32, seen=2000, held=500,
    )  # fmt: skip
    if size == "full":
        return Preset(full, Grid())
    if size == "small":
        few = replace(full, network="8-16-32-32", steps=150, reader_steps=150, width=16, seen=800, held=200)
        return Preset(few, Grid(seeds=2), 2000)
    tiny = replace(full, size=16, network="4-4", steps=2, batch=4, reader_steps=2, width=4, seen=8, held=6)
    return Preset(tiny, Grid(seeds=2))


def left_out(settings: Settings, grid: Grid, architecture: Architecture, limit: int | None = None) -> str:
    """What a study does not have of the full one, in words; empty for nothing.

    Args:
        settings, grid: of the study.
        architecture: of the encoder whose depths are read.
        limit: how many photographs of a folder were read, where there were more.
    """
    full = preset("full")
    missing = [] if limit is None else [f"photographs of a folder beyond {limit:,}"]
    if settings.size < full.settings.size:
        missing.append(f"photographs of {full.settings.size} pixels")
    missing += _depths_left_out(settings, grid, full.settings, architecture)
    missing += _networks_left_out(settings, grid, full)
    return "; ".join(missing)


def _depths_left_out(
    settings: Settings, grid: Grid, full: Settings, architecture: Architecture
) -> Iterator[str]:
    if "depths" not in grid.parts:
        yield "all depths"
        return
    levels = range(1, len(architecture.widths) + 1)
    skipped = [str(level) for level in levels if grid.levels is not None and level not in grid.levels]
    if skipped:
        yield f"pool {', '.join(skipped)}"
    if settings.reader_steps < full.reader_steps:
        yield f"readers' steps after the first {settings.reader_steps:,} of {full.reader_steps:,}"
    if settings.width < full.width:
        yield f"{full.width - settings.width} of a strong reader's {full.width} channels"
    words = {"seen": "photographs that readers are trained on", "held": "photographs to rebuild"}
    for name, what in words.items():
        few, most = getattr(settings, name), getattr(full, name)
        if few is not None and few < most:
            yield f"{what} beyond {few:,} of {most:,}"


def _networks_left_out(settings: Settings, grid: Grid, full: Preset) -> Iterator[str]:
    if "networks" not in grid.parts:
        yield "networks with a decoder beside the classes"
        return
    if grid.seeds < full.grid.seeds:
        yield f"{full.grid.seeds - grid.seeds} of {full.grid.seeds} seeds"
    if settings.network != full.settings.network:
        yield f"the layers {full.settings.network}"
    if settings.steps < full.settings.steps:
        yield f"the networks' steps after the first {settings.steps:,} of {full.settings.steps:,}"
