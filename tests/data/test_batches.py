import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maxtunnel.data.batches import Order, cut
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.feeds import KeptSwitches


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 5), st.booleans())
def test_every_pass_shows_every_image_once(images, batch, seed, reshuffle):
    order = Order(images, batch, seed, reshuffle, flips=False)
    passes = 3
    steps = -(-passes * images // batch)
    stream = torch.cat([order.at(step)[0] for step in range(steps)])[: passes * images].view(passes, images)
    assert torch.equal(stream.sort(dim=1).values, torch.arange(images).expand(passes, -1))
    if not reshuffle:
        assert torch.equal(stream[0], stream[2])


def test_a_new_order_for_every_pass_and_seed():
    order = Order(100, 100, 0, reshuffle=True, flips=True)
    assert not torch.equal(order.at(0)[0], order.at(1)[0])
    assert not torch.equal(order.at(0)[0], Order(100, 100, 1, reshuffle=True, flips=True).at(0)[0])
    assert torch.equal(order.at(7)[0], Order(100, 100, 0, reshuffle=True, flips=True).at(7)[0])
    assert 20 < order.at(0)[1].sum() < 80


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_each_batch(ranks):
    whole = Order(50, 12, 3, reshuffle=True, flips=True)
    for step in (0, 4, 5):
        parts = [Order(50, 12, 3, True, True, rank, ranks).at(step) for rank in range(ranks)]
        together = torch.stack([numbers for numbers, _ in parts], dim=1).flatten()
        assert torch.equal(together, whole.at(step)[0])


@pytest.mark.parametrize("widths", [(4, 6), (3,), (1, 1, 1)])
def test_kept_switches_are_the_encoders(widths):
    network = TunnelNetwork(Architecture(widths), torch.full((3, 8, 8), 0.5))
    pixels = torch.randint(0, 256, (70, 3, 8, 8), dtype=torch.uint8)
    kept = KeptSwitches(network, pixels, mirrored=True)
    numbers, mirrored = torch.tensor([69, 0, 33, 0]), torch.tensor([False, True, True, False])
    expected = network.encode(cut(network, pixels, numbers, mirrored)).levels
    for codes, level in zip(kept.at(numbers, mirrored), expected, strict=True):
        assert torch.equal(codes, level.codes)


def test_mirrors_only_where_told():
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 1, 1))
    pixels = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)
    images = cut(network, pixels, torch.tensor([1, 1]), torch.tensor([True, False]))
    assert torch.equal(images[0], images[1].flip(-1))
    assert torch.equal(images[1] * 255, pixels[1].float())


def test_what_cannot_be_kept_in_memory_is_not():
    network = TunnelNetwork(Architecture((16, 16, 16)), torch.zeros(3, 1, 1))
    assert KeptSwitches.fit(network, 1000, (128, 128))
    assert not KeptSwitches.fit(network, 10**9, (128, 128))
