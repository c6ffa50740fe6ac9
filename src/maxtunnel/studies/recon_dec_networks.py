"""One network of `study recon-dec`: trained on classes, with or without a decoder beside, and measured.

The decoders are Zhang, Lee and Lee's: `first` is to rebuild the image, `all` every pooled plane on its way
too, and `layerwise` these with each block beginning from the encoder's own pooled plane.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.data.folders import evenly_spaced
from maxtunnel.data.labelled import LabelledSet
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.layout import Layout
from maxtunnel.models.swwae import Swwae
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.studies.recon_dec_config import DROPOUT, Mode, NetworkRun, Settings, layout_of
from maxtunnel.studies.swwae_reading import measure_own
from maxtunnel.support.choices import Unpooling
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.engine import place, start_fabric
from maxtunnel.training.loop import fit
from maxtunnel.training.what_where import WhatWhere, WhatWhereFeed, standardise, wrong_answers
from maxtunnel.zoo.vgg import Blocks, Inputs, vgg_network


@dataclass(frozen=True)
class NetworkRow:
    """What one network came to.

    Attributes:
        unpooling, mode, seed: see `NetworkRun`.
        error: share of the photographs whose class is not the first answer.
        images: over how many.
        own: RMSE of what its decoder makes of its features and switches, from the deepest plane to the image,
            values in [0, 1]; None without a decoder.
        accuracy: while training, over the last steps.
        seconds: of the training, and of the whole.
    """

    unpooling: Unpooling | None
    mode: Mode | None
    seed: int
    error: float
    images: int
    own: float | None
    accuracy: float
    seconds: tuple[float, float]

    @property
    def run(self) -> NetworkRun:
        """Which network it is."""
        return NetworkRun(self.unpooling, self.mode, self.seed)


def run_network(
    settings: Settings,
    run: NetworkRun,
    trained: LabelledSet,
    measured: LabelledSet,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[NetworkRow, Swwae]:
    """Train and measure one network.

    Args:
        settings: of the study.
        run: which network.
        trained, measured: photographs with their classes.
        on_progress: told how many steps are done.
        stop: asked after each step whether to end before the time; what comes back then is of no use.
    """
    began = time.monotonic()
    network = make_network(settings, run, trained)
    place(network, start_fabric(settings.recipe).device)
    feed = WhatWhereFeed(network, trained.pixels, trained.labels, None, settings.recipe, run.seed)
    done = fit(
        make_task(network, settings, run.mode), feed.at, settings.recipe,
        on_progress=on_progress, name=run.name, stop=stop,
    )  # fmt: skip
    wrong = wrong_answers(network, measured.pixels, measured.labels)
    row = NetworkRow(
        run.unpooling, run.mode, run.seed, float(wrong.double().mean()), len(wrong),
        None if run.mode is None else measure_own(network, held_of(measured.pixels, settings)),
        done.curve[-1][1], (done.seconds, time.monotonic() - began),
    )  # fmt: skip
    return row, network


def make_network(settings: Settings, run: NetworkRun, images: LabelledSet) -> Swwae:
    """The network of a run as it is drawn, normalising as all photographs ask for."""
    layout = layout_of(Architecture.parse(settings.network))
    network = Swwae(
        layout, 3, images.size, len(images.class_names), run.unpooling or "switches", dropout=DROPOUT,
        seed=run.seed,
    )  # fmt: skip
    standardise(network, images.pixels)
    return network


def make_task(network: Swwae, settings: Settings, mode: Mode | None) -> WhatWhere:
    """The loss of a mode; None for that of the classes alone."""
    planes = settings.l2m if mode in ("all", "layerwise") else 0.0
    return WhatWhere(
        network,
        l2rec=0.0 if mode is None else settings.l2rec,
        l2m=pooled_weights(network.layout, planes),
        layerwise=mode == "layerwise",
    )


def pooled_weights(layout: Layout, weight: float) -> tuple[float, ...]:
    """The weight of each plane but the deepest: 0 of those that are not pooled, as in Zhang et al."""
    return tuple(weight if layer.pool is not None else 0.0 for layer in layout.convolutions[:-1])


def as_tunnel(network: Swwae) -> TunnelNetwork:
    """A network of ours with the same encoder; its decoder is new."""
    blocks: Blocks = [[]]
    for layer, convolution in zip(network.encoder.layers, network.layout.convolutions, strict=True):
        weights = {name: part.cpu() for name, part in layer.state_dict().items()}
        blocks[-1].append((weights["weight"], weights["bias"]))
        if convolution.pool is not None:
            blocks.append([])
    mean, deviation = (tuple(values.tolist()) for values in (network.mean, network.deviation))
    return vgg_network(blocks[:-1], Inputs(mean, deviation, reversed=False))


def held_of(pixels: UInt8[Tensor, "n 3 s s"], settings: Settings) -> UInt8[Tensor, "m 3 s s"]:
    """The photographs that reconstructions are measured on."""
    return pixels[torch.tensor(evenly_spaced(len(pixels), settings.held))]
