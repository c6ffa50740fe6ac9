"""How large `study swwae` is: seconds, minutes, or what an answer takes; and the layout of each set."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from maxtunnel.data.labelled_sets import SETS
from maxtunnel.models.layout import Layout
from maxtunnel.studies.published import SWWAE_STL10
from maxtunnel.studies.swwae_config import TERMS, UNPOOLINGS, Grid, Settings, Size
from maxtunnel.support.choices import LabelledSetName
from maxtunnel.training.recipes import SWWAE_FAST

# Zhao et al. give the layout for STL-10 alone; on MNIST they have one pooling, `(16)5c-(32)3c-Xp`. The others
# are small enough for a CPU, with two poolings or more, so that there are switches of several levels.
_LAYOUTS: dict[LabelledSetName, str] = {
    "mnist": "(32)5c-2p-(32)3c-2p-(32)3c",
    "cifar10": "(32)3c-2p-(64)3c-2p-(128)3c-2p",
    "cifar100": "(32)3c-2p-(64)3c-2p-(128)3c-2p",
    "svhn": "(32)3c-2p-(64)3c-2p-(128)3c-2p",
    "stl10": SWWAE_STL10,
}
_LABELS: dict[LabelledSetName, tuple[int, ...]] = {
    "mnist": (100, 1000),
    "cifar10": (1000, 4000),
    "cifar100": (10_000,),
    "svhn": (1000,),
    "stl10": (1000,),
}
# Of the small size: how many times narrower its layers are, and steps.
_SMALL: dict[LabelledSetName, tuple[int, int]] = {
    "mnist": (2, 300),
    "cifar10": (4, 300),
    "cifar100": (4, 300),
    "svhn": (4, 300),
    "stl10": (8, 100),
}
_STEPS = 1500


@dataclass(frozen=True)
class Preset:
    """The settings and networks of a size.

    Attributes:
        settings: without the identity of the data.
        grid: which networks.
    """

    settings: Settings
    grid: Grid


def preset(name: LabelledSetName, size: Size = "small") -> Preset:
    """What a study of a set is unless it is asked for otherwise.

    Args:
        name: of the set.
        size: `toy` takes seconds and shows that everything works; `small` takes less than ten minutes on two
            cores; `full` is what an answer takes.
    """
    full = Settings(
        set=name, data="", layout=_LAYOUTS[name], recipe="fast", steps=_STEPS, batch=SWWAE_FAST.batch,
        unlabelled_batch=SWWAE_FAST.batch, learning_rate=SWWAE_FAST.learning_rate, l2rec=0.1, l2m=0.1,
        dropout=0.5, batch_norm=name == "stl10", images=None, rebuilt=1000, validate=False,
    )  # fmt: skip
    if size == "full":
        return Preset(full, Grid(_LABELS[name], seeds=5))
    if size == "small":
        times, steps = _SMALL[name]
        return Preset(
            replace(full, layout=_narrow(full.layout, times), steps=steps, images=2000, rebuilt=500),
            Grid(_LABELS[name][-1:], unpoolings=("switches",), seeds=3),
        )
    return Preset(
        replace(
            full,
            layout=_narrow(full.layout, 16),
            steps=3,
            batch=10,
            unlabelled_batch=10,
            images=60,
            rebuilt=30,
        ),
        Grid((SETS[name].classes,), seeds=2),
    )


def left_out(settings: Settings, grid: Grid) -> str:
    """What a study does not have of the full one of its set, in words; empty for nothing."""
    full = preset(settings.set, "full")
    return "; ".join([*_networks_left_out(grid, full.grid), *_work_left_out(settings, full.settings)])


def _networks_left_out(grid: Grid, full: Grid) -> Iterator[str]:
    for count in full.labels:
        if count not in grid.labels:
            yield f"{count:,} labels"
    yield from (TERMS[method] for method in full.methods if method not in grid.methods)
    yield from (UNPOOLINGS[unpooling] for unpooling in full.unpoolings if unpooling not in grid.unpoolings)
    if grid.seeds < full.seeds:
        yield f"{full.seeds - grid.seeds} of {full.seeds} seeds"


def _work_left_out(settings: Settings, full: Settings) -> Iterator[str]:
    if Layout.parse(settings.layout) != Layout.parse(full.layout):
        yield f"the layers {full.layout}"
    if settings.steps < full.steps:
        yield f"steps after the first {settings.steps:,} of {full.steps:,}"
    if settings.images is not None:
        yield f"images to measure on beyond {settings.images:,}"
    if settings.rebuilt < full.rebuilt:
        yield f"images to rebuild beyond {settings.rebuilt:,}"


def _narrow(layout: str, times: int) -> str:
    """A layout with so many times fewer filters in its layers."""
    whole = Layout.parse(layout)
    layers = (replace(layer, filters=max(2, layer.filters // times)) for layer in whole.convolutions)
    return str(replace(whole, convolutions=tuple(layers)))
