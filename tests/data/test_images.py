import io
import struct
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import lab2rgb
from small_pictures import RGB, hwc, photograph, refusal, saved
from torch.nn import functional as F

from maxtunnel.data.images import NamedBytes, read_image, resize, to_float, to_uint8, write_png
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.support.files import FormatError

GREY = RGB[..., 0]
SHADES = np.linspace(0, 65535, 13 * 17).astype(np.uint16).reshape(13, 17)
SAVED = {
    "jpg": {"quality": 90},
    "progressive.jpg": {"progressive": True},
    "lzw.tif": {"compression": "tiff_lzw"},
}
SAVED |= {"webp": {"lossless": True}, "png": {}, "bmp": {}, "tif": {}, "gif": {}}


def opencv(path):
    return cv2.imread(str(path))[..., ::-1].astype(int)


def recoloured(pixels, colour, new=255):
    return np.where((pixels == colour).all(-1, keepdims=True), new, pixels)


@pytest.mark.parametrize("kind", ["png", "webp", "bmp", "tif", "lzw.tif"])
def test_lossless_formats_give_back_the_pixels_from_a_path_and_from_a_stream(tmp_path, kind):
    path = saved(tmp_path / f"a.{kind}", RGB, **SAVED[kind])
    stream = io.BytesIO(path.read_bytes())
    for source in (path, str(path), stream):
        image = read_image(source)
        assert image.is_contiguous()
        assert (hwc(image) == RGB).all()
    assert not stream.closed


@pytest.mark.parametrize("kind", ["jpg", "progressive.jpg"])
def test_a_jpeg_agrees_with_opencv(tmp_path, kind):
    path = saved(tmp_path / f"a.{kind}", photograph(), **SAVED[kind])
    assert np.abs(hwc(read_image(path)) - opencv(path)).max() <= 1


@pytest.mark.parametrize("kind", ["gif", "tif", "webp", "png"])
def test_the_first_frame_of_several_is_read(tmp_path, kind):
    flat = [Image.new("RGB", (9, 7), colour) for colour in ("red", "lime", "blue")]
    path = saved(tmp_path / f"a.{kind}", flat[0], save_all=True, append_images=flat[1:], lossless=True)
    assert (hwc(read_image(path)) == [255, 0, 0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp"])
def test_exif_orientation_is_applied_as_opencv_does(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(GREY[:3, :4], np.ones((8, 8), np.uint8))
    image = hwc(read_image(saved(tmp_path / f"a.{kind}", blocks, exif=exif, quality=95)))
    expected = opencv(saved(tmp_path / "oracle.jpg", blocks, exif=exif, quality=95))
    assert image.shape == expected.shape == ((24, 32, 3) if orientation < 5 else (32, 24, 3))
    assert np.abs(image - expected).max() <= 12
    assert np.abs(image[:, ::-1] - expected).mean() > 20


def test_unreadable_exif_data_count_as_none_and_no_warning_leaks(tmp_path):
    described = Image.Exif()
    described[0x010E] = "a description that is cut short"
    for kind in ("jpg", "png", "webp"):
        plain = read_image(saved(tmp_path / f"a.{kind}", photograph()))
        for exif in (b"neither II nor MM", described.tobytes()[6:12], described.tobytes()[6:-12]):
            path = saved(tmp_path / f"a.{kind}", photograph(), exif=b"Exif\0\0" + exif)
            assert torch.equal(read_image(path), plain)
        with pytest.warns(UserWarning, match="Read"), Image.open(path) as image:
            image.getexif()


def test_many_threads_leave_the_warning_filters_as_they_were(tmp_path):
    path = saved(tmp_path / "a.png", RGB)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_image, [path] * 200))
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", stacklevel=1)


INDEXED = Image.fromarray(GREY % 4)
INDEXED.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30])
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]])[GREY % 4]
HIGH_BYTE = SHADES >> 8
CMYK = Image.fromarray(RGB).convert("CMYK")


