"""Image files to tensors and back: decoding, orientation, colour, encoding, and the two ways to resize.

In memory everything is RGB with channels first: pixels are uint8, an image is float32 in [0, 1].
"""

import io
import os
import struct
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.colours import to_rgb
from maxtunnel.data.formats import START, Stream, describe, readable
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.places import Place

# EXIF orientations and what turns each upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class NamedBytes(io.BytesIO):
    """A stream of an image file's bytes that error messages call by its name."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def read_image(path: str | Path | Place | Stream, *, max_pixels: int = 200_000_000) -> UInt8[Tensor, "3 h w"]:
    """The pixels of a JPEG, PNG, WebP, BMP, TIFF, GIF or PGM file, upright (EXIF) and as RGB.

    So are those of AVIF, if this Pillow reads it, and of HEIC, with the `heif` extra.
    The content decides, not the suffix. Of several frames or pages the first is taken. Transparent
    pixels are composited over white. 16-bit values keep their high byte; 32-bit integers must lie in
    0..65535 and count as 16-bit; floating-point values must lie in 0..1. Colour profiles are not
    applied, and EXIF data that cannot be read are ignored.

    Args:
        path: the file, or one at an address, or a stream of its bytes, which is read from the start and left
            open.
        max_pixels: width x height above which the file is refused before it is decoded. Pillow's
            own ceiling, 2 x `PIL.Image.MAX_IMAGE_PIXELS`, applies as well.

    Raises:
        FormatError: the file is missing, of another format, too large, cut short or damaged.
    """
    if isinstance(path, Place):
        path = NamedBytes(path.read_bytes(), str(path))
    if not isinstance(path, str | Path):
        return _decode(path, str(getattr(path, "name", "the image stream")), max_pixels)
    try:
        with open(path, "rb") as file:
            return _decode(file, str(path), max_pixels)
    except OSError as error:
        if os.path.islink(path) and not os.path.exists(path):
            raise FormatError(f"{path} {dangling(path)}") from None
        hint = "an image file that may be read" if not Path(path).is_dir() else "one of its images"
        raise FormatError(f"{path} cannot be opened ({error.strerror}): give {hint}") from None


def dangling(link: str | Path) -> str:
    """What is wrong with a link that leads nowhere: the rest of a sentence about it."""
    return f"is a link to {os.readlink(link)}, which cannot be found: mend or delete it"


def write_png(
    path: str | Path,
    image: Float[Tensor, "3 h w"] | UInt8[Tensor, "3 h w"],
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write an 8-bit RGB PNG in one step: if that fails, an older file of this name stays whole.

    Args:
        path: ends in .png; missing folders are made.
        image: uint8, or floating-point in [0, 1], clipped and rounded to the nearest of 256 levels.
        notes: texts that the file holds besides, by their keywords.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"`path` is {path}: only PNG is written, so give a name that ends in .png")
    picture = _to_pillow(image if image.dtype == torch.uint8 else to_uint8(image))
    texts = PngInfo()
    for keyword, text in (notes or {}).items():
        texts.add_text(keyword, text)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=texts)


@dataclass(frozen=True)
class Missing:
    """An image that a source names and does not hold.

    Attributes:
        name: what the source calls it.
        reason: the rest of a sentence that begins with its name.
    """

    name: str
    reason: str


def to_float(pixels: UInt8[Tensor, "*n c h w"]) -> Float32[Tensor, "*n c h w"]:
    """0..255 as 0..1."""
    return pixels.to(torch.float32) / 255


def to_uint8(image: Float[Tensor, "*n 3 h w"]) -> UInt8[Tensor, "*n 3 h w"]:
    """0..1 as 0..255, clipped and rounded to the nearest level; ValueError for NaN."""
    if bool(image.isnan().any()):
        raise ValueError("`image` holds NaN, which is no grey level: look where it came from")
    return (image.to(torch.float32).clamp(0, 1) * 255).round().to(torch.uint8)


def resize(
    pixels: UInt8[Tensor, "3 h w"], size: tuple[int, int], method: Resize = "bilinear"
) -> UInt8[Tensor, "3 H W"]:
    """The pixels warped to `size`, the aspect ratio not kept; unchanged if they have that size.

    Args:
        size: (height, width) in pixels.
        method: `bilinear` mixes the four nearest pixels, however small the result: OpenCV's default
            and the paper's, equal to `cv2.resize` within one level. `antialias` averages over the
            area that a new pixel covers: Pillow's BILINEAR.
    """
    if min(size) < 1:
        raise ValueError(f"`size` is height {size[0]}, width {size[1]}: expected at least 1 pixel each")
    if pixels.shape[1:] == size:
        return pixels
    if method == "bilinear":
        # In float32: torch's uint8 kernel is twice as fast, but rounds twice and so brightens.
        return F.interpolate(pixels[None].float(), size, mode="bilinear")[0].round().to(torch.uint8)
    if method == "antialias":
        return _to_tensor(_to_pillow(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    raise ValueError(f"`method` is {method!r}: expected 'bilinear' or 'antialias'")


def shrink(pixels: UInt8[Tensor, "3 _ _"], side: int) -> UInt8[Tensor, "3 _ _"]:
    """The photograph made smaller by averaging over areas: no side over `side` pixels, proportions kept."""
    height, width = pixels.shape[-2:]
    factor = min(1.0, side / max(height, width))
    return resize(pixels, (max(1, round(height * factor)), max(1, round(width * factor))), "antialias")


class _Quiet:
    """Silences Pillow's warnings, and no others, while at least one thread is inside.

    Threads that overlap in `warnings.catch_warnings` restore each other's filters; here only the
    first thread to enter and the last to leave touch them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()


def _decode(file: Stream, name: str, max_pixels: int) -> UInt8[Tensor, "3 h w"]:
    file.seek(0)
    start = file.read(START)
    formats = readable(start)
    if not formats:
        raise FormatError(f"{name} {describe(start)}")
    try:
        with _quiet, Image.open(file, formats=formats) as image:
            _check_size(image, name, max_pixels)
            return _to_tensor(_upright(to_rgb(image, file, name), image))
    except FormatError:
        raise
    except UnidentifiedImageError:
        reason = "is cut short or damaged: get it again" if len(formats) == 1 else describe(start)
        raise FormatError(f"{name} {reason}") from None
    except Image.DecompressionBombError:
        ceiling = f"{2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, Pillow's ceiling"
        raise FormatError(f"{name} has more than {ceiling}: shrink the image") from None
    # Pillow's decoders answer damage with nearly any exception: SyntaxError, struct.error, ...
    except Exception as error:
        reason = one_line(error)
        raise FormatError(f"{name} is cut short, damaged or unusual ({reason}): get it again") from error


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        size = f"{image.width}x{image.height} pixels, more than the {max_pixels:,} that are allowed here"
        raise FormatError(f"{name} has {size}: shrink the image")


def _upright(rgb: Image.Image, original: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would write the EXIF data anew, and fails where they hold odd values.
    try:
        turn = _UPRIGHT.get(original.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, struct.error):
        return rgb
    return rgb if turn is None else rgb.transpose(turn)


def _to_tensor(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _to_pillow(pixels: UInt8[Tensor, "3 h w"]) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
