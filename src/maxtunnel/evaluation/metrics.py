"""How close a reconstruction comes: squared error as the paper counts it, PSNR and SSIM."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

_WINDOW = 11  # pixels a side, of SSIM


def measure(outputs: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, "3 n"]:
    """Mean squared error (not clipped), PSNR in dB and SSIM (both clipped) of each image."""
    clipped = outputs.clamp(0, 1)
    mse = (outputs - images).double().square().mean(dim=(1, 2, 3))
    error = (clipped - images).double().square().mean(dim=(1, 2, 3))
    psnr = -10 * error.clamp(min=1e-10).log10()
    return torch.stack([mse, psnr, _ssim(clipped, images)])


def rmse(outputs: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]) -> float:
    """Root mean squared error over all images, channels and pixels."""
    return math.sqrt((outputs - images).double().square().mean())


def _ssim(outputs: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
    """SSIM over the windows that lie whole in the image, as in Wang et al.; NaN where none fits."""
    height, width = images.shape[-2:]
    if min(height, width) < _WINDOW:
        return torch.full((len(images),), math.nan, dtype=torch.float64, device=images.device)
    down, right = _gaussian(height, images.device), _gaussian(width, images.device).mT
    # The window is separable, so a mean over windows is two products with banded matrices: 4 times
    # quicker on a CPU than torchmetrics' 11x11 convolution, and equal to it to 1e-6.
    x, y, xx, yy, xy = (down @ z @ right for z in (outputs, images, outputs**2, images**2, outputs * images))
    spread = (xx - x**2).clamp(min=0) + (yy - y**2).clamp(min=0)
    likeness = (2 * x * y + 0.01**2) * (2 * (xy - x * y) + 0.03**2)
    return (likeness / ((x**2 + y**2 + 0.01**2) * (spread + 0.03**2))).double().mean(dim=(1, 2, 3))


@lru_cache(maxsize=8)
def _gaussian(length: int, device: torch.device) -> Float[Tensor, "windows length"]:
    """Row i weighs the pixels of the window that starts at pixel i of a line."""
    offset = torch.arange(length, device=device) - torch.arange(length - _WINDOW + 1, device=device)[:, None]
    weights = torch.exp(-0.5 * ((offset - _WINDOW // 2) / 1.5) ** 2)
    weights = weights * ((offset >= 0) & (offset < _WINDOW))
    return weights / weights.sum(1, keepdim=True)
