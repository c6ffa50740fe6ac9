"""One network of `study contours`: trained, and held against what annotators drew in every way it is read."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.evaluation.contours import count, score
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.report.contours import lines
from maxtunnel.studies.contours_config import Kind, Run, Settings
from maxtunnel.studies.contours_data import Parts, Photograph, others_of
from maxtunnel.studies.contours_networks import narrow, on_vgg
from maxtunnel.studies.contours_reading import read, ways_of
from maxtunnel.studies.dense_conditions import ALONE, draw_network, keep_mean
from maxtunnel.support.choices import DenseUnpooling, VggInputs
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.dense import train_dense
from maxtunnel.training.engine import place, start_fabric

SHOWN = 4  # photographs that are pictured
_MEAN_OF = 200  # squares over which features are averaged

# Of each image the four numbers of `evaluation.contours.Counts`, threshold after threshold, in one line.
Kept = tuple[str, ...]
Pictures = dict[str, list[UInt8[Tensor, "3 _ _"]]]


@dataclass(frozen=True)
class NetworkRow:
    """What one network came to.

    Attributes:
        kind, seed: see `Run`.
        counts: by way (`contours_reading.WAYS`), what precision and recall of each image are made of.
        metric: F-measure pixel by pixel on the training squares, over the last steps; None without training.
        seconds: of the training, and of the whole.

    Raises:
        ValueError: a way is missing, or its counts are none.
    """

    kind: Kind
    seed: int
    counts: Mapping[str, Kept]
    metric: float | None
    seconds: tuple[float, float]

    def __post_init__(self) -> None:
        if set(self.counts) != set(ways_of(self.kind)):
            raise ValueError(
                f"`counts` has {', '.join(self.counts)}: expected {', '.join(ways_of(self.kind))}"
            )
        shapes = {(len(kept), len(line.split())) for kept in self.counts.values() for line in kept}
        if len(shapes) != 1 or next(iter(shapes))[1] % 4:
            raise ValueError("`counts` differ in how many photographs or thresholds they have")

    def of(self, way: str) -> Int64[Tensor, "n t 4"]:
        """The counts of a way."""
        lines = [list(map(int, line.split())) for line in self.counts[way]]
        return torch.tensor(lines, dtype=torch.int64).unflatten(1, (-1, 4))


@dataclass(frozen=True)
class Given:
    """Networks that the user gave.

    Attributes:
        file: of a VGG, whose encoder is taken; None for none.
        inputs: what it was trained on.
        networks: folder of networks that were trained elsewhere; None for none.
    """

    file: Path | None = None
    inputs: VggInputs | None = None
    networks: Path | None = None

    def trained(self, run: Run) -> DenseNetwork | None:
        """The network of a run that was trained elsewhere; None where none was.

        Raises:
            FormatError: the folder has none, or several, or it is damaged or draws no contours.
        """
        if self.networks is None or run.kind == "brightness":
            return None
        found = sorted(self.networks.glob(f"*{run.name}.safetensors"))
        if len(found) != 1:
            raise FormatError(
                f"{self.networks} has {len(found)} files whose names end in {run.name}.safetensors: expected "
                "one"
            )
        network = DenseNetwork.load(found[0])
        if network.shape.classes != 1:
            raise FormatError(
                f"{found[0]} has {network.shape.classes} answers a pixel: expected one, contours"
            )
        return network


NONE = Given()


def make_network(
    settings: Settings, run: Run, given: Given, known: DenseNetwork | None = None
) -> DenseNetwork:
    """The network of a run before it is trained.

    Args:
        settings: of the study.
        run: which network.
        given: the user's encoder.
        known: the network of the same seed that was trained with known switches, for `alone`.
    """
    assert run.kind != "brightness"

    def draw(unpooling: DenseUnpooling) -> DenseNetwork:
        if given.file is None:
            return narrow(settings.width, unpooling, run.seed, poolings=settings.poolings)
        return on_vgg(
            given.file, unpooling, run.seed, given.inputs, run.kind == "untrained", settings.poolings
        )

    return draw_network(run.kind, draw, known)


def run_network(
    settings: Settings,
    run: Run,
    parts: Parts,
    given: Given = NONE,
    known: DenseNetwork | None = None,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[NetworkRow, DenseNetwork | None, Pictures]:
    """Train and measure one network; its row, itself, and pictures of each way.

    Args:
        settings, run, given, known: see `make_network`.
        parts: the photographs.
        on_progress: told, as phases `train` and `measure`, how far each is.
        stop: asked often whether to end before the time; what comes back then is of no use.
    """
    began, network, metric, seconds = time.monotonic(), None, None, 0.0
    if run.kind != "brightness":
        network = given.trained(run)
        if network is None:
            network = make_network(settings, run, given, known)
            done = train_dense(
                network, parts.trained, settings.recipe, seed=run.seed, frozen=given.file is not None,
                what=run.kind not in ALONE, name=run.name, stop=stop,
                on_progress=_as_phase("train", on_progress),
            )  # fmt: skip
            metric, seconds = done.curve[-1][1], done.seconds
        place(network, start_fabric(settings.recipe.resolved()).device)
        if run.kind == "switches":
            squares = parts.trained.images
            keep_mean(network, squares[:: max(1, len(squares) // _MEAN_OF)])
    counts, pictures = _measure(settings, run, network, parts, on_progress, stop)
    row = NetworkRow(run.kind, run.seed, counts, metric, (seconds, time.monotonic() - began))
    if network is not None and not settings.elsewhere:
        network.side = max(parts.tested[0].pixels.shape) // settings.shrink
        network.about = _about(settings, run, parts, row)
    return row, network, pictures


def _about(settings: Settings, run: Run, parts: Parts, row: NetworkRow) -> str:
    """What the file of a network says of it."""
    ods = score(row.of(ways_of(run.kind)[0])).ods
    return (
        f"BSDS500: {settings.steps:,} steps of {settings.batch} squares of {settings.crop} pixels of its "
        f"{parts.photographs} photographs to train on, {settings.shrink} times smaller, seed {run.seed}; "
        f"ODS {ods:.3f} on {len(parts.tested)} others, {settings.thresholds} thresholds"
    )


def chosen(photographs: Sequence[Photograph]) -> list[int]:
    """Which photographs are pictured: a few, evenly spaced, of the size that most of them have."""
    sizes = [tuple(each.pixels.shape) for each in photographs]
    usual = [number for number, size in enumerate(sizes) if size == max(sizes, key=sizes.count)]
    return usual[:: max(1, len(usual) // SHOWN)][:SHOWN]


def _measure(
    settings: Settings,
    run: Run,
    network: DenseNetwork | None,
    parts: Parts,
    on_progress: OnProgress,
    stop: Callable[[], bool],
) -> tuple[dict[str, Kept], Pictures]:
    """The counts of every way on every photograph, and pictures of some."""
    found: dict[str, list[str]] = {way: [] for way in ways_of(run.kind)}
    pictures: Pictures = {way: [] for way in found}
    tested, others = parts.tested, others_of(parts.tested)
    shown = chosen(tested)
    for number, drawn in enumerate(read(run.kind, network, tested, others, settings.shrink)):
        on_progress("measure", number, len(tested), run.name)
        for way, strength in drawn.items():
            counted = count(strength.double(), tested[number].contours.bool(), settings.thresholds)
            found[way].append(" ".join(map(str, counted.flatten().tolist())))
            if number in shown:
                pictures[way].append(lines(strength))
        if stop():
            break
    on_progress("measure", len(tested), len(tested), run.name)
    return {way: tuple(each) for way, each in found.items()}, pictures


def _as_phase(phase: str, on_progress: OnProgress) -> OnProgress:
    """Progress whose name is the phase's, not the training's: a bar for all trainings of a kind."""

    def told(name: str, done: int, total: int, note: str) -> None:
        on_progress(phase, done, total, f"{name}: {note}")

    return told
