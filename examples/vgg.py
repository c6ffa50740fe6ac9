"""A VGG-style classifier with random weights and the filters of 16-16-16; and VGG16 as it is.

    maxtunnel audit examples/vgg.py:build --data photographs --out audit
    maxtunnel audit examples/vgg.py:vgg16 --data photographs --size 224 --out audit

Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition.
"""

import math

import torch
from torch import nn


class VGG(nn.Module):
    """Blocks of so many conv3x3-ReLU, then max pooling; the mean over the plane and a linear layer."""

    def __init__(self, widths: tuple[int, ...], classes: int, convolutions: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, count in zip(widths, convolutions, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits from photographs in [0, 1]."""
        return self.head(self.features(images - 0.45).mean((2, 3)))


def build(
    widths: tuple[int, ...] = (16, 16, 16),
    classes: int = 10,
    seed: int = 0,
    convolutions: tuple[int, ...] = (),
) -> VGG:
    """A network with the initial weights of the paper: uniform in +-sqrt(3 / fan-in), biases 0."""
    model = VGG(widths, classes, convolutions or (2,) * len(widths))
    generator = torch.Generator().manual_seed(seed)
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            bound = math.sqrt(3 / (9 * layer.in_channels))
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)
    return model.eval()


def vgg16(seed: int = 0) -> VGG:
    """The convolutions of VGG16; `model.features` takes a state dict of torchvision's `features`."""
    return build((64, 128, 256, 512, 512), 1000, seed, (2, 2, 3, 3, 3))
