"""Small networks, photographs and recipes, and what the tests of training share."""

from dataclasses import replace

import torch

from maxtunnel.data.images import resize
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.recipes import FAST


def pictures(which=slice(0, 3)):
    """Pieces of 32x32 pixels of the photographs in the package."""
    photographs = [resize(image, (128, 128)) for image in demo_photographs().values()][which]
    return torch.cat(
        [image.unfold(1, 32, 32).unfold(2, 32, 32).flatten(1, 2).transpose(0, 1) for image in photographs]
    )


def new_network(seed=0):
    return TunnelNetwork(Architecture((8, 8)), torch.full((3, 32, 32), 0.5), FAST.scale, seed)


def short(steps=120, **changes):
    return replace(FAST, steps=steps, batch=4, **changes)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])