@pytest.mark.parametrize(
    ("expected_mode", "kind", "picture", "options", "expected"),
    [
        ("1", "png", Image.fromarray(GREY > 99), {}, 255 * (GREY > 99)),
        ("L", "png", GREY, {}, GREY),
        ("LA", "png", np.dstack([GREY, 255 * (GREY % 2)]), {}, np.where(GREY % 2, GREY, 255)),
        *[("P", kind, INDEXED, {}, COLOURS) for kind in ("png", "gif", "bmp", "tif")],
        ("P", "png", INDEXED, {"transparency": 1}, recoloured(COLOURS, [0, 255, 0])),
        ("P", "gif", INDEXED, {"transparency": 3}, recoloured(COLOURS, [10, 20, 30])),
        (
            "P",
            "png",
            INDEXED,
            {"transparency": b"\xff\x33"},
            recoloured(COLOURS, [0, 255, 0], [204, 255, 204]),
        ),
        ("RGB", "png", RGB, {"transparency": tuple(RGB[0, 0].tolist())}, recoloured(RGB, RGB[0, 0])),
        ("I;16", "png", SHADES, {}, HIGH_BYTE),
        ("I;16", "tif", SHADES, {}, HIGH_BYTE),
        ("I;16B", "tif", Image.frombytes("I;16B", (17, 13), SHADES.astype(">u2").tobytes()), {}, HIGH_BYTE),
        ("I", "tif", SHADES.astype(np.int32), {}, HIGH_BYTE),
        ("F", "tif", ((GREY - 0.4) / 255).clip(0).astype(np.float32), {}, GREY),
        ("CMYK", "tif", CMYK, {}, np.asarray(CMYK.convert("RGB"))),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, expected_mode, kind, picture, options, expected):
    path = saved(tmp_path / f"a.{kind}", picture, **options)
    with Image.open(path) as image:
        assert image.mode == expected_mode
    assert (hwc(read_image(path)) == np.atleast_3d(expected)).all()


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_transparency_is_composited_over_white(tmp_path, name):
    alpha = np.arange(13 * 17, dtype=np.uint8).reshape(13, 17)
    path = saved(tmp_path / name, np.dstack([RGB, alpha]), lossless=True, exact=True)
    opacity = alpha[..., None] / 255
    assert np.abs(hwc(read_image(path)) - (RGB * opacity + 255 * (1 - opacity))).max() <= 1


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_colour_of_sixteen_bits_keeps_its_high_byte(tmp_path, kind):
    path, values = tmp_path / f"a.{kind}", np.dstack([SHADES, SHADES[::-1], SHADES[:, ::-1]])
    cv2.imwrite(str(path), values[..., ::-1])
    assert (hwc(read_image(path)) == values >> 8).all()
    assert np.abs(hwc(read_image(path)) - opencv(path)).max() <= 1


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan, np.inf, -1, 70000])
def test_values_out_of_range_are_refused_rather_than_guessed_at(tmp_path, value):
    kind, ceiling = (np.float32, 1) if isinstance(value, float) else (np.int32, 65535)
    path = saved(tmp_path / "a.tif", np.full((4, 4), value, kind))
    message = refusal(read_image, path)
    assert message.startswith(
        f"{path} holds {kind.__name__} from {value:g} to {value:g}, expected 0 to {ceiling}:"
    )


def test_an_inverted_cmyk_jpeg_as_adobe_writes_it(tmp_path):
    path = saved(
        tmp_path / "a.jpg", Image.fromarray(photograph()).convert("CMYK"), quality=100, subsampling=0
    )
    assert b"Adobe" in path.read_bytes()
    assert np.abs(hwc(read_image(path)) - photograph().astype(int)).max() <= 6
    assert np.abs(hwc(read_image(path)) - opencv(path)).max() <= 6


def test_ycbcr_and_lab(tmp_path):
    path = saved(
        tmp_path / "ycbcr.tif", Image.fromarray(photograph()).convert("YCbCr"), compression="tiff_lzw"
    )
    assert np.abs(hwc(read_image(path)) - photograph().astype(int)).max() <= 3
    lab = np.random.default_rng(1).uniform([30, -15, -15], [80, 15, 15], (13, 17, 3)).round()
    planes = np.moveaxis((lab * [2.55, 1, 1] + [0, 128, 128]).round().astype(np.uint8), -1, 0)
    path = saved(tmp_path / "lab.tif", Image.merge("LAB", [Image.fromarray(plane) for plane in planes]))
    assert np.abs(hwc(read_image(path)) - lab2rgb(lab) * 255).max() <= 6


