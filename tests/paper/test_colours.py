"""Colours and edges, measured on networks that change them in a known way."""

import numpy as np
import pytest
import torch

from maxtunnel.data.images import to_float
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import colours as colours_of

pytestmark = pytest.mark.usefixtures("one_thread")


class Echo(TunnelNetwork):
    """Gives back what it was shown, after `change`."""

    def __init__(self, change):
        super().__init__(Architecture((4, 4)), torch.full((3, 1, 1), 0.5))
        self.change = change

    def encode(self, images):
        # Grey pictures are shown too, for the switches alone.
        if not torch.equal(images[:, 0], images[:, 1]):
            self.shown = images
        return super().encode(images)

    def decode(self, code):
        return self.change(self.shown)


def mute(images):
    """Halve the chroma and keep the luma (BT.601)."""
    luma = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return luma + (images - luma) / 2


def test_dull_colours_are_told_from_faint_pictures(photographs):
    colours = colours_of.measure_colours(Echo(mute), photographs)
    assert colours.returned().numpy() == pytest.approx([1, 0.5], abs=1e-5)
    assert colours.explained_in_all().numpy() == pytest.approx([1, 0.75], abs=1e-5)
    assert colours.colour_weaker_by() == pytest.approx((0.5, 0.5), abs=1e-4)
    assert colours.colour_less_explained_by() == pytest.approx((0.25, 0.25), abs=1e-4)
    factor, interval = colours.best_gain()
    assert (factor, *interval) == pytest.approx((2, 2, 2), abs=1e-4)
    assert colours.saturation.numpy() == pytest.approx(np.full(8, 0.5), abs=1e-4)
    assert colours.edges.numpy() == pytest.approx(np.ones(8), abs=1e-4)
    assert colours.edges_other.abs().max() < 0.3
    faint = colours_of.measure_colours(Echo(lambda images: 0.5 + (images - 0.5) / 4), photographs)
    assert faint.returned().numpy() == pytest.approx([0.25, 0.25], abs=1e-5)


def test_scales_add_up_and_are_orthogonal():
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    parts = colours_of._scales(x)
    assert torch.allclose(parts.sum(0), x.double())
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert float((parts[a] * parts[b]).sum()) == pytest.approx(0, abs=1e-9)


def test_a_colourful_encoder_sees_a_colourful_picture(photographs):
    net = TunnelNetwork(Architecture((4, 6)), torch.full((3, 8, 8), 0.45), 4.0)
    images = to_float(photographs) * 0.2 + 0.4
    rich = colours_of.more_colourful(net, 0.5)
    deviation = images - 0.45
    seen, expected = rich.encode(images), net.encode(0.45 + mute(deviation))
    same = [(a.codes == b.codes).float().mean() for a, b in zip(seen.levels, expected.levels, strict=True)]
    assert min(same) > 0.999  # rounding may turn a near tie
    assert seen != net.encode(images)
