"""Switches that pass a gradient: as shares for a reader, and in a model's own unpooling."""

import pytest
import torch
from small_models import build, photographs, target
from torch import nn
from torch.nn import functional as F

from maxtunnel.data.images import to_float
from maxtunnel.models.surrogate import put_shares, switch
from maxtunnel.protection.levels import check_windows, shares_of
from maxtunnel.protection.student import Student

IMAGES = to_float(photographs(8))


def test_shares_are_the_switches():
    levels = Student(target())(IMAGES).levels
    for level, shares in zip(levels, shares_of(levels, 0.5), strict=True):
        assert torch.equal(shares.argmax(2).to(torch.uint8), level.switches.codes)
        torch.testing.assert_close(shares.sum(2), torch.ones(level.switches.codes.shape))
        assert shares.requires_grad


def test_a_side_that_is_odd_leaves_its_last_cells_out():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(2))
    levels = Student(target(model))(IMAGES[..., :13, :15]).levels
    check_windows(levels)
    (shares,) = shares_of(levels, 0.5)
    assert shares.shape == (8, 2, 4, 5, 6)
    assert torch.equal(shares.argmax(2).to(torch.uint8), levels[0].switches.codes)


@pytest.mark.parametrize("geometry", [(3, 2, 1), (2, 1), (2, 2, 0, 1, False, True)])
def test_other_windows_are_refused(geometry):
    model = nn.Sequential(nn.Conv2d(3, 2, 4), nn.MaxPool2d(2), nn.MaxPool2d(*geometry))
    levels = Student(target(model))(IMAGES[..., :13, :13]).levels
    with pytest.raises(ValueError, match=r"2 \(level 2\) pools with a .* leave it out of `levels`"):
        check_windows(levels)


class Draws(nn.Module):
    """What it returns are its own positions, drawn by unpooling: values say nothing."""

    def __init__(self, unpool=F.max_unpool2d):
        super().__init__()
        self.layer, self.unpool = nn.Conv2d(3, 2, 3, padding=1), unpool

    def forward(self, x):
        values, where = F.max_pool2d(self.layer(x), 2, return_indices=True)
        return self.unpool(torch.ones_like(values), where, 2)


@pytest.mark.parametrize("side", [16, 15])
@pytest.mark.parametrize("module", [True, False])
def test_an_unpooling_by_own_indices_passes_the_surrogates_gradient(side, module):
    torch.manual_seed(0)
    layer = nn.MaxUnpool2d(2)
    model = Draws((lambda x, where, _: layer(x, where, (side, side))) if module else
                  (lambda x, where, _: F.max_unpool2d(x, where, 2, output_size=(side, side))))  # fmt: skip
    images, wanted = IMAGES[..., :side, :side], torch.rand(8, 2, side, side)
    passed = Student(target(model), temperature=0.7)(images)
    (output,) = passed.outputs.values()
    assert torch.equal(output, model(images))
    found = torch.autograd.grad((output * wanted).sum(), model.layer.weight)[0]
    even = side // 2 * 2
    plane = model.layer(images)[..., :even, :even]
    values, shares = switch(plane, torch.full((2,), 0.7))
    drawn = put_shares(torch.ones_like(values), shares)
    expected = torch.autograd.grad((drawn * wanted[..., :even, :even]).sum(), model.layer.weight)[0]
    torch.testing.assert_close(found, expected)
    assert found.abs().max() > 0


def test_other_indices_pass_nothing():
    def elsewhere(x, where, _):
        return F.max_unpool2d(x, where.clone(), 2)

    (output,) = Student(target(Draws(elsewhere)))(IMAGES).outputs.values()
    assert not output.requires_grad


def test_distillation_learns_of_positions():
    """Without this gradient a model that unpools does not find back to its outputs."""
    model = build()
    student = Student(target(model))
    (wanted,) = student.original(IMAGES).values()
    with torch.no_grad():
        model.second.weight += 0.05 * torch.randn(model.second.weight.shape)
    optimizer, errors = torch.optim.Adam([model.second.weight], 3e-3), []
    for _ in range(20):
        (output,) = student(IMAGES).outputs.values()
        loss = (output - wanted).square().mean() / wanted.var()
        errors.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert errors[-1] < 0.6 * errors[0]
