"""Contours as pictures: dark lines on white, or over the photograph."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_uint8

_COLOUR = (230, 60, 0)


def lines(strength: Float[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    """Strengths in [0, 1] as lines on white, the stronger the darker."""
    return to_uint8((1 - strength).expand(3, -1, -1).float())


def over(strength: Float[Tensor, "h w"], pixels: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 h w"]:
    """Strengths in [0, 1] as red lines over the photograph, which is made pale."""
    pale = 0.5 * pixels.float() / 255 + 0.5
    colour = torch.tensor(_COLOUR).view(3, 1, 1) / 255
    return to_uint8(torch.lerp(pale, colour.expand_as(pale), strength.float()))
