"""Pictures row under row on one sheet, each row with its name and a line about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_uint8

if TYPE_CHECKING:
    from PIL import Image, ImageFont

INK, FAINT, PAPER = "#1a1a1a", "#666666", "#ffffff"
MARGIN, GAP, CAPTION, HEAD = 24, 8, 46, 30


@dataclass(frozen=True, eq=False)
class Row:
    """A row of pictures with a name and a line about it."""

    name: str
    caption: str
    images: Float[Tensor, "n 3 h w"] | UInt8[Tensor, "n 3 h w"]


def sheet(rows: list[Row], heads: Sequence[str] = ()) -> "Image.Image":
    """Pictures row under row, pixel for pixel, each row with its name and caption below it.

    Args:
        rows: as many pictures each.
        heads: what stands above each column; none by default.
    """
    from PIL import Image, ImageDraw

    count, _, height, width = rows[0].images.shape
    first = MARGIN + (HEAD if heads else 0)
    size = (2 * MARGIN + count * (width + GAP) - GAP, first + MARGIN + len(rows) * (height + CAPTION))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for column, head in enumerate(heads):
        draw.text(
            (MARGIN + column * (width + GAP) + width / 2, first - GAP), head, INK, font(18), anchor="ms"
        )
    for number, row in enumerate(rows):
        top = first + number * (height + CAPTION)
        pixels = row.images if row.images.dtype == torch.uint8 else to_uint8(row.images)
        for column, image in enumerate(pixels.cpu()):
            tile = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
            picture.paste(tile, (MARGIN + column * (width + GAP), top))
        baseline = top + height + 28
        draw.text((MARGIN, baseline), row.name, INK, font(22), anchor="ls")
        after = MARGIN + draw.textlength(row.name, font(22)) + 14
        draw.text((after, baseline), row.caption, FAINT, font(18), anchor="ls")
    return picture


def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """Pillow's own typeface, so that a sheet looks the same everywhere."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
