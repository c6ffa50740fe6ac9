"""What several processes of a training decide together."""

import pytest
import torch

from maxtunnel.data.batches import Order
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.feeds import SwitchFeed
from maxtunnel.training.peers import Peers


class Beside(Peers):
    """One of two processes, beside one that has room for its switches, or none."""

    def __init__(self, room):
        super().__init__(0, 2)
        self._room = room

    def any(self, here):
        return here or not self._room

    def exchange(self, sent, counts):
        return torch.zeros(sum(counts), sent[0].shape[1], dtype=torch.uint8)


@pytest.mark.parametrize("room", [True, False])
def test_switches_are_kept_by_all_processes_or_by_none(room):
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 1, 1))
    pixels = torch.zeros(8, 3, 8, 8, dtype=torch.uint8)
    feed = SwitchFeed(network, pixels, Order(8, 4, 0, True, True, 0, 2), 10**6, peers=Beside(room))
    assert (feed._kept is not None) == room
