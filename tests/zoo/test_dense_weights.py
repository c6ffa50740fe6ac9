"""Caffe's files of dense networks against its layers in PyTorch's own; VGG's weights in their encoders."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from caffe_writer import encode_layer, write
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.cedn import cedn
from maxtunnel.models.deconvnet import deconvnet
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import DenseLayer, DenseShape
from maxtunnel.models.segnet import segnet, segnet_basic
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.caffe import read_layers
from maxtunnel.zoo.dense import read_convolutions, take_caffemodel, take_connected, take_vgg
from plain_dense import through

NUMBERS = {"Convolution": 4, "Deconvolution": 39, "BN": 43, "InnerProduct": 14}
TINY = DenseShape(((DenseLayer(2),),), ((DenseLayer(2, norm=False, relu=False),),), pooled=1)


def file(folder: Path, layers, style="new") -> Path:
    """A `.caffemodel` of (name, type, blobs)."""
    kinds = NUMBERS if style == "V1" else {}
    data = b"".join(
        encode_layer(name, blobs, style, kind=kinds.get(kind, kind)) for name, kind, blobs in layers
    )
    return write(folder, data)


def numbers(*shape, seed=0, low=-1.0):
    return np.random.default_rng([seed, *shape]).uniform(low, 1, shape).astype(np.float32)


def layers_of(network, norm, deconvolution=False):
    """Layers of a file for the network: a convolution each, and what normalises it."""
    stages = (*network.shape.encoder, *network.shape.decoder)
    kinds = [kind for stage in stages for kind in stage]
    first_up = sum(map(len, network.shape.encoder))
    found = []
    for number, (own, kind) in enumerate(zip(network.layers, kinds, strict=True)):
        up = deconvolution and number >= first_up and number < len(kinds) - 1
        out, into, side, _ = own.weight.shape
        shape = (into, out, side, side) if up else (out, into, side, side)
        weight = numbers(*shape, seed=number) / side
        name, where = f"layer{number}", (1, out, 1, 1)
        found.append((name, "Deconvolution" if up else "Convolution", [weight, numbers(out, seed=1)]))
        if not kind.norm:
            continue
        scale, shift = numbers(out, seed=2, low=0.5), numbers(out, seed=3)
        if norm == "BN":
            found.append((f"{name}_bn", "BN", [scale.reshape(where), shift.reshape(where)]))
        elif norm == "BatchNorm":
            factor = np.array([2.0], np.float32)
            sums = [numbers(out, seed=4), numbers(out, seed=5, low=0.2), factor]
            found += [(f"{name}_bn", "BatchNorm", sums), (f"{name}_scale", "Scale", [scale, shift])]
    return found


def caffe(network, layers, x):
    """What Caffe computes of BGR at test time."""
    convolutions = []
    for _, kind, blobs in layers:
        blobs = [torch.from_numpy(blob) for blob in blobs]
        if "onvolution" in kind:
            convolutions.append([(kind, blobs)])
        else:
            convolutions[-1].append((kind, [blob.flatten()[:, None, None] for blob in blobs]))
    groups = iter(convolutions)

    def stage(x, kinds):
        for layer in kinds:
            (kind, blobs), *norms = next(groups)
            if kind == "Deconvolution":
                # Caffe's own border crops what a deconvolution makes.
                border = layer.kernel - 1 - layer.padding
                x = F.conv_transpose2d(x, *blobs, padding=border)
            else:
                x = F.conv2d(x, *blobs, padding=layer.padding)
            for kind, blobs in norms:
                if kind == "BatchNorm":
                    mean, variance, factor = blobs
                    x = (x - mean / factor) / (variance / factor + 1e-5).sqrt()
                else:
                    x = x * blobs[0] + blobs[1]
            x = F.relu(x) if layer.relu else x
        return x

    return through(network.shape, x, stage)


@pytest.mark.parametrize(
    ("make", "size", "norm", "style", "deconvolution"),
    [
        (lambda: segnet(3, 1), (36, 40), "BN", "new", False),
        (lambda: segnet(3, 1), (36, 40), "BatchNorm", "new, doubles", False),
        (lambda: segnet(3, 1), (36, 40), "absorbed", "new", False),
        (lambda: segnet_basic(3, 2), (18, 20), "BN", "new, one by one", False),
        (lambda: deconvnet(3, 1, side=3), (66, 70), "BN", "V1", True),
        (lambda: cedn(2, side=3), (33, 40), "none", "V1", False),
    ],
)
def test_a_file_gives_what_caffe_gives(tmp_path, make, size, norm, style, deconvolution):
    network = make()
    layers = layers_of(network, norm, deconvolution)
    take_caffemodel(network, file(tmp_path, layers, style))
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    bgr = (x * 255 - 255 * network.mean[:, None, None]).flip(1)
    expected = caffe(network, layers, bgr)
    assert expected.std() > 0
    torch.testing.assert_close(
        network.answer(x), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
    )


def test_layers_say_their_types(tmp_path):
    blobs = [numbers(2, 3, 1, 1), numbers(2)]
    layers = [("one", "Convolution", blobs), ("two", "PReLU", blobs[1:])]
    assert [layer.kind for layer in read_layers(file(tmp_path, layers)).values()] == ["Convolution", "PReLU"]
    numbered = [
        ("one", "Convolution", blobs),
        ("two", "BN", blobs),
        ("three", 77, blobs),
        ("four", "", blobs),
    ]
    found = read_layers(file(tmp_path, numbered, "V1"))
    assert [layer.kind for layer in found.values()] == ["Convolution", "BN", "77", ""]


def test_a_batch_norm_that_summed_nothing_up_has_nothing_to_divide_by(tmp_path):
    layers = [
        ("one", "Convolution", [numbers(2, 3, 1, 1), numbers(2)]),
        ("two", "BatchNorm", [numbers(2), numbers(2, low=0), np.zeros(1, np.float32)]),
    ]
    (found,) = read_convolutions(file(tmp_path, layers))
    assert not found.mean.any()
    assert not found.variance.any()


CONV = ("one", "Convolution", [numbers(2, 3, 3, 3), numbers(2)])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([("norm", "BN", [numbers(2), numbers(2)])], "'norm': is a BN before any convolution"),
        (
            [CONV, ("norm", "BN", [numbers(3), numbers(3)])],
            "'norm': has blobs of 3, 3 numbers: expected 2 and 2",
        ),
        ([CONV, ("norm", "BatchNorm", [numbers(2), numbers(2)])], "of 2, 2 numbers: expected 2, 2 and 1"),
        (
            [CONV, ("norm", "BatchNorm", [numbers(2), np.float32([-1, 1]), np.ones(1, np.float32)])],
            "a variance below 0",
        ),
        ([CONV, ("slope", "PReLU", [numbers(2)])], "'slope': has the type 'PReLU': expected Convolution"),
        ([("one", "Convolution", [numbers(2, 3, 3, 3)])], "has 1 blobs: expected weights of four axes"),
        ([("one", "Convolution", [numbers(2, 3, 3, 3), numbers(3)])], "has 3 biases for 2 filters"),
        ([CONV], "has 1 convolutions: expected 2"),
        ([CONV, ("two", *CONV[1:])], r"'two' has weights \(2, 3, 3, 3\): expected \(2, 2, 3, 3\)"),
        (
            [
                CONV,
                ("two", "Convolution", [numbers(2, 2, 3, 3), numbers(2)]),
                ("norm", "BN", [numbers(2), numbers(2)]),
            ],
            "'two' is normalised, but not in this network",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(tmp_path, layers, message):
    network = DenseNetwork(TINY)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(FormatError, match=message):
        take_caffemodel(network, file(tmp_path, layers))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_fully_connected_layers_are_left_out(tmp_path):
    second = ("two", "Convolution", [numbers(2, 2, 3, 3), numbers(2)])
    path = file(tmp_path, [CONV, ("fc", "InnerProduct", [numbers(5, 2), numbers(5)]), second])
    take_caffemodel(DenseNetwork(TINY), path)


@pytest.fixture
def vgg(tmp_path: Path) -> Path:
    """A VGG16 of one filter where it has 64, as Caffe has it."""
    channels = [(3, 1), (1, 1), (1, 2), (2, 2), (2, 4), *[(4, 4)] * 2, (4, 8), *[(8, 8)] * 5]
    names = [
        f"conv{block}_{index}"
        for block, count in enumerate(Architecture.parse("vgg16").layers, 1)
        for index in range(1, count + 1)
    ]
    layers = [
        (name, "Convolution", [numbers(b, a, 3, 3, seed=n), numbers(b, seed=n)])
        for n, (name, (a, b)) in enumerate(zip(names, channels, strict=True))
    ]
    return file(tmp_path, layers)


@pytest.mark.parametrize(
    "make", [lambda: segnet(3, 1), lambda: deconvnet(3, 1, side=3), lambda: cedn(1, side=3)]
)
def test_vggs_weights_give_vggs_planes(vgg, make):
    network = take_vgg(make(), vgg).eval()
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([122.679, 116.669, 104.007])[:, None, None]
    plane = (x * 255 - mean).flip(1)
    convolutions = iter(read_layers(vgg).values())
    planes = network.encoder(network.normalise(x)).planes
    for count, found in zip(Architecture.parse("vgg16").layers, planes, strict=False):
        for _ in range(count):
            weight, bias = (torch.from_numpy(blob) for blob in next(convolutions).blobs)
            plane = F.relu(F.conv2d(plane, weight, bias, padding=1))
        plane = F.max_pool2d(plane, 2)
        torch.testing.assert_close(found, plane, rtol=1e-3, atol=1e-3 * float(plane.abs().max() + 1))


def test_a_vgg_of_another_width_or_depth_is_refused(vgg):
    with pytest.raises(
        FormatError, match=r"convolution 1 has weights \(1, 3, 3, 3\): expected \(2, 3, 3, 3\)"
    ):
        take_vgg(segnet(3, 2), vgg)
    with pytest.raises(FormatError, match="has blocks of"):
        take_vgg(segnet_basic(3, 1), vgg)


@pytest.mark.parametrize("make", [lambda: deconvnet(3, 1, side=3), lambda: cedn(1, side=3)])
def test_vggs_connected_layers_become_convolutions(tmp_path, make):
    network = make().eval()
    widths, layers = [(64, 8 * 9), (64, 64)], []
    for name, (out, into) in zip(("fc6", "fc7"), widths, strict=True):
        layers.append((name, "InnerProduct", [numbers(1, 1, out, into), numbers(1, 1, 1, out)]))
    take_connected(network, file(tmp_path, layers, "V1"))
    plane = torch.rand(1, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = plane.flatten()
    stage = network.encoder.stages[-1]
    for (_, _, blobs), _ in zip(layers, stage, strict=False):
        weight, bias = (torch.from_numpy(blob).squeeze() for blob in blobs)
        expected = F.relu(weight @ expected + bias)
    # The value in the middle, where a border of zeros changes nothing.
    found = stage(plane)
    middle = found.shape[-1] // 2
    torch.testing.assert_close(found[0, :, middle, middle], expected, rtol=1e-4, atol=1e-4)


def test_connected_layers_that_do_not_fit_are_refused(tmp_path):
    path = file(tmp_path, [("fc6", "InnerProduct", [numbers(64, 72), numbers(64)])])
    with pytest.raises(
        FormatError, match=r"layer 'fc6' has blobs of \[4608, 64\] numbers: expected 18432 and 128"
    ):
        take_connected(cedn(2, side=3), path)
    with pytest.raises(FormatError, match=r"layer 'fc7' has blobs of \[\] numbers"):
        take_connected(deconvnet(3, 1, side=3), path)
    with pytest.raises(ValueError, match="has no layers behind its last pooling"):
        take_connected(segnet(3, 1), path)
