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


@pytest.mark.parametrize("text", ["8-8-8+linear", "8-8+inside64", "5+inside3", "2-3-4-5+linear+inside6"])
def test_variants_are_named_counted_saved_and_loaded(text, tmp_path):
    architecture = Architecture.parse(text)
    assert str(architecture) == text
    assert not architecture.published
    plain = Architecture(architecture.widths)
    assert architecture.bits_per_pixel() == plain.bits_per_pixel()
    rows = architecture.table((32, 32))
    network = TunnelNetwork(architecture, torch.full((3, 1, 1), 0.5))
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())
    relus = [row.relu for row in rows if row.name.startswith("conv")]
    assert relus == [True, not architecture.linear] * len(plain.widths)
    network.save(tmp_path / f"{text}.safetensors")
    loaded = TunnelNetwork.load(tmp_path / f"{text}.safetensors")
    assert loaded.architecture == architecture
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert loaded.encode(images) == network.encode(images)
    assert torch.equal(loaded(images), network(images))
    assert loaded.identity() == network.identity()
    # What it computes is what its rows say, though Table I's fast way cannot.
    codes = []
    layers = dict(network.encoder.layers(network.normalise(images), codes))
    blocks = range(1, 1 + len(plain.widths))
    assert [bool(layers[f"conv{block}_2"].min() < 0) for block in blocks] == [architecture.linear] * len(
        blocks
    )
    assert [layers[f"conv{block}_1"].shape[1] for block in blocks] == [
        architecture.inside or width for width in plain.widths
    ]
    assert all(torch.equal(a, b.codes) for a, b in zip(codes, network.encode(images).levels, strict=True))


def test_a_linear_encoder_is_another_one_with_the_same_weights():
    networks = [
        TunnelNetwork(Architecture((4, 4), linear=linear), torch.full((3, 1, 1), 0.5))
        for linear in (False, True)
    ]
    assert networks[0].encoder_hash() == networks[1].encoder_hash()
    assert networks[0].identity() != networks[1].identity()


@pytest.mark.parametrize(
    "text",
    ["8-8+", "8-8+linear+linear", "8-8+inside", "8-8+inside0", "8-8+inside64+linear", "8-8+wide", "+linear"],
)
def test_refuses_what_is_no_variant(text):
    with pytest.raises(ValueError, match=r"no architecture.*\+inside64"):
        Architecture.parse(text)


@pytest.mark.parametrize("text", ["", "8-", "-8", "8-0-8", "8 8", "a-b", "8.5", "٣", "8--8", "1000000"])
def test_refuses_what_is_no_architecture(text):
    with pytest.raises(ValueError, match="no architecture"):
        Architecture.parse(text)
