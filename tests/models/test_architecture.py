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


# Convolutions, and the parameters of all of them as torchvision's documentation counts those of `features`.
VGG = {
    "vgg11": ("64x1-128x1-256-512-512", 8, 9_220_480),
    "vgg13": ("64-128-256-512-512", 10, 9_404_992),
    "vgg16": ("64-128-256x3-512x3-512x3", 13, 14_714_688),
    "vgg19": ("64-128-256x4-512x4-512x4", 16, 20_024_384),
}


@pytest.mark.parametrize(("name", "text", "convolutions", "parameters"), [(k, *v) for k, v in VGG.items()])
def test_vggs_have_names_and_their_published_parameters(name, text, convolutions, parameters):
    architecture = Architecture.parse(name)
    assert architecture == Architecture.parse(text)
    assert str(architecture) == text
    assert architecture.published == (name == "vgg13")
    rows = [row for row in architecture.table((224, 224)) if row.name.startswith("conv")]
    assert (len(rows), sum(row.parameters for row in rows)) == (convolutions, parameters)
    with torch.device("meta"):
        network = TunnelNetwork(architecture, torch.zeros(3, 1, 1))
    assert sum(p.numel() for p in network.encoder.parameters()) == parameters
    assert [conv.weight.shape[:2] for conv in network.mirrored.convs] == [
        conv.weight.shape[:2][::-1] for conv in network.encoder.convs[::-1]
    ]
    (deepest,) = (row for row in architecture.table((224, 224)) if row.name == "pool5")
    assert deepest[1:3] == (512, (7, 7))


@pytest.mark.parametrize("text", ["8-8-8", "5", "2-3-4-5", "2-3x3-4", "3x1-2x4", "2x3-4x1+linear+inside5"])
def test_table_1_counts_the_parameters_that_there_are(text):
    architecture = Architecture.parse(text)
    network = TunnelNetwork(architecture, torch.zeros(3, 1, 1))
    rows = architecture.table((64, 64))
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())
    assert rows[-1][:4] == (f"deconv1_{architecture.layers[0]}", 3, (64, 64), False)
    linear = [row.name for row in rows if "conv" in row.name and not row.relu]
    assert len(linear) == 1 + architecture.linear * len(architecture.layers)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    said = [(row.name, row.filters, row.size) for row in rows if row.name != "data"]
    assert said == [(name, x.shape[1], tuple(x.shape[2:])) for name, x in network.activations(images)]


@pytest.mark.parametrize(
    "text",
    ["8-8-8+linear", "8-8+inside64", "5+inside3", "2-3-4-5+linear+inside6", "4-3x3-5x1", "4x3-2+linear"],
)
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
    assert relus == [
        index < count or not architecture.linear
        for count in architecture.layers
        for index in range(1, count + 1)
    ]
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
    last = [f"conv{block}_{count}" for block, count in enumerate(architecture.layers, 1)]
    assert [bool(layers[name].min() < 0) for name in last] == [architecture.linear] * len(blocks)
    assert [layers[f"conv{block}_1"].shape[1] for block in blocks] == [
        (architecture.inside or width) if count > 1 else width
        for width, count in zip(plain.widths, architecture.layers, strict=True)
    ]
    assert all(torch.equal(a, b.codes) for a, b in zip(codes, network.encode(images).levels, strict=True))


def test_a_linear_encoder_is_another_one_with_the_same_weights():
    networks = [
        TunnelNetwork(Architecture((4, 4), linear=linear), torch.full((3, 1, 1), 0.5))
        for linear in (False, True)
    ]
    assert networks[0].encoder_hash() == networks[1].encoder_hash()
    assert networks[0].identity() != networks[1].identity()


def test_where_layers_are_pooled_makes_another_encoder_of_the_same_weights():
    networks = [
        TunnelNetwork(Architecture((4, 4), layers=layers), torch.full((3, 1, 1), 0.5))
        for layers in ((2, 2), (3, 1))
    ]
    assert networks[0].encoder_hash() == networks[1].encoder_hash()
    assert networks[0].identity() != networks[1].identity()


def test_two_layers_are_not_written():
    assert str(Architecture.parse("8x2-4x2")) == "8-4"
    assert Architecture.parse("8x2-4") == Architecture((8, 4))
    with pytest.raises(ValueError, match="layers are"):
        Architecture((8, 4), layers=(2,))
    with pytest.raises(ValueError, match="layers are"):
        Architecture((8, 4), layers=(2, 0))


@pytest.mark.parametrize(
    "text",
    ["8-8+", "8-8+linear+linear", "8-8+inside", "8-8+inside0", "8-8+inside64+linear", "8-8+wide", "+linear"],
)
def test_refuses_what_is_no_variant(text):
    with pytest.raises(ValueError, match=r"no architecture.*\+inside64"):
        Architecture.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8-",
        "-8",
        "8-0-8",
        "8 8",
        "a-b",
        "8.5",
        "٣",
        "8--8",
        "1000000",
        "8x",
        "x3",
        "8x0",
        "8x100",
        "vgg12",
    ],
)
def test_refuses_what_is_no_architecture(text):
    with pytest.raises(ValueError, match="no architecture"):
        Architecture.parse(text)
