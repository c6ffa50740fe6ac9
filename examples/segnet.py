"""A SegNet-style segmentation network: its decoder unpools with the encoder's indices.

The indices never leave the process here, but they tunnel past the bottleneck: what the decoder draws may come
from them and not from the features. `agreement` measures what mitigations cost such a network.

    maxtunnel audit examples/segnet.py:build --data photographs --mitigations 10 \
        --metric examples/segnet.py:agreement --out audit

Source: Badrinarayanan, Kendall and Cipolla, SegNet.
"""

import torch
from torch import nn

from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs


class SegNet(nn.Module):
    """Three levels of convolution and pooling, mirrored with unpooling."""

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(block(a, b) for a, b in zip(inputs, widths, strict=True))
        outputs = (*reversed(widths[:-1]), classes)
        self.up = nn.ModuleList(block(a, b) for a, b in zip(reversed(widths), outputs, strict=True))
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """A logit for each class and pixel."""
        x, indices, sizes = images - 0.45, [], []
        for down in self.down:
            x = down(x)
            sizes.append(x.shape[-2:])
            x, where = self.pool(x)
            indices.append(where)
        for up, where, size in zip(self.up, reversed(indices), reversed(sizes), strict=True):
            x = up(self.unpool(x, where, output_size=size))
        return x


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def build() -> SegNet:
    """A network with random weights, the same every time; load your own here."""
    torch.manual_seed(0)
    return SegNet((16, 32, 32), classes=8).eval()


def agreement(model: nn.Module) -> float:
    """Share of the pixels of four photographs that keep the class they get without a mitigation."""
    images = to_float(torch.stack(list(demo_photographs().values())))
    return float((model(images).argmax(1) == build()(images).argmax(1)).double().mean())
