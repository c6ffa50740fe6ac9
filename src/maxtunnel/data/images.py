"""Image files to tensors and back: decoding, orientation, colour, the two resizes.

In memory an image is RGB, channels first: uint8, or float32 in [0,1].
"""

import io
import os
import struct
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.support.files import FormatError, replacing

Stream = io.BytesIO | io.BufferedReader
Resize = Literal["bilinear", "antialias"]
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif")
DEMO = ("astronaut", "rocket", "chelsea", "coffee")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path | Stream, *, max_pixels: int = 200_000_000) -> UInt8[Tensor, "3 h w"]:
    """The picture in a JPEG, PNG, WebP, BMP, TIFF or GIF file, upright (EXIF) and as RGB.

    The content decides, not the suffix. Of several frames or pages the first is taken. Transparency
    is composited over white. 16-bit values keep their high byte; 32-bit integers must lie in
    0..65535 and count as 16-bit; floating-point values must lie in 0..1. Colour profiles are not
    applied, and EXIF data that cannot be read count as none.

    Args:
        path: the file, or a stream of its bytes (read from the start, left open).
        max_pixels: width x height above which the file is refused before it is decoded. Pillow's
            own ceiling, 2 x `PIL.Image.MAX_IMAGE_PIXELS`, holds as well.

    Raises:
        FormatError: the file is missing, of another format, too large, cut short or damaged.
    """
    if not isinstance(path, str | Path):
        return _decode(path, str(getattr(path, "name", "the image stream")), max_pixels)
    try:
        with open(path, "rb") as file:
            return _decode(file, str(path), max_pixels)
    except OSError as error:
        hint = "an image file that may be read" if not Path(path).is_dir() else "one of its images"
        raise FormatError(f"{path} cannot be opened ({error.strerror}): give {hint}") from None


