"""What the claims on decoders rest on: pictures read out of their layers, and switches replaced by others.

All take uint8 photographs, a few hundred of them, and go through them in batches.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.batches import Pixels
from maxtunnel.data.images import to_float
from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.changes import changed, fixed, uniform
from maxtunnel.switches.codes import SwitchLevel

_BATCH = 25


@dataclass(frozen=True)
class ReadOut:
    """What a decoder knows of a picture that has seen some of the levels, the coarsest.

    Attributes:
        known: how many it has seen.
        rmse: of the picture.
        rmse_ci95: bootstrap interval over photographs.
        floor: RMSE of the original itself shrunk by averaging to the size that so many levels unpool to: what
            no read-out of a layer of that size can beat.
    """

    known: int
    rmse: float
    rmse_ci95: Interval
    floor: float


@torch.no_grad()
def read_out(network: TunnelNetwork, photographs: Pixels) -> list[ReadOut]:
    """Error of a picture read out after the bias code and after each decoder block.

    A read-out is the linear map of one position's channels to its three colours that errs least on the
    first half of the photographs; it is measured on the second half, enlarged without smoothing.
    """
    half = len(photographs) // 2
    weights = _fit(network, photographs[:half])

    def pictures(images: Tensor) -> Iterator[Tensor]:
        size = images.shape[-2], images.shape[-1]
        for layer, x in enumerate(_blocks(network, images)):
            yield network.denormalise(_apply(weights[layer], x, size[1]), size)

    return _measure(network, photographs[half:], pictures)


@torch.no_grad()
def from_coarsest(network: TunnelNetwork, photographs: Pixels) -> list[ReadOut]:
    """Error of what is rebuilt of no level (the mean image), of the coarsest, of two, ..., of all.

    Measured on the second half of the photographs, as `read_out` does.

    Args:
        network: its decoder learned to do without the finer levels (`withheld`).
        photographs: at least four.
    """
    levels = range(len(network.architecture.widths), 0, -1)

    def pictures(images: Tensor) -> Iterator[Tensor]:
        code = network.encode(images)
        yield network.mean_at((images.shape[-2], images.shape[-1])).expand_as(images)
        for finest in levels:
            yield network.decode(code, range(finest, len(levels) + 1))

    return _measure(network, photographs[len(photographs) // 2 :], pictures)


def _measure(
    network: TunnelNetwork, photographs: Pixels, pictures: Callable[[Tensor], Iterator[Tensor]]
) -> list[ReadOut]:
    """The error of each of the pictures that are made of a batch, one for each number of known levels."""
    numbers = range(len(network.architecture.widths) + 1)
    errors: list[list[Tensor]] = [[] for _ in numbers]
    floors: list[list[Tensor]] = [[] for _ in numbers]
    for images in batches(photographs):
        size = images.shape[-2], images.shape[-1]
        for known, output in zip(numbers, pictures(images), strict=True):
            small = _shrink(images, size[1] >> (numbers[-1] - known))
            errors[known].append(_squared(output, images))
            floors[known].append(_squared(F.interpolate(small, size), images))
    return [
        ReadOut(known, _root(error), bootstrap(torch.cat(error), lambda mean: mean.sqrt()), _root(floor))
        for known, error, floor in zip(numbers, errors, floors, strict=True)
    ]


def _blocks(network: TunnelNetwork, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
    """What the decoder holds while it rebuilds `images`: the bias code, then each block's output."""
    last = {f"deconv{block}_{count}" for block, count in enumerate(network.architecture.layers, 1)}
    layers = network.activations(network.encode(images))
    return [x for name, x in layers if name == "bias code" or name in last]


@dataclass(frozen=True)
class Replaced:
    """RMSE of the same photographs with other switches than their own.

    Attributes:
        known: their own switches.
        zeros: every code 0, shown to the decoder that was trained on known switches.
        retrained: every code 0, the decoder retrained for that: measured of the paper's; of a strong one the
            bound that none can beat, the mean of these very photographs, as such a decoder gives all of them
            the same picture.
        random: every code drawn.
        other: the switches of another photograph.
        mean: the mean image, without any network.
        zeros_times, retrained_times: how many times the error of known switches they have, as a 95 %
            bootstrap interval over photographs, paired.
    """

    known: float
    zeros: float
    retrained: float
    random: float
    other: float
    mean: float
    zeros_times: Interval
    retrained_times: Interval


