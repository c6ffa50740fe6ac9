import pytest
import torch

from maxtunnel.data.batches import cut
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.feeds import KeptSwitches


@pytest.mark.parametrize("widths", [(4, 6), (3,), (1, 1, 1)])
def test_kept_switches_are_the_encoders(widths):
    network = TunnelNetwork(Architecture(widths), torch.full((3, 8, 8), 0.5))
    pixels = torch.randint(0, 256, (70, 3, 8, 8), dtype=torch.uint8)
    kept = KeptSwitches(network, pixels, mirrored=True)
    numbers, mirrored = torch.tensor([69, 0, 33, 0]), torch.tensor([False, True, True, False])
    expected = network.encode(cut(pixels, numbers, mirrored, network.device)).levels
    for codes, level in zip(kept.at(numbers, mirrored), expected, strict=True):
        assert torch.equal(codes, level.codes)


def test_progress_counts_the_mirrored_images_too():
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 1, 1))
    pixels = torch.zeros(40, 3, 4, 4, dtype=torch.uint8)
    seen = []
    KeptSwitches(network, pixels, mirrored=True, on_progress=lambda *what: seen.append(what))
    assert seen == [("encode", done, 80, "") for done in (32, 64, 80)]


def test_what_cannot_be_kept_in_memory_is_not():
    network = TunnelNetwork(Architecture((16, 16, 16)), torch.zeros(3, 1, 1))
    assert KeptSwitches.fit(network, 1000, (128, 128))
    assert not KeptSwitches.fit(network, 10**9, (128, 128))
