"""Split inference that sends pooling indices: a device encodes, a server decodes.

The device believes that it sends little of the picture: a few features, and positions "that are only
indices". An audit of what it sends says how much of the picture that is.

    maxtunnel audit examples/split_inference.py:build --data photographs --out audit
    python examples/split_inference.py     # what crosses the wire, in bits
"""

import torch
from torch import nn

import maxtunnel


class Device(nn.Module):
    """What runs on the device; everything that it returns crosses the wire."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.squeeze = nn.Conv2d(16, 2, 1)
        self.pool = nn.MaxPool2d(2, return_indices=True)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Features, (n, 2, h/4, w/4), and the indices that the server unpools with."""
        x, first = self.pool(self.first(images - 0.45))
        x, second = self.pool(self.second(x))
        return self.squeeze(x), [first, second]


def build() -> Device:
    """A device with random weights, the same every time."""
    torch.manual_seed(0)
    return Device().eval()


if __name__ == "__main__":
    device, images = build(), torch.rand(1, 3, 128, 128)
    features, _ = device(images)
    code = maxtunnel.capture(device, images)
    print(f"features: {32 * features[0].numel():,} bits; indices: {code.nominal_bits:,.0f} bits")
    for level in code.levels:
        print(f"  {level.name}: {tuple(level.codes.shape[1:])}, {level.window}")
