import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maxtunnel.data import open_store
from maxtunnel.data.batches import Order, cut


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


def test_without_a_seed_they_come_as_they_lie():
    order = Order(5, 3, None, reshuffle=True, flips=True)
    assert [order.at(step)[0].tolist() for step in range(2)] == [[0, 1, 2], [3, 4, 0]]
    assert not order.at(0)[1].any()


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_each_batch(ranks):
    whole = Order(50, 12, 3, reshuffle=True, flips=True)
    for step in (0, 4, 5):
        parts = [Order(50, 12, 3, True, True, rank, ranks).at(step) for rank in range(ranks)]
        together = torch.stack([numbers for numbers, _ in parts], dim=1).flatten()
        assert torch.equal(together, whole.at(step)[0])


def test_mirrors_only_where_told():
    pixels = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)
    images = cut(pixels, torch.tensor([1, 1]), torch.tensor([True, False]), torch.device("cpu"))
    assert torch.equal(images[0], images[1].flip(-1))
    assert torch.equal(images[1] * 255, pixels[1].float())


def test_mapped_pixels_are_cut_as_those_in_memory(prepared):
    pixels = open_store(prepared).pixels
    numbers, mirrored = torch.tensor([10, 0, 10]), torch.tensor([True, False, False])
    cpu = torch.device("cpu")
    assert torch.equal(cut(pixels, numbers, mirrored, cpu), cut(pixels.load(), numbers, mirrored, cpu))
