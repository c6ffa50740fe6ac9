"""Small pictures in memory and in files, and what the tests of images and of folders share."""

import cv2
import numpy as np
import pytest
from PIL import Image

from maxtunnel.data.photographs import demo_photographs
from maxtunnel.support.files import FormatError

RGB = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def hwc(image):
    """As integers, channels last."""
    return image.permute(1, 2, 0).numpy().astype(int)


def photograph(size=(60, 80)):
    """(height, width, 3) of a natural image."""
    return cv2.resize(hwc(demo_photographs()["chelsea"]).astype(np.uint8), size[::-1])


def saved(path, picture, **options):
    """The path, with the picture written to it."""
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **options)
    return path


def refusal(call, *args, **options):
    """The message of the FormatError that `call` ends in, checked to be one line."""
    with pytest.raises(FormatError) as caught:
        call(*args, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)
