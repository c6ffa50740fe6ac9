"""The gradient through switches: the relaxed function's; exact forward; sound where nothing is told."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.surrogate import Temperatures, gumbel, one_hot, put_shares, relax, switch
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.pooling import pool, unpool


def planes(seed=0, size=(2, 3, 6, 4), dtype=torch.float64):
    return torch.randn(size, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def noise_for(x, amount=1.0):
    n, c, h, w = x.shape
    return amount * gumbel((n, c, 4, h // 2, w // 2), torch.Generator().manual_seed(9)).to(x.dtype)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("amount", [0.0, 0.7])
def test_the_gradient_is_that_of_finite_differences_of_the_relaxed_function(amount, rectified):
    x = planes(0, (2, 2, 4, 2)).requires_grad_()
    temperature = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    noise = noise_for(x, amount)
    assert torch.autograd.gradcheck(lambda x, t: relax(x, t, noise, rectified), (x, temperature))
    # What goes backward through the hard switches is the gradient of the soft ones.
    weights = planes(1, (2, 2, 4, 2, 1))
    relaxed, shares = relax(x, temperature, noise, rectified), switch(x, temperature, noise, rectified)[1]
    expected = torch.autograd.grad((relaxed * weights).sum(), (x, temperature))
    found = torch.autograd.grad((shares * weights).sum(), (x, temperature))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from(["many ties", "no ties", "a ReLU", "tiny"]),
    st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_without_noise_the_switches_are_those_of_any_frameworks_pooling(channels, windows, kind, seed):
    x = planes(seed, (2, channels, 2 * windows[0], 2 * windows[1]), torch.float32)
    x = {"many ties": x.round(), "no ties": x, "a ReLU": x.relu(), "tiny": 1e-8 * x}[kind]
    values, shares = switch(x, torch.ones(channels))
    expected, codes = pool(x)
    assert torch.equal(values, expected)
    assert torch.equal(shares, one_hot(codes))
    _, indices = F.max_pool2d(x, 2, return_indices=True)
    rows, columns = indices // x.shape[-1] % 2, indices % x.shape[-1] % 2
    assert torch.equal(shares.argmax(2), 2 * rows + columns)
    zeros = torch.zeros_like(shares)
    assert torch.equal(switch(x, torch.ones(channels), zeros)[1], shares)
    expected, codes = pool(x.relu())
    for noise in (None, zeros):
        values, shares = switch(x, torch.ones(channels), noise, rectified=True)
        assert torch.equal(values, expected)
        assert torch.equal(shares, one_hot(codes))


def test_values_so_close_that_their_shares_are_equal_are_told_apart():
    window = torch.tensor([[1.0, 1.0 + 2**-23], [0.0, -1e6]]).expand(1, 1, 2, 2)
    _, shares = switch(window, torch.full((1,), 1e9), torch.zeros(1, 1, 4, 1, 1))
    assert shares.flatten().tolist() == [0, 1, 0, 0]


def test_spreading_by_one_hot_shares_is_unpooling():
    x = planes(3, dtype=torch.float32)
    values, codes = pool(x)
    assert torch.equal(put_shares(values, one_hot(codes)), unpool(values, codes))


@pytest.mark.parametrize("text", ["3-5", "3-5+linear+inside4"])
@pytest.mark.parametrize("strong_width", [None, 6])
def test_a_decoder_makes_the_same_of_one_hot_shares_as_of_codes(text, strong_width):
    network = TunnelNetwork(Architecture.parse(text), torch.zeros(3, 1, 1), 4.0, 0, strong_width)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 16, 12, generator=generator)
    for p in network.decoder.parameters():
        torch.nn.init.uniform_(p, -0.3, 0.3, generator=generator)
    codes = [level.codes for level in network.encode(images).levels]
    target = network.normalise(images)
    rectified = not network.architecture.linear

    def pooling(block, x):
        return switch(x, torch.ones(network.architecture.widths[block - 1]), rectified=rectified)

    what, shares = network.encoder.relaxed(target, pooling)
    torch.testing.assert_close(what, network.encoder(target)[0])
    assert all(torch.equal(a, one_hot(b)) for a, b in zip(shares, codes, strict=True))
    torch.testing.assert_close(network.decoder(shares), network.decoder(codes))
    torch.testing.assert_close(
        network.decoder.squared_error(shares, target), network.decoder.squared_error(codes, target)
    )


def test_noise_moves_switches_but_not_the_values_and_leaves_equal_cells_alone():
    x = planes(2, (4, 3, 16, 16), torch.float32)
    x[:, :, :8] = 0
    values, shares = switch(x, torch.ones(3), noise_for(x))
    expected, codes = pool(x)
    assert torch.equal(values, expected)
    changed = (shares != one_hot(codes)).any(2)
    assert not changed[:, :, :4].any()
    assert 0.1 < changed[:, :, 4:].float().mean() < 0.9
    # More of it moves more.
    more = (switch(x, torch.ones(3), noise_for(x, 10.0))[1] != one_hot(codes)).any(2)
    assert more.sum() > changed.sum()


def test_a_window_of_zeros_learns_nothing_behind_a_relu_and_something_without():
    x = planes(4, (1, 1, 4, 4), torch.float64)
    x[..., :2, :2] = -1 - x[..., :2, :2].abs()
    weights = planes(5, (1, 1, 4, 2, 2))
    for relu in (True, False):
        x.grad, _ = None, x.requires_grad_()
        _, shares = switch(x.relu() if relu else x, torch.ones(1, dtype=torch.float64))
        (shares * weights).sum().backward()
        assert bool((x.grad[..., :2, :2] == 0).all()) == relu
        assert bool((x.grad[..., 2:, 2:] != 0).any())


def test_zero_is_a_candidate_behind_a_relu():
    below = torch.tensor([[-3.0, -0.5], [-2.0, -1.0]]).expand(1, 1, 2, 2)
    above = torch.tensor([[-3.0, 0.5], [-2.0, -1.0]]).expand(1, 1, 2, 2)
    x = torch.cat([below, above]).requires_grad_()
    values, shares = switch(x, torch.ones(1), rectified=True)
    assert values.flatten().tolist() == [0, 0.5]
    assert shares.argmax(2).flatten().tolist() == [0, 1]
    # The share of a cell below zero grows with its sum, the more the nearer it is.
    (gradient,) = torch.autograd.grad(shares[0, 0, 1].sum(), x, retain_graph=True)
    assert float(gradient[0, 0, 0, 1]) > 0
    assert bool((gradient[0, 0].flatten()[[0, 2, 3]] < 0).all())
    # Where a cell is above zero, the first one's share falls as it rises, though that one is the lowest.
    (gradient,) = torch.autograd.grad(shares[1, 0, 0].sum(), x)
    assert float(gradient[1, 0, 0, 1]) < 0
    # Of the four cells alone: what zero has is what they lack.
    soft = relax(x, torch.ones(1), rectified=True)
    torch.testing.assert_close(soft.sum(2), torch.ones(2, 1, 1, 1))
    deep = relax(below - 100, torch.ones(1), rectified=True)
    assert float(deep[0, 0, 0]) > 0.99


def test_noise_lifts_windows_above_zero():
    x = planes(2, (4, 3, 16, 16), torch.float32) - 1
    expected = pool(x.relu())[0]
    values, shares = switch(x, torch.ones(3), noise_for(x), rectified=True)
    assert torch.equal(values, expected)
    dead = expected == 0
    lifted = (shares.argmax(2) != 0)[dead].float().mean()
    assert 0.1 < float(lifted) < 0.9


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("value", [0.0, 3.0, -1e20])
def test_a_dead_channel_has_the_first_cell_and_no_gradient(value, rectified):
    x = planes(6, (2, 2, 4, 4), torch.float32)
    x[:, 0] = value
    x.requires_grad_()
    temperature = torch.ones(2, requires_grad=True)
    for noise in (None, noise_for(x)):
        _, shares = switch(x, temperature, noise, rectified)
        assert bool((shares[:, 0, 0] == 1).all())
        gradients = torch.autograd.grad((shares * planes(7, shares.shape)).sum(), (x, temperature))
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
        assert float(gradients[0][:, 0].abs().max()) == 0
        assert float(gradients[0][:, 1].abs().max()) > 0


def test_the_scale_of_a_channel_moves_no_share():
    x = planes(8)
    temperature = torch.ones(3, dtype=torch.float64)
    factors = torch.tensor([1e-3, 1.0, 1e4], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(relax(x * factors, temperature), relax(x, temperature))


def test_noise_is_gumbels_and_finite():
    drawn = gumbel((200_000,), torch.Generator().manual_seed(0))
    assert bool(drawn.isfinite().all())
    assert float(drawn.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(drawn.var()) == pytest.approx(1.6449, abs=0.03)


def test_temperatures_begin_as_asked_and_stay_positive():
    temperatures = Temperatures((2, 3), 0.5)
    assert [len(temperatures(level)) for level in (1, 2)] == [2, 3]
    torch.testing.assert_close(temperatures(2), torch.full((3,), 0.5))
    temperatures.logarithms[0].data.fill_(-20.0)
    assert bool((temperatures(1) > 0).all())
