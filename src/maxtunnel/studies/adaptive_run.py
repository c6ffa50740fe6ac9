"""One network of `study adaptive`: learnt, read with and without its switches, and classified by."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maxtunnel.data.contrast import fit_square
from maxtunnel.data.folders import evenly_spaced, folder_name, label_by_folder, list_names
from maxtunnel.data.images import read_image
from maxtunnel.models.adaptive_deconv import AdaptiveDeconv, Inferred, Pooling
from maxtunnel.studies.adaptive_classes import accuracy, pyramids
from maxtunnel.studies.adaptive_config import Run, Settings
from maxtunnel.studies.adaptive_pictures import draw_parts, draw_readings
from maxtunnel.studies.adaptive_reading import (
    Given,
    Reading,
    drawings,
    measure,
    others,
    see_batches,
    typical,
)
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.adaptive import learn

_BACKGROUND = "BACKGROUND_Google"  # Caltech-101's folder of what is no object


@dataclass(frozen=True, eq=False)
class Parts:
    """The images of a study, as `fit_square` makes them.

    Attributes:
        labelled: what filters and classifier are learnt on, as many of each class.
        labels: their classes.
        tested: others, to measure on.
        truth: their classes.
        names: of the classes.
    """

    labelled: Float[Tensor, "n 1 h w"]
    labels: Int64[Tensor, " n"]
    tested: Float[Tensor, "m 1 h w"]
    truth: Int64[Tensor, " m"]
    names: tuple[str, ...]

    def learned(self, settings: Settings) -> Float[Tensor, "l 1 h w"]:
        """The images that filters are learnt on."""
        return self.labelled[evenly_spaced(len(self.labelled), settings.learned)]

    def held(self, settings: Settings) -> Float[Tensor, "k 1 h w"]:
        """The images that reconstructions are measured on."""
        return self.tested[evenly_spaced(len(self.tested), settings.held)]


@dataclass(frozen=True)
class LayerRow:
    """What one layer came to.

    Attributes:
        curve: for each pass of learning, the mean share of energy that its features left over.
        features: how many features of an image are not 0, on average; and how many there are.
        readings: what images become, by what is given.
    """

    curve: tuple[float, ...]
    features: tuple[float, int]
    readings: Mapping[Given, Reading]


@dataclass(frozen=True)
class NetworkRow:
    """What one network came to.

    Attributes:
        pooling, seed: see `Run`.
        layers: from the first.
        accuracy: of a linear classifier on the features of each layer, `1`, `2`, ..., and of `all`.
        seconds: of learning, and of the whole.
        a_layer: seconds of one core in which each layer infers an image.

    Raises:
        ValueError: an accuracy is no share.
    """

    pooling: Pooling
    seed: int
    layers: tuple[LayerRow, ...]
    accuracy: Mapping[str, float]
    seconds: tuple[float, float]
    a_layer: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(0 <= value <= 1 for value in self.accuracy.values()):
            raise ValueError(f"`accuracy` is {dict(self.accuracy)}: expected shares")


def read_parts(data: str | Path, settings: Settings, on_progress: OnProgress = silent) -> Parts:
    """Images of class folders; those of each class drawn once for all runs.

    Raises:
        FormatError: the folder has no class folders, too few images a class, or one that cannot be read.
    """
    names = [name for name in list_names(data) if not name.startswith(f"{_BACKGROUND}/")]
    labels, classes = label_by_folder(names)
    chosen = [classes[number] for number in evenly_spaced(len(classes), settings.classes)] if classes else []
    if len(chosen) < max(2, settings.classes or 0):
        raise FormatError(
            f"{data} has {len(classes)} class folders: give a folder with at least "
            f"{max(2, settings.classes or 0)}, such as Caltech-101's 101_ObjectCategories"
        )
    generator, taken, kept = torch.Generator().manual_seed(0), [], []
    for number, name in enumerate(chosen):
        members = [names[i] for i in (labels == classes.index(name)).nonzero()[0]]
        if len(members) <= settings.labelled:
            raise FormatError(
                f"{data}: {name} has {len(members)} images: expected more than {settings.labelled}, "
                "as so many are learnt on"
            )
        order = torch.randperm(len(members), generator=generator).tolist()
        taken += [(members[i], number) for i in order[: settings.labelled]]
        kept += [(members[i], number) for i in order[settings.labelled :][: settings.tested]]
    read = partial(_read_all, Path(data), side=settings.side, on_progress=on_progress)
    return Parts(*read(taken), *read(kept), tuple(chosen))


def _read_all(
    folder: Path, files: Sequence[tuple[str, int]], side: int, on_progress: OnProgress
) -> tuple[Tensor, Tensor]:
    def one(name: str) -> Tensor:
        return fit_square(read_image(folder / name), side)

    images = []
    with ThreadPoolExecutor() as pool:
        for done, image in enumerate(pool.map(one, [name for name, _ in files]), 1):
            images.append(image)
            on_progress("read", done, len(files), folder_name(folder))
    return torch.stack(images), torch.tensor([label for _, label in files])


def fingerprint(parts: Parts) -> str:
    """16 hexadecimal digits that name the images and their classes, in their order."""
    digest = hashlib.sha256()
    for tensor in (parts.labelled, parts.labels, parts.tested, parts.truth):
        # Rounded: how a mean is summed up differs between machines.
        digest.update((tensor.float() * 64).round().to(torch.int16).contiguous().numpy().data)
    return digest.hexdigest()[:16]


def run_network(
    settings: Settings,
    run: Run,
    parts: Parts,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[NetworkRow, AdaptiveDeconv, UInt8[Tensor, "3 H W"], UInt8[Tensor, "3 H2 W2"]] | None:
    """Learn, read and classify by one network.

    Args:
        settings: of the study.
        run: which network.
        parts: the images.
        on_progress: told of learning as phase `learn`.
        stop: asked after each batch whether to end before the time.

    Returns:
        Its row, the network, and pictures of what images become and of what its maps stand for; None where it
        was stopped.
    """
    began = time.monotonic()
    network = AdaptiveDeconv(settings.network(run.pooling), run.seed)
    learned, held = parts.learned(settings), parts.held(settings)
    curves = learn(network, learned, settings.learning, run.seed, on_progress, stop)
    seconds = time.monotonic() - began
    if stop():
        return None
    seen, known = see_batches(network, held), see_batches(network, learned)
    layers, pictures = [], []
    for layer, curve in enumerate(curves, 1):
        usual = typical(network, known[:layer], learned)
        drawn = dict(drawings(network, seen[:layer], usual, held, run.seed))
        readings = {
            given: measure(images, held, others(held) if given == "swapped" else None)
            for given, images in drawn.items()
        }
        layers.append(LayerRow(tuple(curve), _count(seen[layer - 1]), readings))
        pictures.append(drawn)
    row = NetworkRow(
        pooling=run.pooling,
        seed=run.seed,
        layers=tuple(layers),
        accuracy=_accuracies(network, parts),
        seconds=(seconds, time.monotonic() - began),
        a_layer=_pace(network, held[:1]),
    )
    return row, network, draw_readings(pictures, held), draw_parts(network, seen, (settings.side,) * 2)


def _count(layer: Inferred) -> tuple[float, int]:
    """How many features of an image are not 0, and how many there are."""
    return float((layer.what != 0).float().sum((1, 2, 3)).mean()), layer.what[0].numel()


def _accuracies(network: AdaptiveDeconv, parts: Parts) -> dict[str, float]:
    trained, tested = pyramids(network, parts.labelled), pyramids(network, parts.tested)
    found = {
        str(layer): accuracy([one], parts.labels, [other], parts.truth)
        for layer, (one, other) in enumerate(zip(trained, tested, strict=True), 1)
    }
    return found | {"all": accuracy(trained, parts.labels, tested, parts.truth)}


def _pace(network: AdaptiveDeconv, image: Float[Tensor, "1 1 h w"]) -> tuple[float, ...]:
    """Seconds of processor time in which each layer infers an image, one after the other."""
    where: list[Tensor | None] = []
    found = []
    for _ in network.filters:
        before = time.process_time()
        where.append(network.infer(image, where).where)
        found.append(round(time.process_time() - before, 4))
    return tuple(found)