@pytest.mark.parametrize("kind", SAVED)
def test_a_file_cut_short_is_refused_or_whole(tmp_path, kind):
    data = saved(tmp_path / f"whole.{kind}", photograph(), **SAVED[kind]).read_bytes()
    path = tmp_path / f"cut.{kind}"
    for length in range(1, int(0.95 * len(data)), len(data) // 40):
        path.write_bytes(data[:length])
        assert refusal(read_image, path).startswith(f"{path} is ")
    for length in range(len(data) - 20, len(data)):
        with suppress(FormatError):
            assert torch.equal(read_image(io.BytesIO(data[:length])), read_image(io.BytesIO(data)))


def test_hostile_bytes_end_in_one_error(tmp_path):
    rng = np.random.default_rng(2)
    refused = 0
    for kind in ("png", "jpg", "gif", "webp", "bmp"):
        data = saved(tmp_path / f"a.{kind}", photograph(), **SAVED[kind]).read_bytes()
        for _ in range(60):
            bad = bytearray(data)
            for place in rng.integers(0, 200, 4):
                bad[place] = rng.integers(256)
            try:
                read_image(io.BytesIO(bytes(bad)), max_pixels=10**6)
            except FormatError:
                refused += 1
    assert refused > 50


def test_what_is_no_image_is_refused_and_told(tmp_path):
    contents = {
        "empty.png": b"",
        "text.jpg": b"these are words\n" * 9,
        "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "pixmap.png": b"P6 1 1 255\nabc",
    }
    with zipfile.ZipFile(tmp_path / "archive.jpg", "w") as archive:
        archive.writestr("a", "b")
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in [*contents, "archive.jpg"]:
        message = refusal(read_image, tmp_path / name)
        assert message.startswith(str(tmp_path / name))
        assert message.endswith("give a JPEG, PNG, WebP, BMP, TIFF or GIF")
    assert "empty.png is empty" in refusal(read_image, tmp_path / "empty.png")
    assert "b'these ar'" in refusal(read_image, tmp_path / "text.jpg")
    assert "No such file" in refusal(read_image, tmp_path / "missing.png")
    assert "one of its images" in refusal(read_image, tmp_path)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def deny(*_):
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path / "a.png", RGB)
    monkeypatch.setattr("builtins.open", deny)
    assert f"{path} cannot be opened (Permission denied)" in refusal(read_image, path)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, monkeypatch):
    path = saved(tmp_path / "bomb.bmp", RGB)
    data = path.read_bytes()
    path.write_bytes(data[:18] + struct.pack("<ii", 5000, 4000) + data[26:])
    assert "cut short, damaged or unusual (image file is truncated" in refusal(read_image, path)
    assert "5000x4000 pixels, more than the 19,999,999" in refusal(read_image, path, max_pixels=19_999_999)
    path.write_bytes(data[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + data[26:])
    assert "Pillow's ceiling" in refusal(read_image, path)
    path.write_bytes(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 120)
    with pytest.warns(Image.DecompressionBombWarning), Image.open(path):
        pass
    assert read_image(path, max_pixels=13 * 17).shape == (3, 13, 17)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 99), *[st.integers(1, 70)] * 4)
def test_bilinear_is_opencv_within_one_level(seed, height, width, new_height, new_width):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ours = hwc(resize(torch.from_numpy(image).permute(2, 0, 1), (new_height, new_width)))
    theirs = cv2.resize(image, (new_width, new_height)).astype(int)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("size", [(128, 128), (127, 33), (64, 64), (256, 256), (301, 517), (1, 1)])
@pytest.mark.parametrize("name", ["chelsea", "rocket"])
def test_both_resizes_of_photographs(name, size):
    image = demo_photographs()[name]
    picture = hwc(image).astype(np.uint8)
    bilinear, antialias = resize(image, size), resize(image, size, "antialias")
    difference = hwc(bilinear) - cv2.resize(picture, size[::-1])
    assert np.abs(difference).max() <= 1
    assert np.abs(difference.mean()) < 0.2 or size == (1, 1)
    assert (hwc(antialias) == Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR)).all()
    smooth = F.interpolate(image[None].double(), size, mode="bilinear", antialias=True)[0]
    assert float((antialias - smooth).abs().max()) <= 1.01
    assert torch.equal(bilinear, antialias) == (size == (256, 256))


@pytest.mark.parametrize("method", ["bilinear", "antialias"])
def test_resize_keeps_an_image_of_that_size_and_refuses_nonsense(method):
    image = torch.from_numpy(RGB).permute(2, 0, 1)
    assert torch.equal(resize(image, (13, 17), method), image)
    with pytest.raises(ValueError, match="height 0, width 5"):
        resize(image, (0, 5), method)


def test_uint8_and_float_are_inverse_and_clip_and_round():
    levels = torch.arange(256, dtype=torch.uint8).expand(2, 3, 1, 256)
    assert to_float(levels).dtype == torch.float32
    assert (to_float(levels).min(), to_float(levels).max()) == (0, 1)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    values = torch.tensor([-3.0, 0.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.0, 7.0, torch.inf]).expand(3, 1, 8)
    assert to_uint8(values)[0, 0].tolist() == [0, 0, 0, 1, 255, 255, 255, 255]
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(values * torch.nan)


def test_write_png_is_read_back_by_opencv(tmp_path):
    image = torch.from_numpy(RGB).permute(2, 0, 1)
    write_png(tmp_path / "new" / "a.png", image)
    write_png(tmp_path / "b.PNG", to_float(image) * 1.2 - 0.1)
    assert (opencv(tmp_path / "new" / "a.png") == RGB).all()
    assert np.abs(opencv(tmp_path / "b.PNG") - np.clip(RGB * 1.2 - 25.5, 0, 255)).max() <= 0.501
    with pytest.raises(ValueError, match=r"`path` is .*a\.jpg: .* ends in \.png"):
        write_png(tmp_path / "a.jpg", image)


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", RGB)
    before = path.read_bytes()

    def half(self, target, **options):
        Path(target).write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(Image.Image, "save", half)
    for target in (path, tmp_path / "fresh.png"):
        with pytest.raises(OSError, match="full"):
            write_png(target, torch.zeros(3, 4, 4))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_stream_is_called_by_its_name():
    assert refusal(read_image, NamedBytes(b"", "holiday.jpg")).startswith("holiday.jpg is empty")
    assert refusal(read_image, io.BytesIO(b"")).startswith("the image stream is empty")
