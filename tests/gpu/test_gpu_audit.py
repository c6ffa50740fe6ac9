"""Models of other people on a GPU: their switches, and a small audit as a whole."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maxtunnel.auditing import AuditConfig, Conclusions, audit, write_report
from maxtunnel.switches.capture import capture, record

pytestmark = pytest.mark.gpu


def whole_numbers(model):
    """With weights for which every sum is exact, in TF32 too: no device may differ."""
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data.copy_(torch.randint(-2, 3, p.shape, generator=generator))
    return model


class Branches(nn.Module):
    """Poolings of several geometries, one of which returns its indices, and an unpooling."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x):
        x = self.norm(self.first(x))
        y, where = F.max_pool2d(x, 2, return_indices=True)
        z = F.max_pool2d(x, 3, 2, 1)
        return F.max_unpool2d(y, where, 2).mean() + z.mean(), where


def convolutions(*widths):
    layers, channels = [], 3
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers)


@pytest.mark.parametrize("make", [Branches, lambda: convolutions(5, 7)])
def test_captured_switches_are_the_cpus(device, make):
    model = whole_numbers(make()).eval()
    images = torch.randint(0, 4, (3, 3, 20, 24)).float()
    expected = capture(model, images)
    model.to(device)
    # Images on the CPU are brought to the model.
    for given in (images, images.to(device)):
        code = capture(model, given)
        assert code.levels[0].codes.device.type == device.type
        assert code == expected
        assert [level.name for level in code.levels] == [level.name for level in expected.levels]


def test_what_becomes_of_indices_is_found_on_a_gpu(device):
    model, images = Branches().eval(), torch.rand(2, 3, 16, 16)
    expected = record(model, images, trace=True)
    found = record(model.to(device), images, trace=True)
    assert found.returned == expected.returned
    assert found.unpoolings == expected.unpoolings
    assert found.index_uses == expected.index_uses


def test_capturing_draws_no_random_number_of_a_model(device):
    model = nn.Sequential(convolutions(4), nn.Dropout(0.5)).train().to(device)
    images = torch.rand(2, 3, 8, 8)
    torch.manual_seed(0)
    torch.rand(3, device=device)
    expected = torch.rand(3, device=device)
    torch.manual_seed(0)
    torch.rand(3, device=device)
    capture(model, images)
    assert torch.equal(torch.rand(3, device=device), expected)


def test_an_audit_of_a_model_on_a_gpu(device, pieces, tmp_path):
    torch.manual_seed(0)
    model = convolutions(6, 6).to(device)
    photographs = F.interpolate(pieces.float(), 24, mode="area").round().to(torch.uint8)
    photographs = torch.cat([photographs, photographs.flip(-1)])
    config = AuditConfig(steps=80, least_steps=10, images=24, width=8)
    result = audit(model, photographs[:96], holdout=photographs[96:], config=config)
    assert [text for text in result.left_out if text.startswith("failed")] == []
    assert result.rows["known"].rmse < result.rows["mean"].rmse
    assert result.rows["random"].rmse > result.rows["known"].rmse
    assert next(model.parameters()).device.type == device.type
    assert Conclusions(result).verdict
    assert write_report(result, tmp_path / "out").stat().st_size > 10_000
