"""Pictures of adaptive deconvolutional networks: what images become, and what the maps stand for."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.models.adaptive_deconv import AdaptiveDeconv, Inferred
from maxtunnel.models.adaptive_pooling import unpool_boxes
from maxtunnel.report.pictures import strip
from maxtunnel.studies.adaptive_reading import Given

_SHOWN, _MAPS, _TILE, _GAP = 8, 24, 40, 4
_STRONGEST = 3.0  # normalised contrast that is shown black or white


def draw_readings(
    layers: Sequence[Mapping[Given, Tensor]], images: Float[Tensor, "n 1 h w"]
) -> UInt8[Tensor, "3 H W"]:
    """Images; below them what each layer makes of all, then what the deepest makes of less."""
    rows = [images, *(layer["both"] for layer in layers)]
    rows += [drawn for given, drawn in layers[-1].items() if given != "both"]
    return _stacked([strip(_shades(row[:_SHOWN], _STRONGEST), _GAP) for row in rows])


def draw_parts(
    network: AdaptiveDeconv, seen: Sequence[Inferred], size: tuple[int, int]
) -> UInt8[Tensor, "3 H W"]:
    """What the maps of each layer stand for: the strongest feature of each in these images, drawn alone.

    A row a layer, from the first; each tile as wide as a feature reaches, but no wider than the image.
    """
    rows = []
    for layer in range(1, len(seen) + 1):
        drawn = _alone(network, seen[:layer], size)
        reach = min(_reach(network, layer), *size)
        tiles = F.interpolate(_cut(drawn, reach), (_TILE, _TILE), mode="nearest")
        strongest = tiles.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-9)
        rows.append(strip(_shades(tiles / strongest, 1.0), _GAP))
    width = max(row.shape[2] for row in rows)
    return _stacked([F.pad(row, (0, width - row.shape[2]), value=255) for row in rows])


def _alone(network: AdaptiveDeconv, seen: Sequence[Inferred], size: tuple[int, int]) -> Tensor:
    """Images of the strongest feature of some maps of the last of these layers, each drawn alone."""
    layer, below = seen[-1], seen[:-1]
    shape = network.settings.planes(size)[len(below)]
    planes = unpool_boxes(layer.what, layer.where, network.settings.box, shape).transpose(0, 1)
    count = min(_MAPS, len(planes))
    values, place = planes[:count].abs().flatten(1).max(1)
    cells = planes[0, 0].numel()
    single = torch.zeros(count, *shape, device=values.device)
    single.flatten(2)[torch.arange(count), torch.arange(count), place % cells] = values
    image = place // cells
    return network.down(single, [None if each.where is None else each.where[image] for each in below], size)


def _reach(network: AdaptiveDeconv, layer: int) -> int:
    """Pixels that one feature of a layer's planes can reach, a side."""
    reach = network.settings.kernel
    for _ in range(layer - 1):
        reach = reach * network.settings.box.side + network.settings.kernel - 1
    return reach


def _cut(images: Float[Tensor, "n 1 h w"], side: int) -> Float[Tensor, "n 1 side side"]:
    """A square of each image around where its energy is."""
    height, width = images.shape[2:]
    energy = images.square().sum(1)
    total = energy.sum((1, 2)).clamp_min(1e-12)
    found = []
    rows = (energy.sum(2) * torch.arange(height)).sum(1) / total
    columns = (energy.sum(1) * torch.arange(width)).sum(1) / total
    for image, row, column in zip(images, rows.tolist(), columns.tolist(), strict=True):
        top = min(max(round(row - side / 2), 0), height - side)
        left = min(max(round(column - side / 2), 0), width - side)
        found.append(image[:, top : top + side, left : left + side])
    return torch.stack(found)


def _shades(images: Float[Tensor, "n 1 h w"], strongest: float) -> UInt8[Tensor, "n 3 h w"]:
    """Grey for 0, white and black for `strongest` above and below it."""
    shades = (images.detach().cpu() / strongest).clamp(-1, 1) * 127 + 128
    return shades.round().to(torch.uint8).expand(-1, 3, -1, -1)


def _stacked(rows: Sequence[UInt8[Tensor, "3 h W"]]) -> UInt8[Tensor, "3 H W"]:
    """Pictures one below the other, with white between them."""
    return torch.cat([F.pad(row, (0, 0, 0, _GAP), value=255) for row in rows], 1)[:, :-_GAP]
