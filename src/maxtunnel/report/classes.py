"""Classes of pixels as pictures: in colours, over the photograph, and with the names of the classes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data import camvid, horses, voc
from maxtunnel.report.html import Html, element, joined
from maxtunnel.report.sheet import GAP, INK, MARGIN, PAPER, font

if TYPE_CHECKING:
    from PIL import Image

# Of CamVid's eleven classes, in their order, as CamVid's own label images have them; void is black.
_CAMVID = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
_NAMES = {len(names): names for names in (camvid.CLASSES, voc.CLASSES, horses.CLASSES)}
_ROW, _PATCH, _LEGEND = 24, 16, 170  # of a legend, in pixels
_HEAD = 15  # size of what stands above a picture
_PALE = 0.45  # share of the photograph in an overlay


def class_names(classes: int) -> tuple[str, ...]:
    """The names of so many classes: CamVid's 11, VOC's 21, the horses' 2; otherwise numbers.

    The file of a network says how many classes it has, and not which.
    """
    return _NAMES.get(classes, tuple(f"class {number}" for number in range(1, classes + 1)))


def class_colours(classes: int) -> UInt8[Tensor, "256 3"]:
    """The colour of each class: CamVid's own of 11, otherwise VOC's; void, which is none, is black."""
    colours = torch.zeros(256, 3, dtype=torch.uint8)
    palette = np.array(_CAMVID, np.uint8) if classes == len(_CAMVID) else voc.palette()[:classes]
    colours[:classes] = torch.from_numpy(palette)
    return colours


def colour(
    labels: UInt8[Tensor, "*n h w"] | Int64[Tensor, "*n h w"], classes: int
) -> UInt8[Tensor, "*n 3 h w"]:
    """Labels as a picture."""
    return class_colours(classes)[labels.long()].movedim(-1, -3)


def overlay(
    pixels: UInt8[Tensor, "3 h w"], labels: Int64[Tensor, "h w"], classes: int
) -> UInt8[Tensor, "3 h w"]:
    """The classes over the photograph, which shows through."""
    mixed = torch.lerp(colour(labels, classes).float(), pixels.float(), _PALE)
    return mixed.round().to(torch.uint8)


def legend_list(classes: int, names: Sequence[str]) -> Html:
    """The colours of classes, for a page."""
    colours = class_colours(classes).tolist()
    names_shown = [
        element("span", element("b", "■", style=f"color:rgb({red},{green},{blue})"), f" {name}")
        for (red, green, blue), name in zip(colours, names, strict=False)
    ]
    return element("p", joined(*names_shown, between=" \N{NO-BREAK SPACE} "), class_="mt-names")


def class_sheet(
    pictures: Sequence[tuple[str, UInt8[Tensor, "3 h w"]]], shown: Sequence[int], classes: int
) -> "Image.Image":
    """Pictures of one size side by side, or where they are wide one below the other, with a legend.

    What stands above a narrow picture has room: the next one lies further right.

    Args:
        pictures: each with what stands above it.
        shown: classes that the legend names.
        classes: how many there are.
    """
    from PIL import Image, ImageDraw

    height, width = pictures[0][1].shape[-2:]
    across = 1 if width > 2 * height else min(len(pictures), 3)
    down = -(-len(pictures) // across)
    heads = max(math.ceil(font(_HEAD).getlength(head)) for head, _ in pictures)
    step = max(width, heads) + GAP, height + _ROW + GAP
    columns = max(1, (across * step[0]) // _LEGEND)
    tall = -(-len(shown) // columns) * _ROW
    whole = (2 * MARGIN + max(across * step[0], _LEGEND), 2 * MARGIN + down * step[1] + GAP + tall)
    sheet = Image.new("RGB", whole, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (head, pixels) in enumerate(pictures):
        left, top = MARGIN + number % across * step[0], MARGIN + number // across * step[1]
        draw.text((left, top + _ROW - 6), head, INK, font(_HEAD), anchor="ls")
        sheet.paste(Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()), (left, top + _ROW))
    names, colours = class_names(classes), class_colours(classes).tolist()
    for number, each in enumerate(shown):
        left = MARGIN + number % columns * _LEGEND
        top = MARGIN + down * step[1] + GAP + number // columns * _ROW
        draw.rectangle((left, top, left + _PATCH, top + _PATCH), fill=tuple(colours[each]), outline=INK)
        draw.text((left + _PATCH + 6, top + _PATCH - 3), names[each], INK, font(14), anchor="ls")
    return sheet
