"""What `study swwae` runs: which networks, how each is trained, and how much of it there is."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from maxtunnel.models.layout import Layout
from maxtunnel.support.choices import LabelledSetName, RecipeName, Unpooling
from maxtunnel.training.recipes import SWWAE_FAST, SWWAE_PAPER, Recipe

# The terms that a network is trained with beside the classes; an untrained one is as it was drawn.
Method = Literal["untrained", "supervised", "image", "intermediate", "both"]
REBUILDING: tuple[Method, ...] = ("image", "intermediate", "both")
TERMS: dict[Method, str] = {
    "untrained": "untrained",
    "supervised": "supervised only",
    "image": "+ L2rec, the image term",
    "intermediate": "+ L2M, the intermediate terms",
    "both": "+ both",
}
UNPOOLINGS: dict[Unpooling, str] = {
    "switches": "known switches",
    "fixed": "fixed switches",
    "average": "no switches (average)",
}
Size = Literal["toy", "small", "full"]
_RECIPES: dict[RecipeName, Recipe] = {"fast": SWWAE_FAST, "paper": SWWAE_PAPER}
_LEAST = 5  # images of a batch: 4 in pieces of two have no third part


@dataclass(frozen=True)
class Run:
    """One network.

    Attributes:
        method: what it is trained with.
        unpooling: of its decoder; None where no decoder is trained with it.
        labels: how many images are labelled; 0 where none is looked at.
        seed: draws weights, labels and order.
    """

    method: Method
    unpooling: Unpooling | None
    labels: int
    seed: int

    @property
    def name(self) -> str:
        """Of its row: `1000-both-switches-0`."""
        return "-".join(
            str(part)
            for part in (self.labels or None, self.method, self.unpooling, self.seed)
            if part is not None
        )


@dataclass(frozen=True)
class Settings:
    """All that decides what a run comes to, besides its name; a folder has runs of one of these alone.

    Attributes:
        set: of images.
        data: identity of the images and labels, see `fingerprint`.
        layout: of the network.
        recipe: how networks are trained: `fast`, or as far as it is known the paper's.
        steps: of each network, and of the decoder that is trained on it afterwards.
        batch: labelled images a step.
        unlabelled_batch: images of the whole set a step besides, where a decoder is trained.
        learning_rate: at its highest.
        l2rec, l2m: weights of the image term and of each intermediate term, where a network has them.
        dropout: before fully connected layers.
        batch_norm: whether there is any.
        images: how many of the images to measure on the error is taken over, evenly spaced; None for all.
        rebuilt: on how many reconstructions are measured.
        validate: whether a sixth of the training images is held out to measure on, and the test images are
            not looked at; for trying settings out.

    Raises:
        ValueError: the layout has no plane in between, or a number is out of range.
    """

    set: LabelledSetName
    data: str
    layout: str
    recipe: RecipeName
    steps: int
    batch: int
    unlabelled_batch: int
    learning_rate: float
    l2rec: float
    l2m: float
    dropout: float
    batch_norm: bool
    images: int | None
    rebuilt: int
    validate: bool

    def __post_init__(self) -> None:
        if len(Layout.parse(self.layout).convolutions) < 2:
            raise ValueError(f"`layout` is {self.layout}: intermediate terms need at least two layers")
        for name in ("steps", "batch", "unlabelled_batch", "learning_rate", "l2rec", "l2m"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected a number above 0")
        if self.batch < _LEAST:
            raise ValueError(
                f"`batch` is {self.batch}: expected at least {_LEAST}, as the fresh decoder is given "
                "features, switches or both by thirds of a batch"
            )

    @property
    def as_recipe(self) -> Recipe:
        """That of each network."""
        return replace(
            _RECIPES[self.recipe], steps=self.steps, batch=self.batch, learning_rate=self.learning_rate
        )

    @property
    def reading_recipe(self) -> Recipe:
        """That of the fresh decoder on each network: always `fast`, as it is the same measure for all."""
        rate = self.learning_rate if self.recipe == "fast" else SWWAE_FAST.learning_rate
        return replace(SWWAE_FAST, steps=self.steps, batch=self.batch, learning_rate=rate)

    def with_recipe(self, name: RecipeName) -> "Settings":
        """The same by another recipe, at its rate; how long it lasts stays as it is."""
        return replace(self, recipe=name, learning_rate=_RECIPES[name].learning_rate)


@dataclass(frozen=True)
class Grid:
    """Which networks there are.

    Attributes:
        labels: how many images are labelled.
        methods: that are trained.
        unpoolings: of the decoders that are trained with a network.
        seeds: how many networks of each, with the seeds 0, 1, ...

    Raises:
        ValueError: one of these is empty, given twice or out of range.
    """

    labels: tuple[int, ...]
    methods: tuple[Method, ...] = get_args(Method)
    unpoolings: tuple[Unpooling, ...] = get_args(Unpooling)
    seeds: int = 3

    def __post_init__(self) -> None:
        for name, values in (
            ("labels", self.labels), ("methods", self.methods), ("unpoolings", self.unpoolings)
        ):  # fmt: skip
            if not values or len(set(values)) < len(values):
                raise ValueError(f"`{name}` is {','.join(map(str, values))!r}: give at least one, none twice")
        if min(self.labels) < 1 or self.seeds < 1:
            raise ValueError("`labels` and `seeds` must be at least 1")

    def runs(self) -> Iterator[Run]:
        """All networks, in the order in which they are trained: one seed after the other."""
        for seed in range(self.seeds):
            if "untrained" in self.methods:
                yield Run("untrained", None, 0, seed)
            for labels in self.labels:
                for method, unpooling in self.kinds():
                    if method != "untrained":
                        yield Run(method, unpooling, labels, seed)

    def kinds(self) -> Iterator[tuple[Method, Unpooling | None]]:
        """Every method with every unpooling that it has, in the order of the table."""
        for method in self.methods:
            for unpooling in self.unpoolings if method in REBUILDING else (None,):
                yield method, unpooling


def parse_choices(text: str, name: str, choices: Sequence[str]) -> tuple[str, ...]:
    """`image,both` as ("image", "both"), and `all` as every choice.

    Raises:
        ValueError: one of them is no choice; the message calls the text `name`.
    """
    if text.strip() == "all":
        return tuple(choices)
    found = tuple(part.strip() for part in text.split(","))
    for part in found:
        if part not in choices:
            raise ValueError(f"`{name}` is {text!r}: expected all, or some of {', '.join(choices)}")
    return found
