"""Small models, small photographs and one small audit, for the tests of this folder."""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from maxtunnel.auditing import AuditConfig, audit
from maxtunnel.data.images import resize
from maxtunnel.data.photographs import demo_photographs


def photographs(count=48, side=32, seed=0):
    """Crops of the photographs in the package."""
    random = np.random.default_rng(seed)
    found, images = [], list(demo_photographs().values())
    for number in range(count):
        top, left = random.integers(0, 256 - 96, 2)
        found.append(resize(images[number % 4][:, top : top + 96, left : left + 96], (side, side)))
    return torch.stack(found)


def convolutions(*widths):
    """Convolution, ReLU and pooling for each width; the poolings are named 2, 5, 8, ..."""
    layers, channels = [], 3
    torch.manual_seed(0)
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers)


class Pools(nn.Module):
    """Pools three times, and returns the values and the indices of each time."""

    def forward(self, x):
        found = []
        for _ in range(3):
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            found.append(indices)
        return x, found


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@cache
def small_result():
    """An audit of two levels with all that there is, on photographs of 24x24 pixels; by the faster reader."""
    config = AuditConfig(
        steps=120, least_steps=30, mitigations=1.0, images=40, width=12, decoder="mirrored", refine=10
    )
    return audit(
        convolutions(6, 6), photographs(160, 24), holdout=photographs(110, 24, seed=1), config=config,
        metric=lambda model: model(torch.ones(1, 3, 24, 24)).mean(),
    )  # fmt: skip
