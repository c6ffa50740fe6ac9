"""Grey images whose local contrast is normalised: locally of mean 0, and of about deviation 1.

What is normalised is the image itself, before it is put on a square canvas of zeros, so that its border is no
edge.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.data.images import resize

SPREAD = 2.5  # deviation of the Gaussian that is the neighbourhood, in pixels
_REACH = 7  # pixels to either side
_LEAST = 1 / 255  # less deviation than a level of grey is none


def to_grey(pixels: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Brightness in [0, 1], by the weights of ITU-R BT.601."""
    weights = torch.tensor([0.299, 0.587, 0.114])
    return (pixels.float() * weights[:, None, None]).sum(0) / 255


def normalise_contrast(grey: Float[Tensor, "h w"], spread: float = SPREAD) -> Float[Tensor, "h w"]:
    """The local mean taken away, then divided by the local deviation, or its mean where it is less.

    Args:
        grey: an image.
        spread: deviation of the Gaussian of the neighbourhood, in pixels.

    Returns:
        All zeros for an image of one brightness.
    """
    centred = grey - _blur(grey, spread)
    deviation = _blur(centred.square(), spread).sqrt()
    return centred / deviation.clamp_min(max(float(deviation.mean()), _LEAST))


def fit_square(pixels: UInt8[Tensor, "3 h w"], side: int) -> Float[Tensor, "1 side side"]:
    """A photograph in grey, its contrast normalised, its longer side `side`, in the middle of zeros."""
    height, width = pixels.shape[1:]
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    found = normalise_contrast(to_grey(resize(pixels, size, "antialias")))
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    return F.pad(found, (left, side - size[1] - left, top, side - size[0] - top))[None]


def _blur(values: Float[Tensor, "h w"], spread: float) -> Float[Tensor, "h w"]:
    """The mean by a Gaussian of what lies inside the image."""
    place = torch.arange(-_REACH, _REACH + 1, dtype=values.dtype)
    weights = torch.exp(-place.square() / (2 * spread**2))
    both = torch.stack([values, torch.ones_like(values)])[:, None]
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        kernel = weights.view(shape)
        both = F.conv2d(both, kernel, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2))
    return (both[0] / both[1])[0]
