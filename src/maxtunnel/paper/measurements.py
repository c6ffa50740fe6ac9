"""What the claims rest on: colours and edges, pictures read out half way, and switches replaced.

All take uint8 photographs, a few hundred of them, and go through them in batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.batches import Pixels
from maxtunnel.images import to_float
from maxtunnel.network import TunnelNetwork
from maxtunnel.switches import SwitchCode, unpool

_BATCH = 25
# Rows: luma (ITU-R BT.601), and two colour differences that are 0 for every grey.
_YUV = torch.tensor([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])
BLOCKS = (16, 4)  # pixels a side, of the means that split a picture into coarse, middle and fine


@dataclass(frozen=True)
class Colours:
    """How colours and edges of reconstructions compare with the originals'.

    Sums over photographs of the mean-free parts t (original) and r (reconstruction), per part (luma,
    chroma), for each scale (coarse, middle, fine).

    Attributes:
        saturation: mean chroma of the reconstructions over that of the originals; one value an image.
        edges: correlation of gradient magnitudes of luma with the original's; one value an image.
        edges_other: the same with another image's reconstruction, a control.
        power: sum of t * t, (2 parts, 3 scales, n).
        shared: sum of t * r.
        own: sum of r * r.
        grey_flips: share of the switches that change when the photograph turns grey.
    """

    saturation: Float64[Tensor, " n"]
    edges: Float64[Tensor, " n"]
    edges_other: Float64[Tensor, " n"]
    power: Float64[Tensor, "2 3 n"]
    shared: Float64[Tensor, "2 3 n"]
    own: Float64[Tensor, "2 3 n"]
    grey_flips: float

    def explained(self) -> Float64[Tensor, "2 3"]:
        """Share of the variance around the mean image that the reconstructions explain, part by scale."""
        error = (self.power - 2 * self.shared + self.own).sum(-1)
        return 1 - error / self.power.sum(-1)

    def explained_in_all(self) -> Float64[Tensor, "2"]:
        """The same over all scales: luma, chroma."""
        error = (self.power - 2 * self.shared + self.own).sum((-1, -2))
        return 1 - error / self.power.sum((-1, -2))

    def returned(self) -> Float64[Tensor, "2"]:
        """Slope of the reconstructions on the originals, luma and chroma: 1 is full strength, 0 is none."""
        return self.shared.sum((-1, -2)) / self.power.sum((-1, -2))

    def best_gain(self, draws: int = 1000) -> tuple[float, float, float]:
        """By what to multiply the reconstructions' chroma for the least error, with its 95 % interval."""
        shared, own = self.shared[1].sum(0), self.own[1].sum(0)
        generator = torch.Generator().manual_seed(0)
        rows = torch.randint(len(own), (draws, len(own)), generator=generator)
        low, high = (shared[rows].sum(1) / own[rows].sum(1)).quantile(torch.tensor([0.025, 0.975]).double())
        return float(shared.sum() / own.sum()), float(low), float(high)

    def spectrum(self) -> Float64[Tensor, "2 3"]:
        """Share of each part's variance that lies in each scale."""
        power = self.power.sum(-1)
        return power / power.sum(-1, keepdim=True)


@torch.no_grad()
def measure_colours(network: TunnelNetwork, photographs: Pixels) -> Colours:
    """Compare colours and edges of reconstructions with the originals'."""
    saturation, edges, others, sums, flips = [], [], [], [], []
    for images in _batches(photographs):
        code = network.encode(images)
        rebuilt = network.decode(code)
        true, ours = _yuv(images), _yuv(rebuilt.clamp(0, 1))
        saturation.append(_chroma(ours).mean((1, 2)) / _chroma(true).mean((1, 2)).clamp(min=1e-3))
        sharp, rough = gradient(true[:, 0]), gradient(ours[:, 0])
        edges.append(_correlation(sharp, rough))
        others.append(_correlation(sharp, rough.roll(1, 0)))
        mean = network.mean_at((images.shape[-2], images.shape[-1]))
        t, r = _scales(_yuv(images - mean)), _scales(_yuv(rebuilt - mean))
        sums.append(torch.stack([_parts(t * t), _parts(t * r), _parts(r * r)]))
        grey = network.encode(_yuv(images)[:, :1].expand_as(images).clamp(0, 1).contiguous())
        flips.append(_changed(code, grey))
    power, shared, own = torch.cat(sums, dim=-1)
    return Colours(
        saturation=torch.cat(saturation).double(),
        edges=torch.cat(edges).double(),
        edges_other=torch.cat(others).double(),
        power=power,
        shared=shared,
        own=own,
        grey_flips=sum(flips) / len(flips),
    )


