"""Putting pooled values back, against PyTorch's own unpooling and the gradients of its own poolings."""

import pytest
import torch
from torch.nn import functional as F

from maxtunnel.models.family import Drawn, Seen, pool_soft, put_back
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window


def planes(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("side", [2, 3])
def test_known_switches_are_unpooled_as_pytorch_does(side, size):
    x, window = planes(2, 3, *size), Window(side)
    values, indices = F.max_pool2d(x, side, return_indices=True)
    expected = F.max_unpool2d(values, indices, side, output_size=size)
    assert torch.equal(put_back(values, pool(x, window)[1], window, size), expected)


@pytest.mark.parametrize("where", [None, torch.full((2, 3, 2, 3), 3, dtype=torch.uint8)])
def test_fixed_switches_are_the_first_cells_whatever_is_given(where):
    values = planes(2, 3, 2, 3)
    plane = put_back(values, where, Window(3), (7, 9), "fixed")
    assert torch.equal(plane[..., :6:3, ::3], values)
    assert plane.count_nonzero() == values.numel()


def test_without_switches_known_ones_become_fixed_ones():
    values = planes(2, 3, 4, 4)
    assert torch.equal(
        put_back(values, None, Window(), (8, 8)), put_back(values, None, Window(), (8, 8), "fixed")
    )


def test_the_first_cell_beside_padding_is_the_first_in_the_plane():
    window, values = Window(3, 2, 1), torch.ones(1, 1, 2, 2)
    plane = put_back(values, None, window, (4, 4), "fixed")
    assert plane.nonzero()[:, 2:].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("window", "size"),
    [
        (Window(2), (8, 8)),
        (Window(2), (7, 9)),
        (Window((2, 3)), (5, 7)),
        (Window(3, 2), (7, 7)),
        (Window(3, 2, 1), (6, 7)),
        # Its last windows reach beyond the plane.
        (Window(2, ceil_mode=True), (7, 9)),
    ],
)
def test_average_is_the_adjoint_of_average_pooling(window, size):
    values = planes(2, 3, *window.output_size(size))
    x = torch.zeros(2, 3, *size, requires_grad=True)
    pooled = F.avg_pool2d(
        x, window.kernel, window.stride, window.padding, window.ceil_mode, count_include_pad=False
    )
    (expected,) = torch.autograd.grad(pooled, x, values)
    found = put_back(values, None, window, size, "average")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum((2, 3)), values.sum((2, 3)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("unpooling", ["switches", "fixed", "average"])
@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_gradients_against_finite_differences(unpooling, size):
    values = planes(2, 2, 2, 3).double().requires_grad_()
    codes = torch.randint(4, values.shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    assert torch.autograd.gradcheck(lambda v: put_back(v, codes, Window(), size, unpooling), values)


def test_codes_outside_their_windows_are_refused_where_they_are_looked_at():
    values, codes = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="a code is 4"):
        put_back(values, codes, Window(), (2, 2))
    assert put_back(values, codes, Window(), (2, 2), check=False).sum() == 0


def test_dilated_windows_have_no_average():
    with pytest.raises(ValueError, match="give one without dilation"):
        put_back(torch.ones(1, 1, 1, 1), None, Window(2, dilation=2), (3, 3), "average")


@pytest.mark.parametrize(
    "window", [Window(3, 2), Window((2, 3)), Window(2, padding=1), Window(2, dilation=2)]
)
def test_windows_that_soft_pooling_is_not_made_for_are_refused(window):
    x = planes(1, 1, 6, 6)
    with pytest.raises(ValueError, match="has no soft maximum here: give a square one"):
        pool_soft(x, window, 100.0)
    size = window.output_size((6, 6))
    with pytest.raises(ValueError, match="has no soft maximum here"):
        put_back(planes(1, 1, *size), planes(1, 1, 2, *size), window, (6, 6))


@pytest.mark.parametrize("side", [2, 3])
def test_a_hard_soft_maximum_is_the_maximum_and_its_switch(side):
    window, size = Window(side), (7, 9)
    # Values far enough apart for beta.
    count = 2 * 3 * size[0] * size[1]
    order = torch.randperm(count, generator=torch.Generator().manual_seed(2))
    x = order.view(2, 3, *size).double() / count
    values, codes = pool(x, window)
    soft, where = pool_soft(x, window, 1e5)
    torch.testing.assert_close(soft, values)
    torch.testing.assert_close(where, torch.stack([codes // side, codes % side], 2).double())
    torch.testing.assert_close(put_back(soft, where, window, size), put_back(values, codes, window, size))


def test_a_soft_maximum_without_hardness_is_the_mean_in_the_middle():
    x = planes(1, 2, 4, 4)
    soft, where = pool_soft(x, Window(), 1e-6)
    torch.testing.assert_close(soft, F.avg_pool2d(x, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(where, torch.full_like(where, 0.5), atol=1e-5, rtol=0)
    # From the middle a value goes evenly to all four cells.
    even = put_back(soft, torch.full_like(where, 0.5), Window(), (4, 4))
    torch.testing.assert_close(even, put_back(soft, None, Window(), (4, 4), "average"))


def test_gradients_flow_through_soft_values_and_positions():
    x = planes(1, 2, 4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: put_back(*pool_soft(x, Window(), 3.0), Window(), (5, 4)), x)


def test_the_last_plane_is_the_what():
    seen = Seen((torch.zeros(5, 2, 4, 4), torch.ones(5, 3, 2, 2)), ())
    assert seen.what is seen.planes[1]
    assert len(seen) == 5
    assert Drawn(seen.planes[0], seen.planes[:1]).image is seen.planes[0]
