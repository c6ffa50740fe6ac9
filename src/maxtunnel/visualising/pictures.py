"""Projections as pictures: three by three beside the photographs, and beside their controls."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.images import resize, to_uint8
from maxtunnel.report.pictures import heat
from maxtunnel.report.sheet import Row, sheet
from maxtunnel.visualising.controls import CONTROLS
from maxtunnel.visualising.outcome import Box, LayerPictures, UnitPictures

if TYPE_CHECKING:
    from PIL import Image

TILE, WIDE = 84, 132  # pixels of a tile of nine, and of a control
GREY = 127
_GAP = 2
_SHOWN = 5  # units whose controls are drawn
_ACROSS = 3  # units side by side
_NAMES = {"other": "others' switches", "random": "random", "constant": "no feature"}


def draw_units(layer: LayerPictures, pixels: UInt8[Tensor, "n 3 h w"], method: str) -> "Image.Image":
    """Each unit's projections, and right of them what it sees of the photographs, as in the paper."""
    rows = []
    for start in range(0, len(layer.units), _ACROSS):
        units = layer.units[start : start + _ACROSS]
        drawn = [part for unit in units for part in nines(unit, pixels, method)]
        blank = torch.full_like(drawn[0], 255)
        drawn += [blank] * (2 * _ACROSS - len(drawn) if start else 0)
        names = ", ".join(str(unit.unit) for unit in units)
        silent = ", ".join(str(unit.unit) for unit in units if not unit.photographs)
        name = f"{'units' if len(units) > 1 else 'unit'} {names}"
        rows.append(Row(name, f"silent: {silent}" if silent else "", torch.stack(drawn)))
    return sheet(rows)


def nines(
    unit: UnitPictures, pixels: UInt8[Tensor, "n 3 h w"], method: str
) -> tuple[UInt8[Tensor, "3 s s"], UInt8[Tensor, "3 s s"]]:
    """The projections of a unit three by three, and what it sees of the photographs in the same places."""
    parts = [pixels[number] for number in unit.photographs]
    size = _largest(unit.boxes)
    drawn = [shown(picture, method) for picture in unit.pictures]
    return (
        _grid([cut_out(picture, box, size, TILE) for picture, box in zip(drawn, unit.boxes, strict=True)]),
        _grid([cut_out(part, box, size, TILE) for part, box in zip(parts, unit.boxes, strict=True)]),
    )


def draw_controls(layer: LayerPictures, pixels: UInt8[Tensor, "n 3 h w"]) -> "Image.Image | None":
    """The strongest photograph of some units, its projection and the controls; None without any."""
    units = [unit for unit in layer.units if unit.controls][:_SHOWN]
    if not units:
        return None
    known = [name for name in CONTROLS if name in units[0].controls]
    rows = []
    for unit in units:
        box = unit.boxes[0]
        size = box[2] - box[0], box[3] - box[1]
        drawn = [pixels[unit.photographs[0]], shown(unit.pictures[0])]
        # A unit that fires on one photograph alone has no other's switches.
        drawn += [shown(unit.controls.get(name, torch.zeros_like(unit.pictures[0]))) for name in known]
        shares = ", ".join(
            f"{_NAMES[name]} {unit.shares[name][0]:.0%}" for name in known if name in unit.shares
        )
        rows.append(
            Row(f"unit {unit.unit}", shares, torch.stack([cut_out(part, box, size, WIDE) for part in drawn]))
        )
    return sheet(rows, ["photograph", "its own", *(_NAMES[name] for name in known)])


def shown(picture: Float[Tensor, "3 h w"], method: str = "") -> UInt8[Tensor, "3 h w"]:
    """Grey where it is 0, and as strong as there is room for; of `occlusion` what lowers most is white."""
    most = float(picture.abs().max()) or 1.0
    if method == "occlusion":
        return heat(picture[0].clamp(min=0), most)
    return to_uint8(0.5 + picture / (2 * most))


def _largest(boxes: Sequence[Box]) -> tuple[int, int]:
    heights, widths = ([box[axis + 2] - box[axis] for box in boxes] for axis in (0, 1))
    return max(heights, default=1), max(widths, default=1)


def cut_out(
    picture: UInt8[Tensor, "3 h w"], box: Box, size: tuple[int, int], side: int
) -> UInt8[Tensor, "3 s s"]:
    """What lies in the box, on grey of `size` where the photograph ends inside it, enlarged to a tile."""
    top, left, bottom, right = box
    tile = torch.full((3, *size), GREY, dtype=torch.uint8)
    # What a border has cut off is missing on that side.
    down = size[0] - (bottom - top) if top == 0 else 0
    along = size[1] - (right - left) if left == 0 else 0
    tile[:, down : down + bottom - top, along : along + right - left] = picture[:, top:bottom, left:right]
    if max(size) > side:
        return resize(tile, (side, side), "antialias")
    return F.interpolate(tile[None].float(), (side, side))[0].to(torch.uint8)


def _grid(tiles: Sequence[UInt8[Tensor, "3 s s"]]) -> UInt8[Tensor, "3 S S"]:
    """Three by three, white where there are fewer."""
    side = TILE + _GAP
    whole = torch.full((3, 3 * side - _GAP, 3 * side - _GAP), 255, dtype=torch.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, 3)
        whole[:, row * side : row * side + TILE, column * side : column * side + TILE] = tile
    return whole