@torch.no_grad()
def read_out(network: TunnelNetwork, photographs: Pixels) -> list[tuple[str, float, float]]:
    """Error of a picture read out after the bias code and after each decoder block.

    A read-out is the linear map of one position's channels to its three colours that errs least on the
    first half of the photographs; it is measured on the second half, enlarged without smoothing.

    Returns:
        Name of the layer, RMSE of its read-out, and RMSE of the original itself shrunk to that layer's size
        by averaging: what no read-out of that size can beat.
    """
    names = [
        "bias code",
        *(f"decoder block {block}" for block in range(len(network.architecture.widths), 0, -1)),
    ]
    half = len(photographs) // 2
    weights = _fit(network, photographs[:half])
    errors = torch.zeros(2, len(names), dtype=torch.float64)
    count = 0
    for images in _batches(photographs[half:]):
        for layer, x in enumerate(activations(network, images)):
            output = network.denormalise(
                _apply(weights[layer], x, images.shape[-1]), (images.shape[-2], images.shape[-1])
            )
            floor = F.interpolate(_shrink(images, x.shape[-1]), images.shape[-2:])
            errors[0, layer] += (output - images).double().square().sum()
            errors[1, layer] += (floor - images).double().square().sum()
        count += images.numel()
    rmse = (errors / count).sqrt()
    return [(name, float(a), float(b)) for name, a, b in zip(names, rmse[0], rmse[1], strict=True)]


@torch.no_grad()
def activations(network: TunnelNetwork, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
    """What the decoder holds while it rebuilds `images`: the bias code, then each block's output."""
    levels = network.encode(images).levels
    x = network.decoder.bias_code[:, None, None].expand(levels[-1].codes.shape)
    found, convs = [x], network.decoder.convs
    for block, level in enumerate(reversed(levels)):
        x = convs[2 * block + 1](convs[2 * block](unpool(x, level.codes)))
        found.append(x)
    return found


@dataclass(frozen=True)
class Replaced:
    """RMSE of the same photographs with other switches than their own.

    Attributes:
        known: their own switches.
        zeros: every code 0, shown to the decoder that was trained on known switches.
        retrained: every code 0, the decoder retrained for that.
        random: every code drawn.
        other: the switches of another photograph.
        mean: the mean image, without any network.
    """

    known: float
    zeros: float
    retrained: float
    random: float
    other: float
    mean: float


def replace_switches(network: TunnelNetwork, photographs: Pixels, steps: int = 200) -> Replaced:
    """Measure both meanings of fixed switches beside the controls."""
    generator = torch.Generator().manual_seed(0)
    retrained = _retrain_for_zeros(network, photographs, steps)
    names = ("known", "zeros", "retrained", "random", "other", "mean")
    squares, count = dict.fromkeys(names, 0.0), 0
    for images in _batches(photographs):
        code = network.encode(images)
        outputs = {
            "known": network.decode(code),
            "zeros": network.decode(_zeros(code)),
            "retrained": retrained.expand_as(images),
            "random": network.decode(_random(code, generator)),
            "other": network.decode(_rolled(code)),
            "mean": network.mean_at((images.shape[-2], images.shape[-1])).expand_as(images),
        }
        for name, output in outputs.items():
            squares[name] += float((output - images).double().square().sum())
        count += images.numel()
    return Replaced(**{name: (value / count) ** 0.5 for name, value in squares.items()})


def _retrain_for_zeros(network: TunnelNetwork, photographs: Pixels, steps: int) -> Float[Tensor, "1 3 h w"]:
    """What a decoder gives for all-zero codes once it is trained for them.

    It gives every photograph the same picture, so the gradient of the loss over any set of photographs is,
    up to a constant, that of the distance to their mean. The training photographs' mean is the network's,
    0 on its inner scale; every step therefore follows the gradient of the whole training set.
    """
    code = _zeros(network.encode(to_float(photographs[:1])))
    decoder = _copy(network).decoder
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.003)
    codes = [level.codes for level in code.levels]
    for _ in range(steps):
        optimizer.zero_grad()
        decoder(codes).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        return network.denormalise(decoder(codes), code.image_size)


