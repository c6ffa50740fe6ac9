"""Images of every mode as 8-bit RGB, also where Pillow leaves depth or transparency to its caller."""

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageFile

from maxtunnel.data.formats import Stream
from maxtunnel.support.files import FormatError

_BITS, _PHOTOMETRIC = 258, 262  # tags of TIFF
_WHITE_IS_ZERO = 0
# Pillow spreads the grey levels of a PNG over 0..255, but not the level that is transparent.
_SPREAD = {"L;2": 85, "L;4": 17}


def to_rgb(image: ImageFile.ImageFile, file: Stream, name: str) -> Image.Image:
    """The image as RGB, its transparent pixels composited over white.

    Args:
        image: as Pillow opened it, not yet decoded.
        file: what it was opened from.
        name: of the file, for the error message.

    Raises:
        FormatError: 32-bit or floating-point values out of range.
    """
    coding = str(image.tile[0].args) if image.format == "PNG" and image.tile else ""
    picture: Image.Image = image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        picture = _eight_bits(image, name)
    elif coding == "RGB;16B" and "transparency" in image.info:
        picture = _with_opacity(image, ~_is_colour(image, file))
    elif coding in _SPREAD and "transparency" in image.info:
        image.info["transparency"] *= _SPREAD[coding]
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Grey of more than 8 bits as 8-bit grey, with its transparent level where it has one."""
    tags, values = getattr(image, "tag_v2", {}), np.asarray(image)
    twelve = tags.get(_BITS) == (12,)
    ceiling = 1 if image.mode == "F" else 4095 if twelve else 65535
    if not (values.min() >= 0 and values.max() <= ceiling):
        found = f"{values.dtype} from {values.min():g} to {values.max():g}"
        raise FormatError(f"{name} holds {found}, expected 0 to {ceiling}: save it as 8-bit")
    # Pillow turns white-is-zero round for 8 bits and fewer alone.
    light = ceiling - values if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else values
    grey = np.rint(light * 255) if image.mode == "F" else light >> (4 if twelve else 8)
    picture = Image.fromarray(grey.astype(np.uint8))
    level = image.info.get("transparency")
    return picture if level is None else _with_opacity(picture, values != level)


def _is_colour(image: ImageFile.ImageFile, file: Stream) -> Bool[np.ndarray, "h w"]:
    """Which pixels of a 16-bit RGB PNG have, in all 16 bits, the colour that stands for transparent."""
    high = np.asarray(image).astype(np.uint16)
    with Image.open(file, formats=("PNG",)) as again:
        # Pillow keeps the first byte of each value; read in the other byte order, that is the low one.
        again.tile = [again.tile[0]._replace(args="RGB;16L")]
        low = np.asarray(again)
    return (high * 256 + low == image.info["transparency"]).all(-1)


def _with_opacity(picture: Image.Image, opaque: Bool[np.ndarray, "h w"]) -> Image.Image:
    planes = [*picture.split(), Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))]
    return Image.merge(f"{picture.mode}A", planes)
