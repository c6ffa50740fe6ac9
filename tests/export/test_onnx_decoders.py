"""Decoders of captured switches, of windows of any geometry, in onnxruntime."""

import numpy as np
import pytest
import torch
from onnx_files import OPERATORS, operators, run
from torch import nn
from torch.nn import functional as F

from maxtunnel.export import export_decoder
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.mirrored import levels_of, mirror
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.capture import capture

pytestmark = pytest.mark.usefixtures("one_thread")


class Branches(nn.Module):
    """Overlapping, padded, dilated and oblong windows, with ceil_mode, and one of stride 1."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.pools = nn.ModuleList(
            [
                nn.MaxPool2d(3, 2, 1),
                nn.MaxPool2d(3, 1, 1),
                nn.MaxPool2d((2, 3), ceil_mode=True),
                nn.MaxPool2d(5, 1, 2),
                nn.MaxPool2d(2, dilation=2),
            ]
        )

    def forward(self, images):
        x = self.first(images)
        for pool in self.pools:
            x = pool(x)
        return x


class Wide(nn.Module):
    """Windows of many cells, and planes larger than the image."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images):
        x = F.max_pool2d(F.interpolate(self.first(images), scale_factor=3.0), 3)
        y = F.max_pool2d(F.interpolate(x, scale_factor=2.0), 2)
        return F.max_pool2d(y, 2), F.max_pool2d(y, 4), F.max_pool2d(torch.cat([y, -y], 1), 16)


@pytest.mark.parametrize("model", [Branches, Wide])
@pytest.mark.parametrize("size", [(45, 61), (48, 64)])
@pytest.mark.parametrize("kind", ["mirrored", "strong"])
def test_any_windows_are_read_as_here(tmp_path, model, size, kind):
    torch.manual_seed(0)
    code, mean = capture(model(), torch.rand(2, 3, *size)), torch.rand(3, *size)
    make = mirror if kind == "mirrored" else StrongDecoder
    decoder = make(levels_of(code), size, 8)
    for weight in decoder.parameters():
        weight.data.add_(0.1 * torch.randn_like(weight))
    export_decoder(decoder, tmp_path / "d.onnx", mean, 255.0)
    codes = [level.codes for level in code.levels]
    found = run(tmp_path / "d.onnx", **{f"level{number}": each for number, each in enumerate(codes, 1)})
    with torch.no_grad():
        expected = decoder(codes) / 255 + mean
    assert np.abs(found["picture"] - expected.numpy()).max() < 1e-5
    assert operators(tmp_path / "d.onnx") <= OPERATORS


def test_a_decoder_without_sizes_is_refused(tmp_path):
    network = TunnelNetwork(Architecture.parse("4-4"), torch.rand(3, 8, 8))
    with pytest.raises(ValueError, match="knows no sizes: export its network"):
        export_decoder(network.mirrored, tmp_path / "d.onnx")
