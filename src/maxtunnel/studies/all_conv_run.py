"""One network of `study all-conv` trained and measured, and one reader of what is behind a place of it.

Readers are those of an audit (`auditing.attacker`): the strong decoder, by the audit's recipe, in the same
order for all. All-CNN has no switches; its reader is the one of ConvPool-CNN's features, whose levels are
given all fixed: so both have the same layers, and are told nothing but the features.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import BOTH, FIXED, RANDOM, WHAT, WHERE, DecoderInput
from maxtunnel.auditing.readers import Decoder
from maxtunnel.auditing.samples import Samples, bits_each, sample
from maxtunnel.auditing.targets import Target
from maxtunnel.data.folders import evenly_spaced
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.data.labelled import LabelledSet
from maxtunnel.data.mean import mean_image
from maxtunnel.models.all_conv import POOLING, AllConv, Base, Variant
from maxtunnel.studies.all_conv_config import SHIFT, Given, NetworkRun, ReadingRun, Settings
from maxtunnel.studies.swwae_run import Parts
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.packing import pack
from maxtunnel.training.all_conv import AllConvClassification, AllConvFeed, wrong_answers
from maxtunnel.training.engine import place, start_fabric
from maxtunnel.training.loop import fit
from maxtunnel.training.what_where import standardise

SHOWN = 8
_PIECE = 250  # images that features are taken of at a time
_INPUTS: dict[Given, DecoderInput] = {
    "switches": WHERE,
    "features": WHAT,
    "both": BOTH,
    "random": RANDOM,
    "fixed": FIXED,
}


@dataclass(frozen=True)
class NetworkRow:
    """What one network came to.

    Attributes:
        base, variant, seed: see `NetworkRun`.
        error: share of the images that are taken for another class.
        images: over how many.
        accuracy: of the images while training, over its last steps.
        weights: how many there are.
        multiplications: of one image.
        seconds: of the training.

    Raises:
        ValueError: the error is no share of any images.
    """

    base: Base
    variant: Variant
    seed: int
    error: float
    images: int
    accuracy: float
    weights: int
    multiplications: int
    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.error <= 1 or self.images < 1:
            raise ValueError(f"the error is {self.error} of {self.images} images: expected a share of some")


@dataclass(frozen=True)
class ReadingRow:
    """What one reader rebuilds of images that it has not seen.

    Attributes:
        base, variant, seed, trained, place, given: see `ReadingRun`.
        mse: mean squared error of each image, values in [0, 1], not clipped.
        swapped: as `mse`, where what it is given is another image's: all of it (`all`), or the `features`
            alone where it is given both.
        bits: nominal ones of the switches that it is given, an image; 0 where there are none.
        seconds: of the training.
        still_falling: whether its error still fell when the training ended.
    """

    base: Base
    variant: Variant
    seed: int
    trained: bool
    place: int
    given: Given
    mse: tuple[float, ...]
    swapped: Mapping[str, tuple[float, ...]]
    bits: float
    seconds: float
    still_falling: bool


def make_network(settings: Settings, run: NetworkRun, images: LabelledSet) -> AllConv:
    """The network of a run before it is trained, normalising as all images ask for."""
    channels, classes = images.pixels.shape[1], len(images.class_names)
    network = AllConv(run.base, run.variant, settings.width, channels, classes, run.seed)
    standardise(network, images.pixels)
    return network


def run_network(
    settings: Settings,
    run: NetworkRun,
    parts: Parts,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[NetworkRow, AllConv]:
    """Train and measure one network; its row, and the network.

    Args:
        settings: of the study.
        run: which network.
        parts: the images.
        on_progress: told, as phase `train`, how many steps are done.
        stop: asked after each step whether to end before the time; what comes back then is of no use.
    """
    images, recipe = parts.trained, settings.as_recipe
    network = make_network(settings, run, images)
    feed = AllConvFeed(
        network, images.pixels, images.labels, recipe, run.seed, settings.dropout,
        SHIFT if settings.augment else 0,
    )  # fmt: skip
    task = AllConvClassification(network)
    done = fit(task, feed.at, recipe, None, _as_phase("train", on_progress), run.name, stop)
    numbers = torch.tensor(evenly_spaced(len(parts.measured), settings.images))
    error = wrong_answers(network, parts.measured.pixels[numbers], parts.measured.labels[numbers])
    row = NetworkRow(
        run.base, run.variant, run.seed, float(error.double().mean()), len(error), done.curve[-1][1],
        network.weights, network.multiplications(images.size), done.seconds,
    )  # fmt: skip
    return row, network


@dataclass(frozen=True, eq=False)
class Seen:
    """What is behind a place of a network, of the images that readers train on, and of those held back."""

    trained: Samples
    held: Samples


def capture(settings: Settings, network: AllConv, number: int, parts: Parts) -> Seen:
    """What readers of a place are given.

    Args:
        settings: say how many images.
        network: is moved to the device of trainings.
        number: of the place.
        parts: the images.
    """
    place(network, start_fabric(settings.as_recipe).device)
    pixels, held = readers_pixels(settings, parts)
    if network.settings.variant in ("base", "convpool"):

        def shown(images: Tensor) -> Tensor:
            return network.normalise(images.to(network.mean.device))

        target = Target(network, network.name, shown, levels=tuple(range(1, number + 1)))
        trained = sample(target, pixels)
        return Seen(trained, sample(target, held, rms=trained.rms))
    trained = _features(network, number, pixels, None)
    return Seen(trained, _features(network, number, held, trained.rms))


def readers_pixels(
    settings: Settings, parts: Parts
) -> tuple[UInt8[Tensor, "n 3 h w"], UInt8[Tensor, "m 3 h w"]]:
    """The images that readers are trained on, and those that reconstructions are measured on."""
    some = evenly_spaced(len(parts.trained), settings.seen)
    held = evenly_spaced(len(parts.measured), settings.held)
    return parts.trained.pixels[torch.tensor(some)], parts.measured.pixels[torch.tensor(held)]


def _features(
    network: AllConv, number: int, pixels: UInt8[Tensor, "n 3 h w"], rms: Float[Tensor, " c"] | None
) -> Samples:
    """The features behind a place that has no pooling, with levels as if it had, all of whose codes are 0."""
    found = []
    with network.measuring():
        for some in pixels.split(_PIECE):
            images = network.normalise(to_float(some).to(network.mean.device))
            planes = network.places(images.contiguous(memory_format=torch.channels_last))
            found.append(planes[number - 1].float().cpu())
    values = torch.cat(found)
    if rms is None:
        rms = values.square().mean((0, 2, 3)).sqrt().clamp(min=1e-6)
    template = _without_switches(network, number, (pixels.shape[2], pixels.shape[3]))
    packed = (
        pack(level.codes.permute(0, 2, 3, 1), bits_each(level)).expand(len(pixels), -1)
        for level in template.levels
    )
    features = (values / rms[:, None, None]).clamp(-6e4, 6e4).half()
    return Samples(pixels, template, tuple(range(1, number + 1)), tuple(packed), features, rms)


def _without_switches(network: AllConv, number: int, size: tuple[int, int]) -> SwitchCode:
    """One image's levels up to a place, of the planes that are there, every code 0."""
    levels: list[SwitchLevel] = []
    before = size
    for _, shape in network.dropped(size)[1 : number + 1]:
        codes = torch.zeros((1, *shape), dtype=torch.uint8)
        levels.append(SwitchLevel(codes, POOLING, before, f"place {len(levels) + 1}"))
        before = (shape[1], shape[2])
    return SwitchCode(tuple(levels), size)


