"""A U-Net with functional pooling. Its skip connections carry features, so it needs no indices at all.

    maxtunnel audit examples/unet.py:build --data photographs --out audit

Source: Ronneberger, Fischer and Brox, U-Net.
"""

import torch
from torch import nn
from torch.nn import functional as F


class UNet(nn.Module):
    """Three levels; features of each are joined to those that come back up."""

    def __init__(self, widths: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        a, b, c = widths
        self.first, self.second, self.bottom = block(3, a), block(a, b), block(b, c)
        self.second_up, self.first_up = block(b + c, b), block(a + b, a)
        self.head = nn.Conv2d(a, classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """A logit for each class and pixel; sides are multiples of 4."""
        first = self.first(images)
        second = self.second(F.max_pool2d(first, 2))
        x = self.bottom(F.max_pool2d(second, 2))
        x = self.second_up(torch.cat([second, F.interpolate(x, scale_factor=2)], dim=1))
        x = self.first_up(torch.cat([first, F.interpolate(x, scale_factor=2)], dim=1))
        return self.head(x)


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions with ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )


def build() -> UNet:
    """A network with random weights, the same every time; load your own here."""
    torch.manual_seed(0)
    return UNet((16, 32, 64), classes=4).eval()