def write_png(path: str | Path, image: Float[Tensor, "3 h w"] | UInt8[Tensor, "3 h w"]) -> None:
    """Write an 8-bit RGB PNG in one step: after an error an older file is still whole.

    Args:
        path: ends in .png; missing folders are made.
        image: uint8, or floating-point in [0,1], clipped and rounded to the nearest of 256 levels.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path} does not end in .png, and PNG is what is written: rename it")
    picture = _to_pillow(image if image.dtype == torch.uint8 else to_uint8(image))
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def to_float(image: UInt8[Tensor, "*n 3 h w"]) -> Float32[Tensor, "*n 3 h w"]:
    """0..255 as 0..1."""
    return image.to(torch.float32) / 255


def to_uint8(image: Float[Tensor, "*n 3 h w"]) -> UInt8[Tensor, "*n 3 h w"]:
    """0..1 as 0..255, clipped and rounded to the nearest level; ValueError for NaN."""
    if bool(image.isnan().any()):
        raise ValueError("the image holds NaN, which is no grey level: look where it came from")
    return (image.to(torch.float32).clamp(0, 1) * 255).round().to(torch.uint8)


def resize(
    image: UInt8[Tensor, "3 h w"], size: tuple[int, int], method: Resize = "bilinear"
) -> UInt8[Tensor, "3 H W"]:
    """The image warped to `size`, its aspect ratio not kept; itself if it has that size.

    Args:
        size: (height, width) in pixels.
        method: `bilinear` mixes the four nearest pixels, however small the result: OpenCV's default
            and the paper's, equal to `cv2.resize` within one level. `antialias` averages over the
            area that a new pixel covers: Pillow's BILINEAR.
    """
    if min(size) < 1:
        raise ValueError(f"an image cannot be resized to {size[0]}x{size[1]}: give at least 1x1")
    if image.shape[1:] == size:
        return image
    if method == "bilinear":
        # In float32: torch's uint8 kernel is twice as fast, but rounds twice and so brightens.
        return F.interpolate(image[None].float(), size, mode="bilinear")[0].round().to(torch.uint8)
    if method == "antialias":
        return _to_tensor(_to_pillow(image).resize(size[::-1], Image.Resampling.BILINEAR))
    raise ValueError(f"the resize method is {method!r}: expected 'bilinear' or 'antialias'")


def list_images(folder: str | Path) -> list[Path]:
    """The image files in a folder and below it, by suffix (any case), sorted by relative path.

    Hidden files and folders (.name) are passed over and links to folders not followed.

    Raises:
        FormatError: no such folder, a folder that cannot be read, or no image file in it.
    """
    folder = Path(folder)
    try:
        files = _walk(folder)
    except OSError as error:
        raise FormatError(f"{error.filename} cannot be read ({error.strerror}): give a folder") from None
    images = [file for file in files if file.suffix.lower().lstrip(".") in SUFFIXES]
    if not images:
        raise FormatError(
            f"{folder} holds no image; other files in it: {len(files)}; images end in {', '.join(SUFFIXES)}"
        )
    return sorted(images, key=lambda file: file.relative_to(folder).as_posix())


@dataclass(frozen=True, eq=False)
class Photographs:
    """Images of one size from files, and the files that could not be read.

    Attributes:
        pixels: one image for each of `paths`, in that order.
        paths: the files read.
        skipped: the files not read, each with the reason in one line.
    """

    pixels: UInt8[Tensor, "n 3 h w"]
    paths: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]


def read_folder(
    folder: str | Path | Sequence[str | Path],
    size: int | None,
    method: Resize = "bilinear",
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> Photographs:
    """The images of a folder (as `list_images` lists them) or of a list of files, made square.

    Args:
        folder: the folder, or the files themselves.
        size: side of the square in pixels; None leaves the images as they are, all of one size.
        method: how to resize.
        limit: take this many, readable or not, evenly spaced over the sorted list, so that every class
            folder has its share.
        on_progress: called with the files done and their total, in the calling thread.
        workers: decoding threads; by default a few more than there are cores.

    Raises:
        FormatError: not one file can be read.
        ValueError: `size` is None and two images differ in size.
    """
    files = list_images(folder) if isinstance(folder, str | Path) else [Path(f) for f in folder]
    paths = _evenly_spaced(files, limit)

    def read(path: Path) -> Tensor | str:
        try:
            image = read_image(path)
        except FormatError as error:
            return str(error)
        return image if size is None else resize(image, (size, size), method)

    pixels = torch.empty(0, 3, 0, 0, dtype=torch.uint8)
    taken: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        for done, (path, image) in enumerate(zip(paths, pool.map(read, paths), strict=True), 1):
            if isinstance(image, str):
                skipped.append((path, image))
            else:
                if not taken:
                    pixels = image.new_empty(len(paths), *image.shape)
                if image.shape != pixels.shape[1:]:
                    sizes = f"{_size(image)} but the images before it {_size(pixels)}"
                    raise ValueError(f"{path} is {sizes}: give a size for all")
                pixels[len(taken)] = image
                taken.append(path)
            if on_progress is not None:
                on_progress(done, len(paths))
    if not taken:
        first = f"; the first: {skipped[0][1]}" if skipped else ""
        raise FormatError(f"no file of {len(paths)} could be read as an image{first}")
    return Photographs(pixels[: len(taken)], tuple(taken), tuple(skipped))


def mean_image(pixels: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "3 h w"]:
    """The mean over all images, in [0,1]; exact until it is rounded to float32."""
    if not len(pixels):
        raise ValueError("the mean of no images is not defined: give at least one")
    total = pixels.new_zeros(pixels.shape[1:], dtype=torch.int64)
    # uint8 summed as int64 is first copied, eight times as large: 2^22 values at a time are 32 MB.
    step = max(1, 2**22 // total.numel())
    for start in range(0, len(pixels), step):
        total += pixels[start : start + step].sum(0, dtype=torch.int64)
    return (total.to(torch.float64) / (255 * len(pixels))).to(torch.float32)


def demo_photographs() -> dict[str, UInt8[Tensor, "3 h w"]]:
    """The four photographs that ship with the package, 256x256 (photographs/LICENSES.md)."""
    folder = Path(__file__).with_name("photographs")
    return {name: read_image(folder / f"{name}.jpg") for name in DEMO}


class _Quiet:
    """Silences Pillow's warnings, and no others, while at least one thread is inside.

    Threads that overlap in `warnings.catch_warnings` restore each other's filters; here only the
    first one in and the last one out touch them.
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
    try:
        with _quiet, Image.open(file, formats=FORMATS) as image:
            _check_size(image, name, max_pixels)
            return _to_tensor(_upright(_rgb(image, name), image))
    except FormatError:
        raise
    except UnidentifiedImageError:
        raise FormatError(f"{name} {_start(file)}: give a JPEG, PNG, WebP, BMP, TIFF or GIF") from None
    except Image.DecompressionBombError:
        ceiling = f"{2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, Pillow's ceiling"
        raise FormatError(f"{name} has more than {ceiling}: shrink the image") from None
    # Pillow's decoders answer damage with nearly any exception: SyntaxError, struct.error, ...
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(f"{name} is cut short, damaged or unusual ({reason}): get it again") from error


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        size = f"{image.width}x{image.height} pixels, more than the {max_pixels:,} that are allowed here"
        raise FormatError(f"{name} has {size}: shrink the image")


def _start(file: Stream) -> str:
    file.seek(0)
    start = file.read(8)
    return f"is no image that can be read (it starts with {start!r})" if start else "is empty"


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image, name)
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image)
    ceiling = 1 if image.mode == "F" else 65535
    if not (values.min() >= 0 and values.max() <= ceiling):
        found = f"{values.dtype} from {values.min():g} to {values.max():g}"
        raise FormatError(f"{name} holds {found}, expected 0 to {ceiling}: save it as 8-bit")
    grey = np.rint(values * 255) if image.mode == "F" else values >> 8
    return Image.fromarray(grey.astype(np.uint8))


def _upright(rgb: Image.Image, original: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would write the EXIF data anew, and fails where they hold odd values.
    try:
        turn = _UPRIGHT.get(original.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, struct.error):
        return rgb
    return rgb if turn is None else rgb.transpose(turn)


def _to_tensor(image: Image.Image) -> UInt8[Tensor, "3 h w"]:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _to_pillow(image: UInt8[Tensor, "3 h w"]) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())


def _walk(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise error

    found = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return found


def _evenly_spaced(files: list[Path], limit: int | None) -> list[Path]:
    if limit is not None and limit < 1:
        raise ValueError(f"the limit is {limit} files: give at least 1, or None for all")
    count = len(files) if limit is None else min(limit, len(files))
    return [files[index * len(files) // count] for index in range(count)]


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}x{image.shape[-2]}"
