"""Contours one pixel wide: strengths are kept where they are largest across the contour.

A network draws contours several pixels wide. Cut at a threshold and thinned, as the measure does
(`evaluation.contours`), a wide contour loses its place, so published results are thinned by their strengths
first (non-maximum suppression). Across a contour is the direction in which the strengths, smoothed by a tent,
bend most, down on the contour and up beside it: that of the Hessian's eigenvalue of largest size,

    angle = atan2(2 H_xy, H_xx - H_yy) / 2, and a quarter of a turn more where H_xx + H_yy < 0

A pixel stays where neither neighbour one pixel away in that direction, by interpolation, is larger.

Source: the procedure of Canny 1986 (IEEE TPAMI 8(6)) on the strengths themselves, as Dollar and Zitnick 2015
(IEEE TPAMI 37(8)) use it for contours that were learnt; their radius of the tent, 4, and their allowance of
1 % for equals.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_RADIUS = 4  # of the tent
_ALLOWANCE = 1.01  # how many times larger a pixel counts when it is compared


def thin(strength: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """The strengths, 0 wherever a neighbour across the contour is larger.

    Args:
        strength: of the contour at each pixel, 0 or above.
    """
    height, width = strength.shape
    across = _across(strength)
    rows, columns = (
        torch.arange(side, dtype=strength.dtype, device=strength.device) for side in (height, width)
    )
    neighbours = [
        _at(strength, rows[:, None] + side * across.sin(), columns + side * across.cos()) for side in (1, -1)
    ]
    return strength * (strength * _ALLOWANCE >= torch.maximum(*neighbours))


def _across(strength: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """The angle of the direction across the contour, from that of the columns to that of the rows."""
    rise = torch.arange(1, _RADIUS + 2, dtype=strength.dtype, device=strength.device)
    tent = torch.cat([rise, rise[:-1].flip(0)])
    tent = tent / tent.sum()
    # The border goes on, so that the end of the picture is no contour.
    wide = F.pad(strength[None, None], (_RADIUS,) * 4, mode="replicate")
    smooth = F.conv2d(F.conv2d(wide, tent.view(1, 1, 1, -1)), tent.view(1, 1, -1, 1))[0, 0]
    down, right = _gradients(smooth)
    (yy, yx), (_, xx) = _gradients(down), _gradients(right)
    return (torch.atan2(2 * yx, xx - yy) + torch.pi * (xx + yy < 0)) / 2


def _gradients(plane: Float[Tensor, "h w"]) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Half the difference of the neighbours, down and to the right; planes go on at their border."""
    y = F.pad(plane[None, None], (0, 0, 1, 1), mode="replicate")[0, 0]
    x = F.pad(plane[None, None], (1, 1, 0, 0), mode="replicate")[0, 0]
    return (y[2:] - y[:-2]) / 2, (x[:, 2:] - x[:, :-2]) / 2


def _at(
    plane: Float[Tensor, "h w"], rows: Float[Tensor, "h w"], columns: Float[Tensor, "h w"]
) -> Float[Tensor, "h w"]:
    """Values between pixels, by interpolation; beyond the border that of the border."""
    height, width = plane.shape
    grid = torch.stack([columns / max(width - 1, 1), rows / max(height - 1, 1)], -1)[None] * 2 - 1
    return F.grid_sample(plane[None, None], grid, "bilinear", "border", align_corners=True)[0, 0]
