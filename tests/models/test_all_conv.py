"""The networks of Springenberg et al.: published shapes, what is between twins, and files."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maxtunnel.models.all_conv import AllConv, Base, Variant, layers_of
from maxtunnel.support.files import FormatError
from maxtunnel.switches.capture import NoSwitches, record

KINDS = [(base, variant) for base in get_args(Base) for variant in get_args(Variant)]


def images(count=2, side=32):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def shapes(base, variant):
    return [(layer.filters, layer.kernel, layer.stride, layer.pooled) for layer in layers_of(base, variant)]


TAIL = [(192, 3, 1, False), (192, 1, 1, False), (10, 1, 1, False)]


@pytest.mark.parametrize(
    ("base", "variant", "stages"),
    [
        ("A", "base", [(96, 5, 1, True), (192, 5, 1, True)]),
        ("A", "strided", [(96, 5, 2, False), (192, 5, 2, False)]),
        ("B", "base", [(96, 5, 1, False), (96, 1, 1, True), (192, 5, 1, False), (192, 1, 1, True)]),
        ("C", "base", [(96, 3, 1, False), (96, 3, 1, True), (192, 3, 1, False), (192, 3, 1, True)]),
        ("C", "strided", [(96, 3, 1, False), (96, 3, 2, False), (192, 3, 1, False), (192, 3, 2, False)]),
        ("C", "convpool", [(f, 3, 1, last) for f in (96, 192) for last in (False, False, True)]),
        ("C", "all", [(f, 3, stride, False) for f in (96, 192) for stride in (1, 1, 2)]),
    ],
)
def test_layers_are_those_of_the_papers_tables(base, variant, stages):
    assert shapes(base, variant) == stages + TAIL


@pytest.mark.parametrize(
    ("base", "weights"),
    # By hand from the tables; with three layers of 3x3 before each place All-CNN-C has its well-known 1.37 M.
    [("A", (839_242, 1_254_250)), ("B", (885_610, 1_300_618)), ("C", (954_730, 1_369_738))],
)
def test_weights_are_as_many_as_published(base, weights):
    few, many = weights
    found = {variant: AllConv(base, variant).weights for variant in get_args(Variant)}
    assert found == {"base": few, "strided": few, "convpool": many, "all": many}


@pytest.mark.parametrize(("base", "variant"), KINDS)
def test_the_mean_of_the_classes_goes_over_6x6_cells(base, variant):
    network = AllConv(base, variant, 3)
    planes = []
    network.convolutions[-1].register_forward_hook(lambda *given: planes.append(given[2].shape))
    assert network(images()).shape == (2, 10)
    assert planes == [(2, 10, 6, 6)]
    assert [tuple(plane.shape[1:]) for plane in network.places(images())] == [(3, 16, 16), (6, 8, 8)]
    assert [shape for _, shape in network.dropped((32, 32))] == [(3, 32, 32), (3, 16, 16), (6, 8, 8)]
    assert [share for share, _ in network.dropped((32, 32))] == [0.2, 0.5, 0.5]


def plain(network, x):
    """The network layer by layer in PyTorch's own words."""
    for layer, convolution in zip(network.layers, network.convolutions, strict=True):
        x = F.relu(
            F.conv2d(x, convolution.weight, convolution.bias, stride=layer.stride, padding=layer.padding)
        )
        if layer.pooled:
            x = nn.MaxPool2d(3, 2, ceil_mode=True)(x)
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


@pytest.mark.parametrize(("base", "variant"), KINDS)
def test_every_convolution_has_its_relu_those_of_stride_2_too(base, variant):
    network = AllConv(base, variant, 4, seed=3)
    torch.testing.assert_close(network(images()), plain(network, images()))
    assert all(bool((plane >= 0).all()) for plane in network.places(images()))


def test_twins_have_the_same_weights_and_differ_in_the_pooling_alone():
    pooled, strided = (AllConv("C", variant, 4, seed=1) for variant in ("convpool", "all"))
    theirs = strided.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in pooled.state_dict().items())
    assert not torch.allclose(pooled(images()), strided(images()))
    # Where the stride of a convolution is, the pooled twin has computed its values too, and more.
    x = images()
    for number in range(2):
        x = F.relu(pooled.convolutions[number](x))
    dense = F.relu(pooled.convolutions[2](x))
    torch.testing.assert_close(strided.places(images())[0], dense[..., ::2, ::2])
    torch.testing.assert_close(pooled.places(images())[0], F.max_pool2d(dense, 3, 2, ceil_mode=True))


def test_dropout_multiplies_the_input_and_what_is_behind_the_places():
    network = AllConv("C", "all", 4)
    ones = [torch.ones(2, *shape) for _, shape in network.dropped((32, 32))]
    assert torch.equal(network(images(), ones), network(images()))
    for number in range(3):
        kept = [torch.zeros_like(mask) if number == n else mask for n, mask in enumerate(ones)]
        first, second = network(images(), kept)
        # Nothing of the image comes through.
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("variant", "millions"),
    # Rows x columns x inputs x filters x kernel^2, layer by layer.
    [("convpool", 398.20032), ("all", 270.798336)],
)
def test_multiplications_are_counted_layer_by_layer(variant, millions):
    assert AllConv("C", variant).multiplications((32, 32)) == millions * 1e6


def test_pooling_is_captured_and_a_network_without_it_has_no_switches():
    levels = record(AllConv("C", "convpool", 4).eval(), images()).levels
    assert [tuple(level.switches.codes.shape) for level in levels] == [(2, 4, 16, 16), (2, 8, 8, 8)]
    with pytest.raises(NoSwitches):
        record(AllConv("C", "all", 4).eval(), images())


def test_images_may_have_any_size_that_the_layers_take():
    for variant in get_args(Variant):
        assert AllConv("C", variant, 2)(images(1, 12)).shape == (1, 10)


@pytest.mark.parametrize("name", ["width", "channels", "classes"])
def test_numbers_below_1_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` is 0: expected at least 1"):
        AllConv(**{name: 0})


def test_names_are_the_papers():
    assert AllConv("C", "all", 1).name == "All-CNN-C"
    assert AllConv("A", "base", 1).name == "Model A"


def test_a_file_gives_the_network_back(tmp_path):
    network = AllConv("B", "strided", 3, classes=4, seed=2)
    network.mean.fill_(0.4)
    network.save(tmp_path / "network.safetensors")
    found = AllConv.load(tmp_path / "network.safetensors")
    assert found.settings == network.settings
    assert torch.equal(found(found.normalise(images())), network(network.normalise(images())))
    assert all(parameter.requires_grad for parameter in found.parameters())


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"no network")
    with pytest.raises(FormatError, match=r"network\.safetensors cannot be read"):
        AllConv.load(path)
