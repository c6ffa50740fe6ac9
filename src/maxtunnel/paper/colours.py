"""How colours and edges of reconstructions compare with the originals'."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.batches import Pixels
from maxtunnel.evaluation.intervals import Interval, bootstrap, ratio_of_means
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.measurements import batches
from maxtunnel.switches.codes import SwitchCode

# Rows: luma (ITU-R BT.601), and two colour differences that are 0 for every grey.
_YUV = torch.tensor([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])
BLOCKS = (16, 4)  # pixels a side, of the means that split a picture into coarse, middle and fine


@dataclass(frozen=True)
class Colours:
    """How colours and edges of reconstructions compare with the originals'.

    Here t is the original and r the reconstruction, both less the mean image. Of each photograph products of
    the two are summed over its pixels: for each part (luma, chroma) and scale (coarse, middle, fine).

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

    def colour_weaker_by(self) -> Interval:
        """By how much luma's strength is above chroma's: 95 % interval over photographs."""
        sums = torch.cat([self.shared.sum(1), self.power.sum(1)])
        return bootstrap(sums, lambda means: means[0] / means[2] - means[1] / means[3])

    def colour_less_explained_by(self) -> Interval:
        """By how much luma's explained share is above chroma's: 95 % interval over photographs."""
        error = (self.power - 2 * self.shared + self.own).sum(1)
        sums = torch.cat([error, self.power.sum(1)])
        return bootstrap(sums, lambda means: means[1] / means[3] - means[0] / means[2])

    def best_gain(self) -> tuple[float, Interval]:
        """By what to multiply the reconstructions' chroma for the least error, with its 95 % interval."""
        return ratio_of_means(self.shared[1].sum(0), self.own[1].sum(0))

    def spectrum(self) -> Float64[Tensor, "2 3"]:
        """Share of each part's variance that lies in each scale."""
        power = self.power.sum(-1)
        return power / power.sum(-1, keepdim=True)


@torch.no_grad()
def measure_colours(network: TunnelNetwork, photographs: Pixels) -> Colours:
    """Compare colours and edges of reconstructions with the originals'."""
    saturation, edges, others, sums, flips = [], [], [], [], []
    for images in batches(photographs):
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


def more_colourful(network: TunnelNetwork, gain: float) -> TunnelNetwork:
    """The same network, whose encoder sees `gain` times the chroma: by one linear map before conv1_1."""
    rich = deepcopy(network)
    turn = torch.linalg.inv(_YUV) @ torch.diag(torch.tensor([1.0, gain, gain])) @ _YUV
    first = rich.encoder.convs[0].weight
    first.data = torch.einsum("okhw,kc->ochw", first.data, turn).contiguous()
    return rich


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


def _changed(code: SwitchCode, other: SwitchCode) -> float:
    differ = [a.codes != b.codes for a, b in zip(code.levels, other.levels, strict=True)]
    return sum(float(d.sum()) for d in differ) / sum(d.numel() for d in differ)
