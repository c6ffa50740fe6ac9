"""The kinds of decoder that an observer may train on switches, and how each is made and trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from maxtunnel.models.mirrored import Level, MirroredDecoder, mirror
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.support.choices import DecoderKind
from maxtunnel.switches.window import Pair
from maxtunnel.training.recipes import FAST, STRONG, Recipe

Decoder = MirroredDecoder | StrongDecoder
# The minutes of an audit on a few cores are shared out among nine decoders, each of which needs hundreds of
# steps, so these are narrow, their batches small, and their rate that much higher: docs/training.md.
_WIDTH, _BATCH, _RATE = 32, 8, 0.002


@dataclass(frozen=True)
class Reader:
    """A kind of decoder.

    Attributes:
        kind: its name among the options.
        title: what a report calls it.
        about: how it is built, in a clause.
        recipe: by which it is trained.
        width: what `width` is where it is not given.
        make: a new decoder from the levels (coarsest first), (height, width) of the image, `width`, a seed
            and the channels of the features that it may be given.
    """

    kind: DecoderKind
    title: str
    about: str
    recipe: Recipe
    width: int
    make: Callable[[Sequence[Level], Pair, int, int, int], Decoder]


def _mirrored(levels: Sequence[Level], size: Pair, width: int, seed: int, what: int) -> Decoder:
    # It takes the features in the place of its bias code, which has as many channels.
    return mirror(levels, size, width, seed)


def _strong(levels: Sequence[Level], size: Pair, width: int, seed: int, what: int) -> Decoder:
    return StrongDecoder(levels, size, width, seed, what)


READERS: dict[DecoderKind, Reader] = {
    "mirrored": Reader(
        "mirrored",
        "the mirrored decoder of the paper",
        "the captured levels mirrored, coarsest first; unpool, two 3x3 convolutions a level; a learned "
        "constant in the place of the features",
        FAST,
        32,
        _mirrored,
    ),
    "strong": Reader(
        "strong",
        "a strong decoder",
        "a U-Net over the switches, in which every level reaches all others before anything is drawn",
        replace(STRONG, batch=_BATCH, learning_rate=_RATE),
        _WIDTH,
        _strong,
    ),
}
