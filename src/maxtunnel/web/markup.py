"""Pieces of the page as HTML: pictures, the slider between two, facts, notices.

Pictures stand inside the HTML as PNG, so that no result is ever a file on the server.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

CITATION = (
    "M. de La Roche Saint Andre, L. Rieger, M. Hannemose, J. Kim: <cite>Tunnel Effect in CNNs: Image "
    "Reconstruction From Max-Switch Locations</cite>. IEEE Signal Processing Letters 24(3), 254–258, 2017"
)


def png(pixels: UInt8[Tensor, "3 h w"]) -> bytes:
    """An image as PNG, RGB in 8 bits."""
    from PIL import Image

    file = io.BytesIO()
    # Level 1 takes a quarter of the time of the default, for files a tenth larger.
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(file, "PNG", compress_level=1)
    return file.getvalue()


def uri(data: bytes, kind: str) -> str:
    """Bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture(pixels: UInt8[Tensor, "3 h w"], what: str, classes: str = "") -> str:
    """An `img`; `what` is told to those who do not see it."""
    height, width = pixels.shape[-2:]
    return (
        f'<img class="{escape(classes)}" src="{uri(png(pixels), "image/png")}" alt="{escape(what)}" '
        f'width="{width}" height="{height}">'
    )


def figure(image: str, caption: str) -> str:
    """A picture (or other HTML) with HTML below it."""
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def row(figures: Iterable[str], classes: str = "") -> str:
    """Figures side by side, as many as there is room for."""
    return f'<div class="mt-row {escape(classes)}">{"".join(figures)}</div>'


def compare(
    left: UInt8[Tensor, "3 h w"], right: UInt8[Tensor, "3 h w"], left_name: str, right_name: str
) -> str:
    """Two pictures over each other with a slider between them, for mouse, finger and keyboard."""
    label = f"How much of {left_name} is shown before {right_name} begins"
    move = "this.parentElement.style.setProperty('--at', this.value + '%')"
    return (
        '<div class="mt-compare">'
        f"{picture(left, left_name, 'mt-left')}{picture(right, right_name, 'mt-right')}"
        f'<span class="mt-tag mt-tag-left">{escape(left_name)}</span>'
        f'<span class="mt-tag mt-tag-right">{escape(right_name)}</span><i aria-hidden="true"></i>'
        f'<input type="range" min="0" max="100" step="1" value="50" aria-label="{escape(label)}" '
        f'oninput="{move}"></div>'
    )


def facts(rows: Sequence[tuple[str, str, str]]) -> str:
    """Name, value and a few words about each."""
    cells = (
        f"<div><dt>{escape(name)}</dt><dd><b>{escape(value)}</b><small>{escape(note)}</small></dd></div>"
        for name, value, note in rows
    )
    return f'<dl class="mt-facts">{"".join(cells)}</dl>'


def download(data: bytes, kind: str, name: str, text: str) -> str:
    """A link that saves `data`."""
    return f'<a class="mt-download" download="{escape(name)}" href="{uri(data, kind)}">{escape(text)}</a>'


def notice(error: BaseException) -> str:
    """An error in words, where the result would stand."""
    text = str(error) if isinstance(error, ValueError) else "there is not enough memory: take a smaller size"
    return f'<div class="mt-notice" role="alert"><b>That did not work.</b> {escape(text)}.</div>'


def hint(text: str) -> str:
    """What to do where there is nothing to show yet."""
    return f'<div class="mt-hint">{escape(text)}</div>'


def size_of(data: bytes) -> str:
    """Bytes in a unit that is easily read."""
    return f"{len(data):,} bytes" if len(data) < 10_000 else f"{len(data) / 1000:,.0f} kB"


def heat(values: Float[Tensor, "h w"], most: float) -> UInt8[Tensor, "3 h w"]:
    """0 to `most` as black over red and yellow to white; what is above is white."""
    import torch
    from matplotlib import colormaps

    table = (colormaps["inferno"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    place = (values / most * 255).clamp(0, 255).round().long()
    return torch.from_numpy(table)[place].permute(2, 0, 1)
