"""What float32 leaves open: of two nearly equal values, which is the larger depends on the order of a sum."""

import torch
from torch.nn import functional as F

# Of values up to some hundreds: what the order of a sum changes stays below.
_NEAR = 1e-4


@torch.no_grad()
def undecided(network, images):
    """For every level, the switches that float32 does not decide: the two largest values nearly agree."""
    x, convs, found = network.normalise(images).double(), iter(network.encoder.convs), []
    for count in network.encoder.counts:
        for _ in range(count):
            conv = next(convs)
            x = F.conv2d(x, conv.weight.double(), conv.bias.double(), padding=1)
            x = F.relu(x) if conv.slope == 0 else x
        cells = F.pixel_unshuffle(x, 2).unflatten(1, (x.shape[1], 4)).sort(2, descending=True).values
        # Zeros of a ReLU are equal however they were summed.
        found.append((cells[:, :, 0] - cells[:, :, 1] < _NEAR) & (cells[:, :, 0] > 0))
        x = cells[:, :, 0]
    return found
