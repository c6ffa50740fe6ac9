import math

import pytest
import torch
from torch import nn
from ways_by_hand import Modules, images, one_hot, strongest

from maxtunnel.auditing.targets import Target
from maxtunnel.visualising.controls import control_pictures, mean_share, shared_energy
from maxtunnel.visualising.passes import way_to


def generator():
    return torch.Generator().manual_seed(0)


class Copies(nn.Module):
    """Its switches alone decide where what comes back goes."""

    def __init__(self, channels=1):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, channels, 1, bias=False), nn.MaxPool2d(2)
        nn.init.ones_(self.conv.weight)

    def forward(self, x):
        return self.pool(self.conv(x).relu())


def controls(model, x, place=(0, 0, 0)):
    way = way_to(Target(model, "model"), x, "pool")
    start = one_hot(way.output, *place)
    return way.back(start, "deconvnet"), control_pictures(
        way, start, "deconvnet", "last", generator(), len(x)
    )


def test_a_picture_that_the_switches_draw_is_lost_with_others():
    x = torch.zeros(2, 3, 4, 4)
    x[0, :, 0, 0] = x[1, :, 1, 1] = 1.0
    picture, others = controls(Copies(), x)
    assert shared_energy(picture, others["other"]).tolist() == [0, 0]
    # With one unit, nothing is said by which one it is.
    assert shared_energy(picture, others["constant"]).tolist() == pytest.approx([1, 1])


def test_of_the_same_photograph_nothing_is_lost():
    picture, others = controls(Copies(2), images(1).expand(2, -1, -1, -1))
    assert shared_energy(picture, others["other"]).tolist() == pytest.approx([1, 1])
    assert float(shared_energy(picture, others["random"]).max()) in (0, pytest.approx(1))


def test_the_feature_may_be_all_there_is():
    """Two units that draw opposite pictures cancel out where both have the same constant."""
    model = Copies(2)
    with torch.no_grad():
        model.conv.weight[1] = torch.tensor([-1.0, 1.0, 0.0]).view(3, 1, 1)
        model.conv.weight[0] = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)
    x = torch.zeros(1, 3, 2, 2)
    x[0, :, 0, 1] = torch.tensor([0.2, 0.9, 0.2])
    picture, others = controls(model, x, (1, 0, 0))
    assert "other" not in others
    # (-1, 1, 0) against (0, 1, 1): a cosine of one half.
    assert shared_energy(picture, others["constant"]).tolist() == pytest.approx([0.25])


def test_before_the_first_pooling_there_is_no_control():
    way = way_to(Target(Modules(), "model"), images(), "conv1")
    start = one_hot(way.output, *strongest(way.output))
    assert control_pictures(way, start, "deconvnet", "last", generator(), 2) == {}


def test_the_share_of_energy_is_the_squared_cosine():
    a = torch.zeros(4, 3, 2, 2)
    a[:3, 0, 0] = torch.tensor([1.0, 1.0])
    b = torch.zeros(4, 3, 2, 2)
    b[0, 0, 0, 0], b[1, 0, 0], b[2, 0, 0, 0] = 7.0, 1e-20, -1.0
    half, whole, none, empty = shared_energy(a, b).tolist()
    assert (half, whole, none) == pytest.approx((0.5, 1, 0))
    assert math.isnan(empty)


def test_the_interval_is_over_units_and_their_photographs():
    assert mean_share([]) is None
    assert mean_share([[math.nan]]) is None
    same = mean_share([[0.5, 0.5], [0.5]])
    assert (same.mean, same.ci95, same.pictures) == (0.5, (0.5, 0.5), 3)
    few, many = mean_share([[0.0, 1.0]]), mean_share([[0.0, 1.0] * 50])
    assert few.ci95 == (0, 1)
    assert 0.3 < many.ci95[0] < 0.5 < many.ci95[1] < 0.7
    # Units that differ widen it, however many photographs each has.
    apart = mean_share([[0.0] * 50, [1.0] * 50])
    assert apart.mean == 0.5
    assert apart.ci95 == (0, 1)
