"""Tables I and II by the numbers, and what is no architecture."""

import pytest
import torch

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork

TABLE_II_BITS = {
    "8-8-8": 1.75,
    "6-12-24": 1.75,
    "16-16-16": 3.5,
    "12-24-48": 3.5,
    "32-32-32": 7,
    "24-48-96": 7,
    "64-64-64": 14,
    "48-96-192": 14,
}


@pytest.mark.parametrize(("text", "bits"), TABLE_II_BITS.items())
def test_bits_of_table_2(text, bits):
    architecture = Architecture.parse(text)
    assert architecture.bits_per_pixel() == bits
    assert sum(row.switch_bits for row in architecture.table()) == bits * 3 * 128 * 128


@pytest.mark.parametrize("text", ["8-8-8", "5", "2-3-4-5"])
def test_table_1_counts_the_parameters_that_there_are(text):
    architecture = Architecture.parse(text)
    network = TunnelNetwork(architecture, torch.zeros(3, 1, 1))
    rows = architecture.table((64, 64))
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())
    assert rows[-1][:4] == ("deconv1_2", 3, (64, 64), False)
    assert [row.relu for row in rows if "conv" in row.name].count(False) == 1


@pytest.mark.parametrize("text", ["", "8-", "-8", "8-0-8", "8 8", "a-b", "8.5", "٣", "8--8", "1000000"])
def test_refuses_what_is_no_architecture(text):
    with pytest.raises(ValueError, match="no architecture"):
        Architecture.parse(text)
