"""One network of `study segmentation`: trained, and read under each condition that it is for."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data.folders import evenly_spaced
from maxtunnel.evaluation.segmentation import PixelCounts, count_pixels, near_borders, score
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.report.classes import colour
from maxtunnel.report.pictures import strip
from maxtunnel.studies.dense_conditions import (
    ALONE,
    Trained,
    answer,
    as_images,
    conditions_of,
    draw_network,
    keep_mean,
    others_of,
)
from maxtunnel.studies.segmentation_config import Run, Settings
from maxtunnel.studies.segmentation_data import TITLES, VOID, Labelled, Parts, balance
from maxtunnel.support.choices import DenseGiven
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.dense import DenseData, train_dense

SHOWN = 4  # images in pictures
_PIECE = 8  # images that are measured at a time


@dataclass(frozen=True)
class Found:
    """What was said of the images, counted image by image; void is left out.

    Attributes:
        hits, there, found: pixels of each class that were found as what they are, that are of the class, and
            that were said to be: a tuple an image.
        near_hits, near_there: of an image, pixels near borders between classes that were found as what they
            are, and all such pixels.

    Raises:
        ValueError: these are not of the same images.
    """

    hits: tuple[tuple[int, ...], ...]
    there: tuple[tuple[int, ...], ...]
    found: tuple[tuple[int, ...], ...]
    near_hits: tuple[int, ...]
    near_there: tuple[int, ...]

    def __post_init__(self) -> None:
        counts = {len(each) for each in (self.hits, self.there, self.found, self.near_hits, self.near_there)}
        if len(counts) != 1 or not self.hits or min(map(len, (*self.hits, *self.there, *self.found))) < 1:
            raise ValueError(f"counts are of {sorted(counts)} images: expected the same number, at least one")

    @property
    def counts(self) -> PixelCounts:
        """The same as `evaluation.segmentation` takes it."""
        return PixelCounts(*(torch.tensor(each) for each in (self.hits, self.there, self.found)))


@dataclass(frozen=True)
class NetworkRow:
    """What one network came to.

    Attributes:
        trained, seed: see `Run`.
        parameters: how many.
        accuracy: share of pixels found right while training, over its last steps.
        found: by what the decoder was given.
        seconds: of the training, and of the whole.

    Raises:
        ValueError: a condition that the network is for is missing.
    """

    trained: Trained
    seed: int
    parameters: int
    accuracy: float
    found: Mapping[DenseGiven, Found]
    seconds: tuple[float, float]

    def __post_init__(self) -> None:
        expected = {condition.given for condition in conditions_of(self.trained)}
        if set(self.found) != expected:
            raise ValueError(
                f"`found` has {', '.join(self.found) or 'nothing'}: expected {', '.join(sorted(expected))}"
            )


def run_network(
    settings: Settings,
    run: Run,
    parts: Parts,
    known: DenseNetwork | None = None,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[NetworkRow, DenseNetwork, dict[DenseGiven, UInt8[Tensor, "3 H W"]]]:
    """Train one network and read it: its row, the network, and a picture of each condition.

    Args:
        settings: of the study.
        run: which network.
        parts: the images.
        known: for `alone`, the network of the same seed that was trained with known switches.
        on_progress: told, as phase `train`, how many steps are done.
        stop: asked after each step whether to end before the time; what comes back then is of no use.
    """
    began = time.monotonic()
    network = draw_network(
        run.trained, lambda unpooling: settings.draw(len(parts.class_names), unpooling, run.seed), known
    )
    trained = parts.trained

    def told(name: str, done: int, total: int, note: str) -> None:
        on_progress("train", done, total, f"{name}: {note}")

    fitted = train_dense(
        network, DenseData(trained.pixels, trained.masks, VOID), settings.recipe, seed=run.seed,
        weights=balance(parts), what=run.trained not in ALONE, on_progress=told, name=run.name, stop=stop,
    )  # fmt: skip
    if run.trained not in ALONE:
        keep_mean(network, trained.pixels)
    given = [condition.given for condition in conditions_of(run.trained)]
    said = {each: classify(network, parts.measured.pixels, each) for each in given}
    row = NetworkRow(
        trained=run.trained,
        seed=run.seed,
        parameters=sum(each.numel() for each in network.parameters()),
        accuracy=fitted.curve[-1][1],
        found={each: count(labels, parts, settings.band) for each, labels in said.items()},
        seconds=(fitted.seconds, time.monotonic() - began),
    )
    network.side = max(settings.size)
    network.about = _about(settings, run, parts, row.found[given[0]])
    return row, network, {each: draw(labels, len(parts.class_names)) for each, labels in said.items()}


def _about(settings: Settings, run: Run, parts: Parts, found: Found) -> str:
    """What the file of a network says of it."""
    reached = score(found.counts)
    return (
        f"{TITLES[settings.set]}: {settings.steps:,} steps of {settings.batch} of its {len(parts.trained):,} "
        f"images to train on, {settings.size[1]}x{settings.size[0]} pixels, seed {run.seed}; mean IoU "
        f"{reached.mean_iou:.1%}, global accuracy {reached.global_accuracy:.1%} on {len(parts.measured):,} "
        "others"
    )


def classify(
    network: DenseNetwork, pixels: UInt8[Tensor, "n 3 h w"], given: DenseGiven
) -> UInt8[Tensor, "n h w"]:
    """The class that is said of every pixel under a condition."""
    others = pixels[others_of(len(pixels))]
    said = []
    for pair in zip(pixels.split(_PIECE), others.split(_PIECE), strict=True):
        images, beside = (as_images(network, each) for each in pair)
        said.append(answer(network, images, given, beside).argmax(1).to("cpu", torch.uint8))
    return torch.cat(said)


def count(said: UInt8[Tensor, "n h w"], parts: Parts, band: int) -> Found:
    """What was said of the images to measure on, counted."""
    masks, classes = parts.measured.masks, len(parts.class_names)
    counts = count_pixels(said.long(), masks, classes, VOID)
    near = near_borders(masks, band, VOID)
    hits = ((said == masks) & near).sum((1, 2))
    return Found(
        hits=_rows(counts.hits),
        there=_rows(counts.there),
        found=_rows(counts.found),
        near_hits=tuple(hits.tolist()),
        near_there=tuple(near.sum((1, 2)).tolist()),
    )


def draw(labels: UInt8[Tensor, "n h w"], classes: int) -> UInt8[Tensor, "3 h W"]:
    """The classes of a few of the images, side by side."""
    return strip(colour(labels[evenly_spaced(len(labels), SHOWN)], classes))


def draw_truth(measured: Labelled, classes: int) -> UInt8[Tensor, "3 H W"]:
    """The same images, and their masks below them."""
    images = measured.pixels[evenly_spaced(len(measured), SHOWN)]
    return torch.cat([strip(images), draw(measured.masks, classes)], 1)


def _rows(counts: Int64[Tensor, "n classes"]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, counts.tolist()))
