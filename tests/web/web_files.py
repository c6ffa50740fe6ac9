"""Files as visitors send them, good and bad, and what the library makes of them."""

import io
import zipfile

from PIL import Image

from maxtunnel.data.images import read_image, to_float, to_uint8
from maxtunnel.web.page import PHOTOGRAPHS
from maxtunnel.zoo.names import load

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def as_file(pixels, kind="PNG"):
    """Pixels as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, kind)
    return file.getvalue()


def encoded(size, kind="PNG"):
    """The cat at this (width, height), as a file."""
    file = io.BytesIO()
    Image.open(PHOTOGRAPHS / "chelsea.jpg").resize(size).save(file, kind)
    return file.getvalue()


def bomb():
    """16.8 million pixels in 16 kB."""
    file = io.BytesIO()
    Image.new("L", (4097, 4097)).save(file, "PNG", optimize=True)
    return file.getvalue()


def archive():
    """A zip file with a photograph in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("cat.jpg", encoded((32, 32), "JPEG"))
    return file.getvalue()


def rebuilt(name, data):
    """What the network of this name makes of a photograph's switches."""
    return to_uint8(load(name).reconstruct(to_float(read_image(io.BytesIO(data)))[None])[0])
