"""Pooling over space and over neighbouring maps, with switches: the greatest magnitude of a box of cells.

    planes (c, h, w) -> boxes of 2 maps x 2 rows x 2 columns -> values (c / 2, h / 2, w / 2), a code each

A code is the place of a box's value inside it: maps first, then row by row, from 0. Boxes at the end may have
fewer cells. Without codes a box is averaged: pooling sums its cells, unpooling shares the value among them.

Source: Zeiler, Taylor, Fergus 2011 pool over space and pairs of maps. That the greatest *magnitude* is taken,
with its sign, and that boxes at the end may be smaller, could not be checked in their text.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

Shape = tuple[int, int, int]  # maps, height, width


@dataclass(frozen=True)
class Box:
    """What is pooled together.

    Attributes:
        maps: neighbouring maps.
        side: rows, and columns.

    Raises:
        ValueError: they are below 1, or a code would take more than a byte.
    """

    maps: int = 2
    side: int = 2

    def __post_init__(self) -> None:
        if min(self.maps, self.side) < 1 or self.cells > 256:
            raise ValueError(
                f"a box is {self.maps} maps of {self.side}x{self.side}: expected at least 1 of each, and at "
                "most 256 cells"
            )

    @property
    def cells(self) -> int:
        """Of a whole box."""
        return self.maps * self.side**2

    def pooled(self, shape: Shape) -> Shape:
        """Maps, height and width of the values of planes."""
        maps, height, width = shape
        return math.ceil(maps / self.maps), math.ceil(height / self.side), math.ceil(width / self.side)


def pool_boxes(
    planes: Float[Tensor, "n c h w"], box: Box
) -> tuple[Float[Tensor, "n k oh ow"], UInt8[Tensor, "n k oh ow"]]:
    """The value of the greatest magnitude of every box, with its sign, and its code.

    Of equal magnitudes the first counts, maps first, then row by row.
    """
    shape = _shape(planes)
    sides = (box.maps, box.side, box.side)
    _, index = F.max_pool3d(planes.abs()[:, None], sides, ceil_mode=True, return_indices=True)
    index = index[:, 0]
    values = planes.flatten(1).gather(1, index.flatten(1)).view(index.shape)
    return values, _codes(index, box, shape)


def unpool_boxes(
    values: Float[Tensor, "n k oh ow"], codes: UInt8[Tensor, "n k oh ow"] | None, box: Box, shape: Shape
) -> Float[Tensor, "n c h w"]:
    """Every value where its box's code says, zeros elsewhere; without codes, shared among the box's cells.

    Args:
        values: of the boxes.
        codes: as `pool_boxes` gives them, of planes of that shape.
        box: the geometry.
        shape: of the planes.

    Raises:
        ValueError: values or codes do not belong to planes of that shape.
    """
    _check(values, codes, box, shape)
    if codes is None:
        return _repeat(values / _cells(box, shape, values), box, shape)
    planes = values.new_zeros(len(values), math.prod(shape))
    planes.scatter_(1, _index(codes, box, shape).flatten(1), values.flatten(1))
    return planes.view(-1, *shape)


def take_boxes(
    planes: Float[Tensor, "n c h w"], codes: UInt8[Tensor, "n k oh ow"] | None, box: Box
) -> Float[Tensor, "n k oh ow"]:
    """The adjoint of `unpool_boxes`: of every box the cell of its code; without codes, the mean of all."""
    shape = _shape(planes)
    if codes is None:
        return sum_boxes(planes, box) / _cells(box, shape, planes)
    return planes.flatten(1).gather(1, _index(codes, box, shape).flatten(1)).view(codes.shape)


def sum_boxes(planes: Float[Tensor, "n c h w"], box: Box) -> Float[Tensor, "n k oh ow"]:
    """The sum of every box, of which `unpool_boxes` without codes makes the mean: average pooling."""
    sides = (box.maps, box.side, box.side)
    whole = F.pad(planes, _missing(_shape(planes), box))
    return box.cells * F.avg_pool3d(whole[:, None], sides)[:, 0]


def _shape(planes: Tensor) -> Shape:
    _, maps, height, width = planes.shape
    return maps, height, width


def _check(values: Tensor, codes: Tensor | None, box: Box, shape: Shape) -> None:
    expected = box.pooled(shape)
    if tuple(values.shape[1:]) != expected or (codes is not None and codes.shape != values.shape):
        found = "" if codes is None else f", codes {tuple(codes.shape)}"
        raise ValueError(
            f"values are {tuple(values.shape)}{found}: expected (n, {', '.join(map(str, expected))}) for "
            f"planes of {shape}"
        )


def _missing(shape: Shape, box: Box) -> tuple[int, int, int, int, int, int]:
    """Columns, rows and maps behind the last ones that would make all boxes whole, as `F.pad` takes them."""
    maps, height, width = shape
    return 0, -width % box.side, 0, -height % box.side, 0, -maps % box.maps


def _cells(box: Box, shape: Shape, like: Tensor) -> Float[Tensor, "1 k oh ow"]:
    """How many cells each box has."""
    return sum_boxes(torch.ones(1, *shape, dtype=like.dtype, device=like.device), box)


def _repeat(values: Tensor, box: Box, shape: Shape) -> Tensor:
    """Every value in all cells of its box."""
    maps, height, width = shape
    whole = values
    for dim, times in ((1, box.maps), (2, box.side), (3, box.side)):
        whole = whole.repeat_interleave(times, dim)
    return whole[:, :maps, :height, :width]


def _codes(index: Int64[Tensor, "n k oh ow"], box: Box, shape: Shape) -> UInt8[Tensor, "n k oh ow"]:
    """The place inside its box of a cell that is given by its number in all planes."""
    _, height, width = shape
    one, row, column = index // (height * width), index // width % height, index % width
    code = (one % box.maps * box.side + row % box.side) * box.side + column % box.side
    return code.to(torch.uint8)


def _index(codes: UInt8[Tensor, "n k oh ow"], box: Box, shape: Shape) -> Int64[Tensor, "n k oh ow"]:
    """The number in all planes of the cell of each code."""
    _, height, width = shape
    _, maps, rows, columns = codes.shape
    first = torch.arange(maps, device=codes.device)[:, None, None] * (box.maps * height * width)
    first = first + torch.arange(rows, device=codes.device)[:, None] * (box.side * width)
    first = first + torch.arange(columns, device=codes.device) * box.side
    place = codes.long()
    one, row, column = place // box.side**2, place // box.side % box.side, place % box.side
    return first + (one * height + row) * width + column
