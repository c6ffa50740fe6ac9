"""A VGG-style classifier with random weights and the filters of 16-16-16.

    maxtunnel audit examples/vgg.py:build --data photographs --out audit

Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition.
"""

import math

import torch
from torch import nn


class VGG(nn.Module):
    """Blocks of conv3x3-ReLU, conv3x3-ReLU, max pooling; then the mean over the plane and a linear layer."""

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *widths), widths, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits from photographs in [0, 1]."""
        return self.head(self.features(images - 0.45).mean((2, 3)))


def build(widths: tuple[int, ...] = (16, 16, 16), classes: int = 10, seed: int = 0) -> VGG:
    """A network with the initial weights of the paper: uniform in +-sqrt(3 / fan-in), biases 0."""
    model, generator = VGG(widths, classes), torch.Generator().manual_seed(seed)
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            bound = math.sqrt(3 / (9 * layer.in_channels))
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)
    return model.eval()
