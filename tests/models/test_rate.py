"""The estimate of a code's bits: what it looks at, and what it comes to."""

import math

import pytest
import torch

from maxtunnel.models.rate import SwitchRate
from maxtunnel.models.surrogate import one_hot, switch


def code(seed=0, widths=(3, 2), images=2, side=8):
    generator = torch.Generator().manual_seed(seed)
    return [
        one_hot(torch.randint(0, 4, (images, c, side >> level, side >> level), generator=generator).byte())
        for level, c in enumerate(widths)
    ]


def test_four_equal_cells_cost_two_bits_a_switch():
    rate = SwitchRate((3, 2))
    for level in rate.levels:
        torch.nn.init.zeros_(level.out)
    assert float(rate(code()).detach()) == pytest.approx(2 * (2 * 3 * 64 + 2 * 2 * 16), rel=1e-6)


@pytest.mark.parametrize("level", [0, 1])
def test_a_switch_is_told_by_what_is_coded_before_it_alone(level):
    rate, shares = SwitchRate((3, 2), seed=1), code()
    channel, row, column = 1, 2, 2
    with torch.no_grad():
        before = _bits(rate, level, shares)
        other = [each.clone() for each in shares]
        other[level][:, channel, :, row, column] = shares[level][:, channel, :, row, column].roll(1, 1)
        changed = (_bits(rate, level, other) != before).any(0)
    # Its own bits change, and of what comes after: its channel to the right and below, all channels behind.
    places = changed.nonzero().tolist()
    assert [channel, row, column] in places
    assert all(place >= [channel, row, column] for place in places)
    assert any(place[0] > channel for place in places) == (channel + 1 < len(changed))
    assert any(place[0] == channel and place[1] > row for place in places)


def test_the_level_above_is_looked_at_and_not_the_one_below():
    rate, shares = SwitchRate((3, 2)), code()
    with torch.no_grad():
        fine, coarse = _bits(rate, 0, shares), _bits(rate, 1, shares)
        assert not torch.equal(_bits(rate, 0, [shares[0], code(1)[1]]), fine)
        assert torch.equal(_bits(rate, 1, [code(1)[0], shares[1]]), coarse)


def test_the_gradient_is_that_of_finite_differences():
    rate = SwitchRate((2, 1)).double()
    shares = [each.double().requires_grad_() for each in code(widths=(2, 1), images=1, side=4)]
    assert torch.autograd.gradcheck(lambda *given: rate(given), shares, fast_mode=True)


def test_it_learns_what_is_regular():
    """Codes that repeat the one to the left, but for one in ten."""
    generator = torch.Generator().manual_seed(0)
    fresh = torch.randint(0, 4, (8, 1, 8, 8), generator=generator)
    keep = torch.rand(8, 1, 8, 8, generator=generator) < 0.9
    codes = fresh.clone()
    for x in range(1, 8):
        codes[..., x] = torch.where(keep[..., x], codes[..., x - 1], fresh[..., x])
    shares = [one_hot(codes.byte())]
    rate = SwitchRate((1,))
    optimizer = torch.optim.Adam(rate.parameters(), 0.03)
    for _ in range(60):
        optimizer.zero_grad()
        loss = rate(shares) / codes.numel()
        loss.backward()
        optimizer.step()
    share = 0.9 + 0.1 / 4
    entropy = -share * math.log2(share) - (1 - share) * math.log2((1 - share) / 3)
    expected = (2 + 7 * entropy) / 8
    # With so few codes it learns some by heart too.
    assert 0.1 * expected < float(loss.detach()) < 1.15 * expected


def test_switches_become_cheaper_along_its_gradient():
    """The values of planes are changed, and with them where their maxima are."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 2, 16, 16, generator=generator).requires_grad_()
    rate, temperature = SwitchRate((2,)), torch.ones(2)
    torch.nn.init.normal_(rate.levels[0].out, generator=generator)
    optimizer = torch.optim.Adam([values], 0.1)
    bits = []
    for _ in range(30):
        loss = rate([switch(values, temperature)[1]])
        bits.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert bits[-1] < 0.7 * bits[0]


def _bits(rate, level, shares):
    """The bits of every switch of a level."""
    above = shares[level + 1] if level + 1 < len(shares) else None
    return rate.levels[level](shares[level], above)
