from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from maxtunnel.data.batches import Order, cut
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.feeds import KeptSwitches, SwitchFeed
from maxtunnel.training.peers import Peers


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


class Both(Peers):
    """One of two processes, which are threads here."""

    def __init__(self, rank, rows, barrier):
        super().__init__(rank, 2)
        self._rows, self._barrier = rows, barrier

    def all(self, here):
        return here

    def exchange(self, sent, counts):
        self._rows[self.rank] = sent
        self._barrier.wait(20)
        found = [self._rows[rank][self.rank] for rank in range(2)]
        self._barrier.wait(20)
        assert [len(rows) for rows in found] == counts
        return torch.cat(found)


@pytest.mark.parametrize("images", [70, 33, 3, 1])
def test_processes_keep_a_share_each_and_pass_on_what_the_others_ask_for(images):
    network = TunnelNetwork(Architecture((4, 6)), torch.full((3, 8, 8), 0.5))
    pixels = torch.randint(0, 256, (images, 3, 8, 8), dtype=torch.uint8)
    orders = [Order(images, 6, 0, True, True, rank, 2) for rank in range(2)]
    rows, barrier = [None, None], Barrier(2)

    def train(rank):
        feed = SwitchFeed(network, pixels, orders[rank], 10**6, peers=Both(rank, rows, barrier))
        assert (feed._kept is None) == (images < 2)
        assert images < 2 or feed._kept.images == len(range(rank, images, 2))
        return [feed.at(step) for step in range(30)]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(train, range(2)))
    for rank, batches in enumerate(found):
        every_step = SwitchFeed(network, pixels, orders[rank], 0)
        for step, (codes, target) in enumerate(batches):
            expected, image = every_step.at(step)
            assert torch.equal(target, image)
            assert all(torch.equal(a, b) for a, b in zip(codes, expected, strict=True))
            assert codes[0].is_contiguous(memory_format=torch.channels_last)
