"""Learning the filters of an adaptive deconvolutional network, layer by layer, against the images.

With features and switches held, the error is quadratic in a layer's filters, so they are found by conjugate
gradients. Layer by layer, pass by pass, batch by batch: features are inferred, two steps of conjugate
gradients are taken for the filters from where they are, and each map's are made unit length again. The learnt
layer's switches are then inferred once for all images, and stay.

Source: Zeiler, Taylor, Fergus 2011 learn layer by layer with conjugate gradients against the input. Batches
of so many images, two steps each, and the number of passes are ours: theirs could not be read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.grad import conv2d_weight

from maxtunnel.models.adaptive_deconv import AdaptiveDeconv, unit_length
from maxtunnel.models.adaptive_pooling import unpool_boxes
from maxtunnel.support.progress import OnProgress, silent

_LOOKED_AT = 2  # images of a batch by which a step is measured
_ROUNDS = 4  # of power iteration
_TINY = 1e-12


@dataclass(frozen=True)
class Learning:
    """How filters are learnt.

    Attributes:
        passes: over all images, for every layer.
        batch: images whose features are inferred before the filters change.
        steps: of conjugate gradients a batch.

    Raises:
        ValueError: a number is below 1.
    """

    passes: int = 3
    batch: int = 16
    steps: int = 2

    def __post_init__(self) -> None:
        for name in ("passes", "batch", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is {getattr(self, name)}: expected at least 1")


def learn(
    network: AdaptiveDeconv,
    images: Float[Tensor, "n 1 h w"],
    learning: Learning | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[tuple[float, ...], ...]:
    """Learn all layers in place.

    Args:
        network: its filters as they were drawn.
        images: local contrast normalised (`data.contrast`).
        learning: how.
        seed: of the order of the images.
        on_progress: told, as phase `learn`, how many batches of all layers are done.
        stop: asked after each batch whether to end before the time.

    Returns:
        Of every layer, for each pass, the mean share of the images' energy that its features left over.
    """
    learning = learning or Learning()
    generator = torch.Generator().manual_seed(seed)
    where: list[Tensor | None] = []
    curves: list[tuple[float, ...]] = []
    batches = -(-len(images) // learning.batch)
    total = len(network.filters) * learning.passes * batches
    for layer in range(len(network.filters)):
        left: list[float] = []
        for _ in range(learning.passes):
            order = torch.randperm(len(images), generator=generator).to(images.device)
            for chosen in order.split(learning.batch):
                left.append(_learn_batch(network, images[chosen], _some(where, chosen), learning))
                done = layer * learning.passes * batches + len(left)
                on_progress("learn", done, total, f"layer {layer + 1}: {left[-1]:.1%} left over")
                if stop():
                    return tuple(curves)
        curves.append(tuple(fmean(left[start : start + batches]) for start in range(0, len(left), batches)))
        some = slice(learning.batch)
        network.measure_step(images[some], _some(where, some))
        where.append(see_all(network, images, where, learning.batch))
    return tuple(curves)


def see_all(
    network: AdaptiveDeconv, images: Tensor, below: Sequence[Tensor | None], batch: int
) -> Tensor | None:
    """The switches that the layer above some others chooses in all images; None where it is averaged."""
    chosen = [slice(start, start + batch) for start in range(0, len(images), batch)]
    found = [network.infer(images[some], _some(below, some)).where for some in chosen]
    parts = [codes for codes in found if codes is not None]
    return torch.cat(parts) if parts else None


@torch.no_grad()
def _learn_batch(
    network: AdaptiveDeconv, images: Tensor, below: Sequence[Tensor | None], learning: Learning
) -> float:
    """Infer features and change the filters; the share of the images' energy that was left over before."""
    network.measure_step(images[:_LOOKED_AT], _some(below, slice(_LOOKED_AT)), _ROUNDS)
    found = network.infer(images, below)
    size = (images.shape[2], images.shape[3])
    shape = network.settings.planes(size)[len(below)]
    planes = unpool_boxes(found.what, found.where, network.settings.box, shape).contiguous()
    filters = network.filters[len(below)]
    left = images - network.down(planes, below, size)
    filters.copy_(unit_length(solve_filters(network, planes, images, below, filters, learning.steps)))
    return float(left.square().sum() / images.square().sum().clamp_min(_TINY))


@torch.no_grad()
def solve_filters(
    network: AdaptiveDeconv,
    planes: Float[Tensor, "n c h w"],
    images: Float[Tensor, "n 1 H W"],
    below: Sequence[Tensor | None],
    filters: Float[Tensor, "k c _ _"],
    steps: int,
) -> Float[Tensor, "k c _ _"]:
    """Filters of a layer with which its planes come nearer to images, by conjugate gradients.

    Args:
        network: whose filters below that layer are taken as they are.
        planes: of the layer.
        images: what they are to become.
        below: the switches of all layers below, of the same images.
        filters: from where to begin.
        steps: each takes a pass down and one up.
    """
    size = (images.shape[2], images.shape[3])

    def gradient(left: Tensor) -> Tensor:
        return conv2d_weight(planes, filters.shape, network.pull(left, below))

    left = images - network.down(planes, below, size, filters)
    residual = gradient(left)
    direction, squared = residual, residual.square().sum()
    for _ in range(steps):
        drawn = network.down(planes, below, size, direction)
        length = squared / drawn.square().sum().clamp_min(_TINY)
        filters, left = filters + length * direction, left - length * drawn
        residual, before = gradient(left), squared
        squared = residual.square().sum()
        direction = residual + squared / before.clamp_min(_TINY) * direction
    return filters


def _some(where: Sequence[Tensor | None], chosen: Tensor | slice) -> list[Tensor | None]:
    """The switches of some of the images."""
    return [None if codes is None else codes[chosen] for codes in where]