def run_reading(
    settings: Settings,
    run: ReadingRun,
    seen: Seen,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[ReadingRow, UInt8[Tensor, "3 H W"]]:
    """Train one reader and measure it; its row, and pictures: images, and below them what is rebuilt.

    Args:
        settings: of the study.
        run: which reader.
        seen: what is behind the place.
        on_progress: told, as phase `read`, how many steps are done.
        stop: asked after each step whether to end before the time.

    Raises:
        CutShort: it ended before its time.
        TrainingDiverged: the loss became infinite at every rate that was tried.
    """
    began, given = time.monotonic(), replace(_INPUTS[run.given], name=run.name)
    attacker = Attacker(
        seen.trained, seen.held, mean_image(seen.trained.pixels), settings.reader_width, run.seed,
        settings.held, stop=stop, on_progress=_as_phase("read", on_progress),
    )  # fmt: skip
    decoder = attacker.train(given, settings.reader_steps)
    seconds = time.monotonic() - began
    own = torch.arange(len(seen.held))
    swapped = {name: errors.tolist() for name, errors in _swapped(attacker, decoder, given, own).items()}
    told = run.given not in ("features", "fixed")
    row = ReadingRow(
        run.base, run.variant, run.seed, run.trained, run.place, run.given,
        tuple(_errors(attacker, attacker.rebuild(decoder, given, own)).tolist()),
        {name: tuple(errors) for name, errors in swapped.items()},
        seen.held.template.nominal_bits if told else 0.0, seconds, attacker.ledger.of(given).still_falling,
    )  # fmt: skip
    shown = torch.linspace(0, len(own) - 1, min(SHOWN, len(own))).round().long()
    rebuilt = to_uint8(attacker.rebuild(decoder, given, shown))
    return row, torch.cat([torch.cat(list(line), -1) for line in (seen.held.pixels[shown], rebuilt)], -2)


def _swapped(
    attacker: Attacker, decoder: Decoder, given: DecoderInput, own: Tensor
) -> dict[str, Float64[Tensor, " n"]]:
    """Errors where what the reader is given is another image's."""
    # Half of them further on: where they are sorted by class, one of another class.
    other = own.roll(-(len(own) // 2))
    found = {"all": _errors(attacker, attacker.rebuild(decoder, given, other))}
    if given.what and given.changes == BOTH.changes:
        found["features"] = _errors(attacker, attacker.rebuild(decoder, given, own, other))
    return found


def _errors(attacker: Attacker, rebuilt: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
    """Mean squared error to each of the images held back."""
    difference = rebuilt - to_float(attacker.held.pixels)
    return difference.double().square().mean((1, 2, 3))


def _as_phase(phase: str, on_progress: OnProgress) -> OnProgress:
    """Progress whose name is the phase's, not the training's: a bar for all trainings of a kind."""

    def told(name: str, done: int, total: int, note: str) -> None:
        on_progress(phase, done, total, f"{name}: {note}")

    return told
