"""One network of `study swwae`: trained, measured, and read by a fresh decoder."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data.folders import evenly_spaced
from maxtunnel.data.labelled import LabelledSet, check_pair, held_out, labels_for
from maxtunnel.models.layout import Layout
from maxtunnel.models.swwae import Swwae
from maxtunnel.studies.swwae_config import REBUILDING, Method, Run, Settings
from maxtunnel.studies.swwae_reading import (
    GIVEN,
    Reading,
    ReadingFeed,
    as_images,
    draw,
    measure_own,
    measure_rebuilt,
)
from maxtunnel.support.choices import Unpooling
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.window import Pair
from maxtunnel.training.engine import place, start_fabric
from maxtunnel.training.loop import fit
from maxtunnel.training.what_where import WhatWhere, WhatWhereFeed, standardise, wrong_answers

_HELD_OUT = 1 / 6  # as MNIST's 10,000 of 60,000
_SCALED_BY = 256  # images by which features are scaled


@dataclass(frozen=True)
class NetworkRow:
    """What one network came to.

    Attributes:
        method, unpooling, labels, seed: see `Run`.
        error: share of the images that are taken for another class.
        images: over how many.
        rebuilt: RMSE of a fresh decoder, by what it is given (`swwae_reading.GIVEN`), values in [0, 1].
        own: RMSE of its own decoder, where that was trained to rebuild images.
        accuracy: of the labelled images while training, over its last steps; None of an untrained one.
        seconds: of the training, and of the whole.

    Raises:
        ValueError: the error is no share of any images, or a reconstruction is missing.
    """

    method: Method
    unpooling: Unpooling | None
    labels: int
    seed: int
    error: float
    images: int
    rebuilt: Mapping[str, float]
    own: float | None
    accuracy: float | None
    seconds: tuple[float, float]

    def __post_init__(self) -> None:
        if not 0 <= self.error <= 1 or self.images < 1:
            raise ValueError(f"the error is {self.error} of {self.images} images: expected a share of some")
        if set(self.rebuilt) != set(GIVEN):
            raise ValueError(f"`rebuilt` has {', '.join(self.rebuilt)}: expected {', '.join(GIVEN)}")


@dataclass(frozen=True, eq=False)
class Parts:
    """The images of a study.

    Attributes:
        trained: those of which some are labelled; readers are trained on all of them.
        measured: what is measured on.
        unlabelled: what the L2 terms are taken over: all of `trained`, or images of which no class is known.
    """

    trained: LabelledSet
    measured: LabelledSet
    unlabelled: UInt8[Tensor, "n c h w"]


def split(trained: LabelledSet, test: LabelledSet | None, unlabelled: LabelledSet | None = None) -> Parts:
    """The parts of a study; without a test set a sixth of every class is held out to measure on.

    Raises:
        ValueError: see `check_pair`.
    """
    if test is not None:
        check_pair(trained, test)
    else:
        numbers, kept = held_out(trained.labels, _HELD_OUT, seed=0)
        trained, test = trained.part(numbers), trained.part(kept)
    return Parts(trained, test, trained.pixels if unlabelled is None else unlabelled.pixels)


def fingerprint(parts: Parts) -> str:
    """16 hexadecimal digits that name pixels and labels, in their order."""
    digest = hashlib.sha256()
    tensors = [each for part in (parts.trained, parts.measured) for each in (part.pixels, part.labels)]
    if parts.unlabelled is not parts.trained.pixels:
        tensors.append(parts.unlabelled)
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def mean_rmse(parts: Parts, count: int | None) -> float:
    """The RMSE of the mean image of what is trained on, over `count` of the images that are measured on."""
    mean = parts.trained.pixels.numpy().mean(0, dtype=np.float64) / 255
    pixels, _ = _some(parts.measured, count)
    return float(np.sqrt(((pixels.numpy() / 255 - mean) ** 2).mean()))


def check_labels(labels: Int64[Tensor, " n"], counts: Sequence[int], validate: bool) -> None:
    """Refuse numbers of labels that the images to train on cannot have.

    Args:
        labels: of all training images, those that `validate` holds out among them.
        counts: how many are to count as labelled.
        validate: see `Settings`.

    Raises:
        ValueError: as `labels_for`.
    """
    left = labels[held_out(labels, _HELD_OUT, seed=0)[0]] if validate else labels
    for count in counts:
        labels_for(left, count, seed=0)


def draw_network(settings: Settings, run: Run, channels: int, size: Pair, classes: int) -> Swwae:
    """The network of a run as it is drawn; ValueError where its settings do not fit such images."""
    return Swwae(
        Layout.parse(settings.layout), channels, size, classes,
        run.unpooling or "switches", settings.batch_norm, settings.dropout, seed=run.seed,
    )  # fmt: skip


def make_network(settings: Settings, run: Run, images: LabelledSet) -> Swwae:
    """The network of a run before it is trained, normalising as all images ask for."""
    network = draw_network(settings, run, images.pixels.shape[1], images.size, len(images.class_names))
    standardise(network, images.pixels)
    return network


def train_network(
    network: Swwae,
    settings: Settings,
    run: Run,
    parts: Parts,
    on_progress: OnProgress,
    stop: Callable[[], bool],
) -> tuple[float, float]:
    """Train a network in place: the accuracy of its last steps, and the seconds."""
    images = parts.trained
    numbers = labels_for(images.labels, run.labels, run.seed)
    rebuilds = run.method in REBUILDING
    feed = WhatWhereFeed(
        network, images.pixels[numbers], images.labels[numbers],
        parts.unlabelled if rebuilds else None,
        settings.as_recipe, run.seed, settings.unlabelled_batch,
    )  # fmt: skip
    task = WhatWhere(
        network,
        l2rec=settings.l2rec if run.method in ("image", "both") else 0.0,
        l2m=settings.l2m if run.method in ("intermediate", "both") else 0.0,
    )
    done = fit(task, feed.at, settings.as_recipe, on_progress=on_progress, name=run.name, stop=stop)
    return done.curve[-1][1], done.seconds


def run_network(
    settings: Settings,
    run: Run,
    parts: Parts,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[NetworkRow, UInt8[Tensor, "3 H W"]]:
    """Train, measure and read one network; its row, and pictures of what is rebuilt.

    Args:
        settings: of the study.
        run: which network.
        parts: the images.
        on_progress: told, as phases `train` and `read`, how many steps are done.
        stop: asked after each step whether to end before the time; what comes back then is of no use.
    """
    began = time.monotonic()
    network = make_network(settings, run, parts.trained)
    # Also one that is not trained is read where decoders are.
    place(network, start_fabric(settings.as_recipe).device)
    accuracy, seconds = None, 0.0
    if run.method != "untrained":
        accuracy, seconds = train_network(
            network, settings, run, parts, _as_phase("train", on_progress), stop
        )
    reading = _read(network, settings, run, parts.trained, _as_phase("read", on_progress), stop)
    error = wrong_answers(network, *_some(parts.measured, settings.images))
    pixels, _ = _some(parts.measured, settings.rebuilt)
    row = NetworkRow(
        method=run.method,
        unpooling=run.unpooling,
        labels=run.labels,
        seed=run.seed,
        error=float(error.double().mean()),
        images=len(error),
        rebuilt=measure_rebuilt(reading, network, pixels),
        own=measure_own(network, pixels) if run.method in ("image", "both") else None,
        accuracy=accuracy,
        seconds=(seconds, time.monotonic() - began),
    )
    return row, draw(reading, network, pixels)


def _read(
    network: Swwae,
    settings: Settings,
    run: Run,
    images: LabelledSet,
    on_progress: OnProgress,
    stop: Callable[[], bool],
) -> Reading:
    """A fresh decoder, trained on the network's encoder."""
    some = as_images(network, images.pixels[:: max(1, len(images) // _SCALED_BY)])
    reading = Reading(network, network.normalise(some), seed=run.seed)
    feed = ReadingFeed(network, images.pixels, settings.reading_recipe, run.seed)
    fit(
        reading,
        feed.at,
        settings.reading_recipe,
        on_progress=on_progress,
        name=f"{run.name}, read",
        stop=stop,
    )
    return reading


def _some(images: LabelledSet, count: int | None) -> tuple[Tensor, Tensor]:
    """Pixels and labels of so many images, evenly spaced."""
    numbers = torch.tensor(evenly_spaced(len(images), count))
    return images.pixels[numbers], images.labels[numbers]


def _as_phase(phase: str, on_progress: OnProgress) -> OnProgress:
    """Progress whose name is the phase's, not the training's: a bar for all trainings of a kind."""

    def told(name: str, done: int, total: int, note: str) -> None:
        on_progress(phase, done, total, f"{name}: {note}")

    return told