def _copy(network: TunnelNetwork) -> TunnelNetwork:
    copy = TunnelNetwork(network.architecture, network.mean, network.scale)
    copy.load_state_dict(network.state_dict())
    return copy


def _zeros(code: SwitchCode) -> SwitchCode:
    return replace(
        code, levels=tuple(level.with_codes(torch.zeros_like(level.codes)) for level in code.levels)
    )


def _random(code: SwitchCode, generator: torch.Generator) -> SwitchCode:
    def draw(codes: Tensor) -> Tensor:
        return torch.randint(4, codes.shape, generator=generator, dtype=torch.uint8)

    return replace(code, levels=tuple(level.with_codes(draw(level.codes)) for level in code.levels))


def _rolled(code: SwitchCode) -> SwitchCode:
    return replace(code, levels=tuple(level.with_codes(level.codes.roll(1, 0)) for level in code.levels))


def _changed(code: SwitchCode, other: SwitchCode) -> float:
    differ = [a.codes != b.codes for a, b in zip(code.levels, other.levels, strict=True)]
    return sum(float(d.sum()) for d in differ) / sum(d.numel() for d in differ)


def _batches(photographs: Pixels) -> Iterator[Float[Tensor, "n 3 h w"]]:
    for start in range(0, len(photographs), _BATCH):
        images = to_float(photographs[start : start + _BATCH])
        if len(images) > 1:  # a last one alone has no other beside it
            yield images


def more_colourful(network: TunnelNetwork, gain: float) -> TunnelNetwork:
    """The same network but that its encoder sees `gain` times the chroma: one linear map before conv1_1."""
    copy = _copy(network)
    turn = torch.linalg.inv(_YUV) @ torch.diag(torch.tensor([1.0, gain, gain])) @ _YUV
    first = copy.encoder.convs[0].weight
    first.data = torch.einsum("okhw,kc->ochw", first.data, turn).contiguous()
    return copy


def _yuv(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    return torch.einsum("kc,nchw->nkhw", _YUV.to(images.device), images)


def _chroma(yuv: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
    return yuv[:, 1:].norm(dim=1)


def gradient(luma: Float[Tensor, "n h w"]) -> Float[Tensor, "n _ _"]:
    """Magnitude of the central differences."""
    across = luma[:, 1:-1, 2:] - luma[:, 1:-1, :-2]
    down = luma[:, 2:, 1:-1] - luma[:, :-2, 1:-1]
    return (across**2 + down**2).sqrt()


def _correlation(a: Float[Tensor, "n h w"], b: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-12)


def _scales(x: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, "3 n 3 h w"]:
    """Coarse, middle and fine parts: they add up to `x` and are orthogonal."""
    x = x.double()
    coarse, middle = (F.interpolate(F.avg_pool2d(x, block), x.shape[-2:]) for block in BLOCKS)
    return torch.stack([coarse, middle - coarse, x - middle])


def _parts(product: Float64[Tensor, "3 n 3 h w"]) -> Float64[Tensor, "2 3 n"]:
    sums = product.sum((-1, -2))  # scale, image, channel
    return torch.stack([sums[..., 0], sums[..., 1] + sums[..., 2]])


def _shrink(images: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(images, images.shape[-1] // side)


def _fit(network: TunnelNetwork, photographs: Pixels) -> list[Float64[Tensor, "_ 3"]]:
    """Least-squares read-outs (channels and a constant to colours), one a layer."""
    grams: dict[int, Tensor] = {}
    moments: dict[int, Tensor] = {}
    for images in _batches(photographs):
        target = network.normalise(images)
        for layer, x in enumerate(activations(network, images)):
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