@torch.no_grad()
def replace_switches(network: TunnelNetwork, photographs: Pixels, steps: int = 200) -> Replaced:
    """Measure both meanings of fixed switches beside the controls."""
    generator = torch.Generator().manual_seed(0)
    strong = isinstance(network.decoder, StrongDecoder)
    retrained = _mean_of(photographs) if strong else _retrain_for_zeros(network, photographs, steps)
    # The same codes for every photograph give the same picture.
    zeros = network.decode(changed(network.encode(to_float(photographs[:1])), fixed, generator))
    squares: dict[str, list[Tensor]] = {}
    for images in batches(photographs):
        code = network.encode(images)
        outputs = {
            "known": network.decode(code),
            "zeros": zeros.expand_as(images),
            "retrained": retrained.expand_as(images),
            "random": network.decode(changed(code, uniform, generator)),
            "other": network.decode(changed(code, _rolled, generator)),
            "mean": network.mean_at((images.shape[-2], images.shape[-1])).expand_as(images),
        }
        for name, output in outputs.items():
            squares.setdefault(name, []).append(_squared(output, images))
    known = torch.cat(squares["known"])
    return Replaced(
        **{name: _root(values) for name, values in squares.items()},
        zeros_times=_times(torch.cat(squares["zeros"]), known),
        retrained_times=_times(torch.cat(squares["retrained"]), known),
    )


def _mean_of(photographs: Pixels) -> Float[Tensor, "1 3 h w"]:
    """The picture that errs least for all of the photographs that `batches` gives."""
    total, count = torch.zeros(()), 0
    for images in batches(photographs):
        total, count = total + images.double().sum(0, keepdim=True), count + len(images)
    return (total / count).float()


def _squared(output: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
    return (output - images).double().square().mean(dim=(1, 2, 3))


def _root(squares: list[Float64[Tensor, " _"]]) -> float:
    return float(torch.cat(squares).mean().sqrt())


def _times(squares: Float64[Tensor, " n"], known: Float64[Tensor, " n"]) -> Interval:
    return bootstrap(torch.stack([squares, known]), lambda means: (means[0] / means[1]).sqrt())


def _retrain_for_zeros(network: TunnelNetwork, photographs: Pixels, steps: int) -> Float[Tensor, "1 3 h w"]:
    """What a decoder gives for all-zero codes once it is trained for them.

    It gives every photograph the same picture, so the gradient of the loss over any set of photographs is,
    up to a constant, that of the distance to their mean. The training photographs' mean is the network's,
    0 on its inner scale; every step therefore follows the gradient of the whole training set.
    """
    code = changed(network.encode(to_float(photographs[:1])), fixed, torch.Generator())
    decoder = deepcopy(network.decoder)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.003)
    codes = [level.codes for level in code.levels]
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            decoder(codes).square().mean().backward()
            optimizer.step()
    return network.denormalise(decoder(codes), code.image_size)


def _rolled(level: SwitchLevel, number: int, generator: torch.Generator) -> Tensor:
    """The switches of another photograph."""
    return level.codes.roll(1, 0)


def batches(photographs: Pixels) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """The images of photographs, at least two at a time."""
    for start in range(0, len(photographs), _BATCH):
        images = to_float(photographs[start : start + _BATCH])
        if len(images) > 1:  # a last one alone has no other beside it
            yield images


def _shrink(images: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(images, images.shape[-1] // side)


def _fit(network: TunnelNetwork, photographs: Pixels) -> list[Float64[Tensor, "_ 3"]]:
    """Least-squares read-outs (channels and a constant to colours), one a layer."""
    grams: dict[int, Tensor] = {}
    moments: dict[int, Tensor] = {}
    for images in batches(photographs):
        target = network.normalise(images)
        for layer, x in enumerate(_blocks(network, images)):
            rows, wanted = _features(x), _shrink(target, x.shape[-1]).double()
            colours = wanted.permute(0, 2, 3, 1).reshape(-1, 3)
            grams[layer] = grams.get(layer, 0) + rows.T @ rows
            moments[layer] = moments.get(layer, 0) + rows.T @ colours
    # The bias code is the same everywhere, so its equations need not have one solution.
    return [torch.linalg.pinv(grams[layer], hermitian=True) @ moments[layer] for layer in grams]


def _features(x: Float[Tensor, "n c h w"]) -> Float64[Tensor, "_ _"]:
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).double()
    return torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)


def _apply(
    weights: Float64[Tensor, "_ 3"], x: Float[Tensor, "n _ h w"], side: int
) -> Float[Tensor, "n 3 _ _"]:
    colours = (_features(x) @ weights).float()
    small = colours.reshape(len(x), *x.shape[-2:], 3).permute(0, 3, 1, 2)
    return F.interpolate(small, scale_factor=side // x.shape[-1])
