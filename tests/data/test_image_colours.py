"""Depths, inverted greys and transparent colours that Pillow leaves to its caller."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_pictures import hwc, refusal, saved

from maxtunnel.data.images import read_image

SHADES = np.linspace(0, 65535, 13 * 17).astype(np.uint16).reshape(13, 17)


def grey(path):
    """The grey levels that are read, checked to be grey."""
    pixels = hwc(read_image(path))
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_white_is_zero_at_every_depth(tmp_path, photometric, dtype):
    values = {np.uint8: SHADES >> 8, np.uint16: SHADES, np.float32: SHADES / 65535}[dtype].astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric)
    expected = SHADES >> 8
    if dtype == np.float32:
        expected = np.rint(values * 255)
    if photometric == "miniswhite":
        expected = 255 - expected
    # Where a float is half way between two levels either will do.
    assert np.abs(grey(tmp_path / "a.tif") - expected).max() <= (dtype == np.float32)
    assert abs(grey(tmp_path / "a.tif")[0, 0] - (255 if photometric == "miniswhite" else 0)) == 0


def test_twelve_bits_are_bright(tmp_path):
    levels = (SHADES[:12, :16] >> 4).astype(np.uint32)
    pairs = levels.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    data = packed.astype(np.uint8).tobytes()
    tags = [
        (256, 16),
        (257, 12),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 12),
        (279, len(data)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag == 273 else 3, 1, value) for tag, value in tags)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    (tmp_path / "a.tif").write_bytes(start + data + directory)
    assert (grey(tmp_path / "a.tif") == levels >> 4).all()


def png(path, depth, colour, rows, key):
    """A PNG of raw rows, one colour of which stands for transparent."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = len(rows[0]) * 8 // depth // (3 if colour == 2 else 1)
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    data = chunk(b"IHDR", header) + chunk(b"tRNS", key) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize(
    ("depth", "row", "level", "expected"),
    [
        (1, [0b01010101], 0, [255, 255] * 4),
        (1, [0b01010101], 1, [0, 255] * 4),
        (2, [0b00011011], 1, [0, 255, 170, 255]),
        (4, [0x01, 0x5A], 5, [0, 17, 255, 170]),
        (8, [3, 5, 7], 5, [3, 255, 7]),
        # Equal in the byte that is kept, another level all the same.
        (16, [5, 0, 5, 1, 5, 2], 5 * 256 + 1, [5, 255, 5]),
    ],
)
def test_the_transparent_level_of_a_grey_png_at_every_depth(tmp_path, depth, row, level, expected):
    path = png(tmp_path / "a.png", depth, 0, [bytes(row)], struct.pack(">H", level))
    assert grey(path).tolist() == [expected]


def test_the_transparent_colour_of_a_16_bit_png_counts_in_all_16_bits(tmp_path):
    colours = [[0x0505, 0x0606, 0x0707], [0x0505, 0x0606, 0x0708], [0x0506, 0x0606, 0x0707], [0, 0, 0]]
    row = np.array(colours, ">u2").tobytes()
    path = png(tmp_path / "a.png", 16, 2, [row, row], struct.pack(">3H", *colours[0]))
    expected = [[255, 255, 255], [5, 6, 7], [5, 6, 7], [0, 0, 0]]
    assert hwc(read_image(path)).tolist() == [expected, expected]


def test_an_orientation_turns_the_transparency_too(tmp_path):
    """As it stands: what is transparent is made white before the picture is turned."""
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.png", values, transparency=4, exif=exif)
    assert grey(path).tolist() == [[3, 0], [255, 1], [5, 2]]


def test_negative_values_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), -1, np.int16))
    assert "expected 0 to 65535" in refusal(read_image, tmp_path / "a.tif")
