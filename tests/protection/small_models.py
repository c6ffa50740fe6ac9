"""Small models and photographs for the tests of this folder."""

import torch
from torch import nn

from maxtunnel.auditing import Target
from maxtunnel.data.images import resize
from maxtunnel.data.photographs import demo_photographs


def photographs(count=24, side=16, seed=0):
    """Crops of the photographs in the package, uint8."""
    generator = torch.Generator().manual_seed(seed)
    found, images = [], list(demo_photographs().values())
    for number in range(count):
        top, left = torch.randint(0, 256 - 96, (2,), generator=generator).tolist()
        found.append(resize(images[number % 4][:, top : top + 96, left : left + 96], (side, side)))
    return torch.stack(found)


class Unpools(nn.Module):
    """Two levels down and up again by its own indices, so that what it returns depends on them."""

    def __init__(self, width=4):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(width), nn.Conv2d(width, 2, 3, padding=1)
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x):
        x, fine = self.pool(self.norm(self.first(x - 0.45)))
        x, coarse = self.pool(self.second(x))
        return self.head(self.unpool(self.unpool(x, coarse), fine))


def build(width=4):
    torch.manual_seed(0)
    return Unpools(width).eval()


def target(model=None, levels=None):
    return Target(build() if model is None else model, "m", levels=levels)
