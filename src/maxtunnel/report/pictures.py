"""Tensors as pictures: files of them in memory, pictures inside a page, strips and heat maps."""

import io

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.report.html import Html, data_uri, element


def png(pixels: UInt8[Tensor, "3 h w"]) -> bytes:
    """A picture as a PNG file, quickly: the files are a tenth larger than Pillow's default makes them."""
    return _saved(pixels, "PNG", compress_level=1)


def jpeg(pixels: UInt8[Tensor, "3 h w"]) -> bytes:
    """A picture as a JPEG file: not exact, and much smaller."""
    return _saved(pixels, "JPEG", quality=88)


def inline(data: bytes, kind: str, alt: str, classes: str = "") -> Html:
    """A picture that lies inside the page.

    Args:
        data: the file.
        kind: its media type, such as `image/png`.
        alt: told to those who do not see it.
        classes: for its style.
    """
    return element("img", class_=classes, src=data_uri(data, kind), alt=alt)


def picture(pixels: UInt8[Tensor, "3 h w"], alt: str, classes: str = "") -> Html:
    """Pixels inside the page, exact, their size known to it before they are there."""
    height, width = pixels.shape[-2:]
    return element(
        "img", class_=classes, src=data_uri(png(pixels), "image/png"), alt=alt, width=width, height=height
    )


def dots(pixels: UInt8[Tensor, "3 h w"], alt: str, room: int) -> Html:
    """A picture of which every pixel counts, such as one of switches, inside the page.

    Each pixel takes the same whole number of the screen's, as many as there is room for: enlarged by a broken
    number, or shrunk by leaving pixels out, a regular pattern shows stripes that are not in it.

    Args:
        pixels: of the picture.
        alt: told to those who do not see it.
        room: for its longer side, in the page's pixels.

    Raises:
        ValueError: there is not room for a pixel each.
    """
    height, width = pixels.shape[-2:]
    times = room // max(height, width)
    if times < 1:
        raise ValueError(f"`room` is {room}: the picture has {width}x{height} pixels")
    # At one to one the browser may smooth: it does so only where a reader makes the whole page smaller.
    classes = "mt-dots mt-pixels" if times > 1 else "mt-dots"
    source = data_uri(png(pixels), "image/png")
    return element("img", class_=classes, src=source, alt=alt, width=times * width, height=times * height)


def strip(images: UInt8[Tensor, "n 3 h w"], gap: int = 4) -> UInt8[Tensor, "3 h W"]:
    """Pictures side by side, `gap` white pixels between them."""
    height, width = images.shape[-2:]
    row = torch.full((3, height, len(images) * (width + gap) - gap), 255, dtype=torch.uint8)
    for number, image in enumerate(images):
        start = number * (width + gap)
        row[:, :, start : start + width] = image
    return row


def heat(values: Float[Tensor, "h w"], most: float) -> UInt8[Tensor, "3 h w"]:
    """Values from 0 to `most` as black over red and yellow to white; larger ones are white too."""
    from matplotlib import colormaps

    colours = (colormaps["inferno"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    place = (values / most * 255).clamp(0, 255).round().long()
    return torch.from_numpy(colours)[place].permute(2, 0, 1)


def _saved(pixels: UInt8[Tensor, "3 h w"], kind: str, **options: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(file, kind, **options)
    return file.getvalue()
