"""How long work on a network takes on this machine, from a trial on a few random images."""

import statistics
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.classifier import Classifier
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.phases import Classification, Reconstruction

Work = Literal["train", "pretrain", "encode", "evaluate"]
_IMAGES = 4


@lru_cache(maxsize=256)
def seconds_per_image(
    architecture: Architecture, work: Work, size: int, bf16: bool = False, strong_width: int | None = None
) -> float:
    """Seconds that an image of `size` x `size` pixels takes: the median of three trials after a first one.

    On a busy machine trials are slow too, so that the estimate is of the machine as it is now.

    Args:
        architecture: of the network.
        work: a step of training the decoder or of pretraining, or running the encoder, or evaluating.
        size: of the images.
        bf16: whether training steps are in bfloat16.
        strong_width: channels of a strong decoder; None for the paper's.
    """
    generator = torch.Generator().manual_seed(0)
    network = TunnelNetwork(architecture, torch.full((3, 1, 1), 0.5), strong_width=strong_width)
    images = torch.rand(_IMAGES, 3, size, size, generator=generator)
    run = _prepare(network, work, images, bf16)
    run()
    return statistics.median(_timed(run) for _ in range(3)) / _IMAGES


def duration(seconds: float) -> str:
    """Seconds in words: as such below a minute and a half, then in minutes, from two hours on in hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _prepare(network: TunnelNetwork, work: Work, images: Tensor, bf16: bool) -> Callable[[], object]:
    """What is timed; all that comes before is done here."""
    if work == "encode":
        return lambda: network.encode(images)
    if work == "evaluate":
        return lambda: measure(network.reconstruct(images), images)
    loss = _pretraining_loss(network, images) if work == "pretrain" else _training_loss(network, images)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()

    return step


def _pretraining_loss(network: TunnelNetwork, images: Tensor) -> Callable[[], Tensor]:
    network.encoder.requires_grad_(True)
    size = images.shape[-2], images.shape[-1]
    phase = Classification(network, Classifier(network.architecture, 10, size))
    x, labels = network.normalise(images), torch.arange(len(images))
    return lambda: phase(x, labels)[0]


def _training_loss(network: TunnelNetwork, images: Tensor) -> Callable[[], Tensor]:
    phase = Reconstruction(network.decoder, network.scale)
    codes, x = [level.codes for level in network.encode(images).levels], network.normalise(images)
    return lambda: phase(codes, x)[0]


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
