"""Files as visitors send them, good and bad, and what the library makes of them."""

import io
import struct
import zipfile
import zlib

import torch
from PIL import Image

from maxtunnel.codec.format import Header, Part, write_header
from maxtunnel.data.images import read_image, to_float, to_uint8
from maxtunnel.models.cedn import cedn
from maxtunnel.models.provenance import Provenance
from maxtunnel.switches.window import Window
from maxtunnel.web.page import PHOTOGRAPHS
from maxtunnel.zoo.names import load
from maxtunnel.zoo.vgg import INPUTS, vgg_network

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


def many_scans(count):
    """A progressive JPEG whose last scan, of twelve bytes, stands in it once more so many times."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 99).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


def with_segments(count, marker, body):
    """A JPEG with so many segments of a kind before its picture."""
    data = encoded((16, 16), "JPEG")
    segment = bytes([255, marker]) + (len(body) + 2).to_bytes(2) + body
    return data[:2] + segment * count + data[2:]


def large_tile(side):
    """A TIFF of 8x8 pixels in one tile of side x side, which deflate makes small."""
    data = zlib.compress(bytes(side * side), 9)
    # Size, bits, deflate, black is zero, channels, size of a tile, where it lies and how long it is.
    tags = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 134, 325: len(data)}
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + fields + bytes(4)
    assert len(head) == 134
    return head + data


def claiming(network, images, size, channels, length):
    """A small switch file that names a network and claims so many images of so many channels a level."""
    parts = tuple(
        Part("adaptive", Window(), (size >> level, size >> level), count, length, zlib.crc32(bytes(length)))
        for level, count in enumerate(channels)
    )
    head = write_header(Header(images, (size, size), network.identity(), bytes(8), parts))
    return head + bytes(length * len(parts))


def archive():
    """A zip file with a photograph in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("cat.jpg", encoded((32, 32), "JPEG"))
    return file.getvalue()


def tiny_vgg():
    """As `maxtunnel import` makes it, of 2x1-4x3."""
    generator = torch.Generator().manual_seed(0)
    shapes = [[(2, 3)], [(4, 2), (4, 4), (4, 4)]]
    blocks = [
        [(torch.randn(*shape, 3, 3, generator=generator) / 4, torch.zeros(shape[0])) for shape in block]
        for block in shapes
    ]
    network = vgg_network(blocks, INPUTS["imagenet"])
    network.provenance = Provenance(imported="a test")
    return network


def tiny_dense():
    """A network that draws contours, of CEDN's layers."""
    network = cedn(2, side=3, seed=2)
    with torch.no_grad():
        network.decoder.constant += 1
    return network


def rebuilt(name, data):
    """What the network of this name makes of a photograph's switches."""
    return to_uint8(load(name).reconstruct(to_float(read_image(io.BytesIO(data)))[None])[0])
