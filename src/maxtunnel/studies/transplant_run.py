"""One network of `study transplant`: trained to rebuild images, then given other features and switches."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.models.swwae import Swwae
from maxtunnel.studies.swwae_reading import measure_own
from maxtunnel.studies.transplant_config import Kind, Run, Settings
from maxtunnel.studies.transplant_data import Common, Pairs, Parts, commons
from maxtunnel.studies.transplant_data import draw_pairs as pairs_of
from maxtunnel.studies.transplant_edits import Edited, measure_edits
from maxtunnel.studies.transplant_pictures import draw_edits, draw_pairs
from maxtunnel.studies.transplant_reading import Taken, measure_pairs, shares
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.engine import place, start_fabric
from maxtunnel.training.loop import fit
from maxtunnel.training.what_where import WhatWhere, WhatWhereFeed, standardise

Shown = Literal["pairs", "edits"]  # in a picture


@dataclass(frozen=True)
class NetworkRow:
    """What one network came to.

    Attributes:
        kind, seed: see `Run`.
        own: RMSE of the images that are tested on, from their own features and switches, values in [0, 1].
        shares: of all switches on each level, finest first; empty where the decoder looks at none.
        pairs: what pairs become, by what they have in common, then by the levels (`transplants`).
        edits: what edits make, by name (`transplant_edits.edits`); empty where lights are not known.
        seconds: of the training, and of the whole.
    """

    kind: Kind
    seed: int
    own: float
    shares: tuple[float, ...]
    pairs: Mapping[Common, Mapping[str, Taken]]
    edits: Mapping[str, Edited]
    seconds: tuple[float, float]


def run_network(
    settings: Settings,
    run: Run,
    parts: Parts,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[NetworkRow, Swwae, dict[Shown, UInt8[Tensor, "3 _ _"]]] | None:
    """Train and measure one network.

    Args:
        settings: of the study.
        run: which network.
        parts: the images.
        on_progress: told how many steps are done, as phase `train`.
        stop: asked after each step whether to end before the time.

    Returns:
        Its row, the network, and pictures, of edits only where there are any; None where it was stopped.
    """
    began = time.monotonic()
    network = settings.network(run, parts.trained.pixels.shape[1])
    standardise(network, parts.trained.pixels)
    place(network, start_fabric(settings.recipe).device)
    seconds = train_network(network, settings, run, parts, on_progress, stop)
    if stop():
        return None
    levels = settings.levels if run.kind == "switches" else 0
    pairs = all_pairs(parts, settings)
    pictures: dict[Shown, Tensor] = {"pairs": draw_pairs(network, levels, tuple(pairs.values()))}
    edited = draw_edits(network, levels, parts)
    if edited is not None:
        pictures["edits"] = edited
    row = NetworkRow(
        kind=run.kind,
        seed=run.seed,
        own=measure_own(network, parts.tested.pixels),
        shares=shares(network) if levels else (),
        pairs={common: measure_pairs(network, some) for common, some in pairs.items()},
        edits=measure_edits(network, parts),
        seconds=(seconds, time.monotonic() - began),
    )
    return row, network, pictures


def train_network(
    network: Swwae,
    settings: Settings,
    run: Run,
    parts: Parts,
    on_progress: OnProgress,
    stop: Callable[[], bool],
) -> float:
    """Train a network in place to rebuild images from their own features and switches; the seconds."""
    pixels = parts.trained.pixels
    # The images' only class: the classifier is not trained.
    labels = torch.zeros(len(pixels), dtype=torch.long)
    feed = WhatWhereFeed(network, pixels, labels, None, settings.recipe, run.seed)
    task = WhatWhere(network, nll=0.0, l2rec=1.0)

    def told(name: str, done: int, total: int, note: str) -> None:
        # The note tells of classes, of which there are none.
        on_progress("train", done, total, name)

    return fit(task, feed.at, settings.recipe, on_progress=told, name=run.name, stop=stop).seconds


def all_pairs(parts: Parts, settings: Settings) -> dict[Common, Pairs]:
    """The pairs that are measured on, by what both images have in common."""
    return {common: pairs_of(parts.tested, common, settings.pairs) for common in commons(parts.tested)}
