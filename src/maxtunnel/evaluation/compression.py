"""What image files of the usual kinds cost, and lose, on the same photographs: the yardstick of switches."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from PIL import Image, features
from torch import Tensor

from maxtunnel.support.progress import OnProgress, silent

Format = Literal["JPEG", "WebP"]
# From nearly nothing to nearly all.
QUALITIES = (1, 3, 5, 10, 20, 35, 50, 65, 80, 90, 95)


@dataclass(frozen=True)
class Compressed:
    """Photographs as files of one kind.

    Attributes:
        name: `JPEG 20`, `WebP 80`, or `WebP, lossless`.
        format: the series it belongs to.
        quality: as Pillow counts it; None without loss.
        bits: of each photograph's whole file, headers too, per pixel and colour channel.
        squared_errors: mean squared error of each photograph, values in [0, 1].
    """

    name: str
    format: Format
    quality: int | None
    bits: Float64[Tensor, " n"]
    squared_errors: Float64[Tensor, " n"]


def compress(photographs: UInt8[Tensor, "n 3 h w"], on_progress: OnProgress = silent) -> list[Compressed]:
    """Photographs as JPEG and WebP of several qualities, and without loss.

    Args:
        photographs: RGB, n at least 1.
        on_progress: told the photographs done and their total, of all kinds together.

    Raises:
        RuntimeError: Pillow was built without JPEG or WebP.
    """
    for format in ("jpg", "webp"):
        if not features.check(format):
            raise RuntimeError(f"this Pillow reads and writes no {format}: install one from PyPI")
    kinds: list[tuple[Format, int | None]] = [
        *(("JPEG", quality) for quality in QUALITIES),
        *(("WebP", quality) for quality in QUALITIES),
        ("WebP", None),
    ]
    images = [pixels.permute(1, 2, 0).numpy() for pixels in photographs]
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (format, quality) in enumerate(kinds):
            values = []
            for value in pool.map(partial(_cost, format=format, quality=quality), images):
                values.append(value)
                on_progress("compress", number * len(images) + len(values), len(kinds) * len(images), format)
            bits, errors = torch.tensor(values, dtype=torch.float64).T
            name = f"{format}, lossless" if quality is None else f"{format} {quality}"
            found.append(Compressed(name, format, quality, bits, errors))
    return found


def _cost(image: UInt8[np.ndarray, "h w 3"], format: Format, quality: int | None) -> tuple[float, float]:
    """Bits per value, and mean squared error of what comes back."""
    data = _file(image, format, quality)
    back = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float64)
    return 8 * len(data) / image.size, float(np.square((back - image) / 255).mean())


def _file(image: UInt8[np.ndarray, "h w 3"], format: Format, quality: int | None) -> bytes:
    """The smallest file that the format's own encoder makes at this quality, None being without loss."""
    file = io.BytesIO()
    if format == "JPEG":
        Image.fromarray(image).save(file, "JPEG", quality=quality, optimize=True)
    elif quality is None:
        Image.fromarray(image).save(file, "WEBP", lossless=True, exact=True, method=4)
    else:
        Image.fromarray(image).save(file, "WEBP", quality=quality, method=4)
    return file.getvalue()
