"""The mean image of a data set."""

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor


def mean_image(pixels: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "3 h w"]:
    """The mean over all photographs, in [0, 1]; exact until it is rounded to float32."""
    if not len(pixels):
        raise ValueError("`pixels` holds no images, which have no mean: give at least one")
    total = pixels.new_zeros(pixels.shape[1:], dtype=torch.int64)
    # uint8 summed as int64 is first copied, eight times as large: 2^22 values at a time are 32 MB.
    step = max(1, 2**22 // total.numel())
    for start in range(0, len(pixels), step):
        total += pixels[start : start + step].sum(0, dtype=torch.int64)
    return (total.to(torch.float64) / (255 * len(pixels))).to(torch.float32)
