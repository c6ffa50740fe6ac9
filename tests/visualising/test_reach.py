import pytest
import torch
from torch import nn
from torch.nn import functional as F
from ways_by_hand import Modules, images

import maxtunnel
from maxtunnel.auditing.targets import Target
from maxtunnel.visualising.passes import way_to
from maxtunnel.visualising.reach import box_of


def seen(model, layer, place, side=40):
    """The box, and the pixels that the gradient reaches where all weights are positive."""
    for weight in model.parameters():
        nn.init.ones_(weight)
    x = images(1, side)
    way = way_to(Target(model, "model"), x, layer)
    start = torch.zeros_like(way.output)
    start[:, :, *place] = 1.0
    reached = (way.back(start, "gradient", "sum") != 0)[0].any(0)
    return box_of(way, place), reached


class Averages(nn.Module):
    """Every window is looked at in whole, so the gradient reaches all that has a say."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, (3, 2), padding=2, dilation=2)

    def forward(self, x):
        return self.two(F.avg_pool2d(self.one(F.pad(x, (1, 2, 3, 0))).relu(), 3, 2))


@pytest.mark.parametrize("place", [(0, 0), (4, 5), (9, 9)])
def test_the_box_holds_all_that_has_a_say(place):
    (top, left, bottom, right), reached = seen(Averages(), "two", place)
    rows, columns = reached.any(1).nonzero().flatten(), reached.any(0).nonzero().flatten()
    assert (top, bottom) == (int(rows[0]), int(rows[-1]) + 1)
    assert (left, right) == (int(columns[0]), int(columns[-1]) + 1)


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 2, 5, padding=2), nn.Conv2d(3, 2, 1)
        self.last = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.last(self.wide(x) + self.narrow(x))


def test_branches_are_seen_together():
    assert seen(Branches(), "last", (10, 20))[0] == (8, 18, 13, 23)


def test_all_cells_of_a_max_pooling_count():
    class Pools(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)

        def forward(self, x):
            x = maxtunnel.pool(F.max_pool2d(x, 3, 2, padding=1), maxtunnel.Window(2))[0]
            return self.conv(x)

    assert seen(Pools(), "conv", (1, 2))[0] == (3, 7, 8, 12)
    assert seen(Modules(), "pool2", (0, 0))[0] == (0, 0, 12, 12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, [2, 1, 0]], lambda x: x.flip(1), lambda x: torch.cat([x, x], -3)[:, :3],
        lambda x: x.index_select(1, torch.tensor([0, 0, 1])), lambda x: x.split(3, 1)[0] * 2,
    ],
)  # fmt: skip
def test_channels_may_change_places(function):
    class Ordered(Branches):
        def forward(self, x):
            return super().forward(function(x))

    assert seen(Ordered(), "last", (10, 20))[0] == (8, 18, 13, 23)


@pytest.mark.parametrize(
    "function", [lambda x: x.flip(2), lambda x: torch.cat([x, x], 2), lambda x: x[:, :, torch.arange(39)]]
)
def test_where_places_change_all_is_seen(function):
    class Moved(Branches):
        def forward(self, x):
            return super().forward(function(x))

    assert seen(Moved(), "last", (10, 20))[0] == (0, 0, 40, 40)


def test_what_mixes_all_places_sees_all():
    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten(1).mean(1, keepdim=True).relu()

    way = way_to(Target(Flat(), "model"), images(1, 8), "relu")
    assert box_of(way, (0, 0)) == (0, 0, 8, 8)
