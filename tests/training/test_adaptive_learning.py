"""Learning of adaptive deconvolutional networks."""

import pytest
import torch

from maxtunnel.models.adaptive_deconv import AdaptiveDeconv, AdaptiveSettings
from maxtunnel.training.adaptive import Learning, learn, solve_filters

SIZE = (12, 12)


def textures(count=6):
    """Images of stripes in two directions, which few filters can draw."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(12)[:, None].expand(12, 12)
    found = []
    for number in range(count):
        phase = 6.3 * torch.rand(1, generator=generator)
        found.append(torch.sin((rows if number % 2 else rows.T) * 1.2 + phase))
    return torch.stack(found)[:, None]


def make(pooling="max", seed=0):
    return AdaptiveDeconv(AdaptiveSettings(pooling, (3, 4), 3, sparsity=0.05), seed)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_learning_leaves_less_of_the_images(pooling):
    images, curves = textures(), {}
    for passes in (1, 8):
        network = make(pooling)
        curves[passes] = learn(network, images, Learning(passes, 3))
        for filters in network.filters:
            torch.testing.assert_close(filters.square().sum((0, 2, 3)), torch.ones(filters.shape[1]))
        assert (network.steps > 0).all()
    assert [len(curve) for curve in curves[8]] == [8, 8]
    for first, long in zip(curves[1], curves[8], strict=True):
        assert long[-1] < first[0]


def test_it_is_the_same_in_every_run_and_another_with_another_seed():
    images = textures()
    found = []
    for seed in (0, 0, 1):
        network = make(seed=seed)
        learn(network, images, Learning(1, 3), seed)
        found.append(network.filters[1].detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_conjugate_gradients_find_the_least_squares_solution():
    images, network = textures(2).double(), make().double()
    learn(network, images, Learning(1, 2))
    below = [network.see(images)[0].where]
    planes = torch.randn(2, *network.settings.planes(SIZE)[1], dtype=torch.float64)
    own = network.filters[1].detach()
    found = solve_filters(network, planes, images, below, torch.zeros_like(own), 400)
    units = torch.eye(own.numel(), dtype=torch.float64).view(-1, *own.shape)
    with torch.no_grad():
        columns = torch.stack([network.down(planes, below, SIZE, unit).flatten() for unit in units], 1)
        best = torch.linalg.lstsq(columns, images.flatten()).solution
        least = (columns @ best - images.flatten()).square().sum()
        left = (network.down(planes, below, SIZE, found) - images).square().sum()
    torch.testing.assert_close(left, least, rtol=1e-4, atol=1e-6)


def test_it_tells_how_far_it_is_and_can_be_stopped():
    told = []
    network = make()
    curves = learn(
        network,
        textures(),
        Learning(2, 3),
        on_progress=lambda *one: told.append(one),
        stop=lambda: len(told) == 5,
    )
    assert [one[:3] for one in told] == [("learn", done, 8) for done in range(1, 6)]
    assert len(curves) == 1
    with pytest.raises(ValueError, match="`passes` is 0"):
        Learning(0)
