"""Results to pictures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.images import to_uint8

if TYPE_CHECKING:
    from PIL import Image, ImageFont

INK, FAINT, PAPER = "#1a1a1a", "#666666", "#ffffff"
MARGIN, GAP, LABEL = 28, 8, 190


@dataclass(frozen=True, eq=False)
class Row:
    """A row of pictures with a name and some lines about it."""

    name: str
    captions: tuple[str, ...]
    images: Float[Tensor, "n 3 h w"] | UInt8[Tensor, "n 3 h w"]


def sheet(rows: list[Row]) -> "Image.Image":
    """Pictures row under row, pixel for pixel, each row named on the left."""
    from PIL import Image, ImageDraw

    count, _, height, width = rows[0].images.shape
    size = (
        2 * MARGIN + LABEL + count * (width + GAP) - GAP,
        2 * MARGIN + len(rows) * (height + GAP) - GAP,
    )
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        top = MARGIN + number * (height + GAP)
        draw.text((MARGIN, top + height // 2 - 4), row.name, INK, _font(26), anchor="ls")
        draw.multiline_text(
            (MARGIN, top + height // 2 + 8), "\n".join(row.captions), FAINT, _font(16), spacing=7
        )
        pixels = row.images if row.images.dtype == torch.uint8 else to_uint8(row.images)
        for column, image in enumerate(pixels.cpu()):
            tile = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
            picture.paste(tile, (MARGIN + LABEL + column * (width + GAP), top))
    return picture


def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
