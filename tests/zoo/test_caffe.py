"""Snapshots against an encoder of the tests' own, and PyTorch's layers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from caffe_writer import (
    SCALAR,
    STYLES,
    Layers,
    encode,
    integer,
    layer,
    message,
    network,
    shaped,
    snapshot,
    write,
)
from maxtunnel.zoo.caffe import _parse, load_caffemodel, read_caffemodel


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("net8_8_8", (8, 8, 8)),
        ("net8_8_8Pretrain", (8, 8, 8)),
        ("net16_16_16", (16, 16, 16)),
        ("net12_24_48", (12, 24, 48)),
        ("net12_24_48Pretrain", (12, 24, 48)),
    ],
)
def test_published_snapshots_load(shared: Path, name: str, widths: tuple[int, ...]) -> None:
    net = load_caffemodel(shared / f"reference/snapshots/{name}_iter_50000.caffemodel")
    assert net.architecture.widths == widths
    assert all(parameter.isfinite().all() for parameter in net.parameters())
    assert net.decoder.bias_code.any()
    # A pretrained encoder learned its biases; a random one keeps the zeros it started from.
    assert all(conv.bias.any() == ("Pretrain" in name) for conv in net.encoder.convs)


def test_literal_bytes_of_a_published_layer(tmp_path: Path) -> None:
    text = "0a 02 6869 12 1a 22 02 6869 32 12 0801 1002 1801 2001 2a 08 0000803f 000000c0 28 05"
    data = bytes.fromhex(text)
    layers = read_caffemodel(write(tmp_path, data))
    assert list(layers) == ["hi"]
    assert layers["hi"][0].tolist() == [[[[1.0]], [[-2.0]]]]


def test_literal_bytes_of_a_newer_layer(tmp_path: Path) -> None:
    data = bytes.fromhex("a206 16 0a 02 6869 3a 10 3a 04 0a 02 02 01 2a 08 0000803f 000000c0")
    assert read_caffemodel(write(tmp_path, data))["hi"][0].tolist() == [[1.0], [-2.0]]


@pytest.mark.parametrize("style", STYLES)
def test_round_trip(tmp_path: Path, style: str) -> None:
    layers = snapshot(2, 3)
    read = read_caffemodel(write(tmp_path, encode(layers, style)))
    assert list(read) == list(layers)
    for name, blobs in layers.items():
        for array, blob in zip(read[name], blobs, strict=True):
            assert array.dtype == np.float32
            assert array.shape == ((1,) * (4 - blob.ndim) if style == "V1" else ()) + blob.shape
            assert array.tobytes() == blob.tobytes()


@pytest.mark.parametrize("style", STYLES)
def test_unknown_fields_are_skipped(style: str) -> None:
    noise = integer(999, -1) + message(998, b"\xff" * 200) + b"\xb5\x3e" + bytes(4)
    noise += b"\xb1\x3e" + bytes(8) + message(2**29 - 1)
    plain, noisy = (_parse(encode(snapshot(2), style, extra)) for extra in (b"", noise))
    assert len(encode(snapshot(2), style, noise)) > len(encode(snapshot(2), style)) + 5000
    assert plain.keys() == noisy.keys()
    for name in plain:
        assert all(map(np.array_equal, plain[name], noisy[name]))


@pytest.mark.parametrize("widths", [(1,), (2, 3), (3, 2, 4), (1, 2, 1, 2)])
@pytest.mark.parametrize("style", ["V1", "new"])
def test_network_equals_caffes_layers(widths: tuple[int, ...], style: str) -> None:
    layers = snapshot(*widths)
    net = network(encode(layers, style))
    assert net.architecture.widths == widths
    assert net.scale == 255.0

    def blobs(name: str) -> list[torch.Tensor]:
        return [torch.from_numpy(blob) for blob in layers[name]]

    blocks = range(1, len(widths) + 1)
    bgr = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    x, masks = bgr, []
    for block in blocks:
        for index in (1, 2):
            x = F.relu(F.conv2d(x, *blobs(f"conv{block}_{index}"), padding=1))
        x, mask = F.max_pool2d(x, 2, return_indices=True)
        masks.append(mask)
    x = F.conv2d(x, *blobs(f"bias{len(widths) + 1}"))
    for block in reversed(blocks):
        x = F.max_unpool2d(x, masks[block - 1], 2)
        for index in (1, 2):
            x = F.conv_transpose2d(x, *blobs(f"deconv{block}_{index}"), padding=1)
            x = F.relu(x) if (block, index) != (1, 2) else x

    with torch.no_grad():
        y = net.decoder(net.encoder(bgr.flip(1))[1]).flip(1)
    torch.testing.assert_close(y, x, rtol=1e-4, atol=1e-4 * x.abs().max().item())


def test_mean_is_imagenets_or_given(tmp_path: Path) -> None:
    path = write(tmp_path, encode(snapshot(1)))
    assert load_caffemodel(path).mean.flatten().mul(255).tolist() == pytest.approx([123, 117, 104])
    mean = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_caffemodel(str(path), mean).mean, mean)


def test_layers_a_network_does_not_need_are_ignored(tmp_path: Path) -> None:
    layers = snapshot(2, 2)
    others: Layers = {"data": [], "fc8": [np.ones((5, 7), np.float32)], "relu": [], "conv9_1": []}
    path = write(tmp_path, encode(others) + encode(layers) + encode({"relu": [], "loss": []}))
    assert read_caffemodel(path).keys() == {"fc8"} | layers.keys()
    loaded, plain = load_caffemodel(path).state_dict(), network(encode(layers)).state_dict()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


def test_limits_are_reached() -> None:
    assert len(_parse(layer(SCALAR * 4096))["x"]) == 4096
    assert _parse(layer(shaped(*[1] * 32)))["x"][0].shape == (1,) * 32


def test_the_last_name_counts_even_after_the_blobs() -> None:
    assert list(_parse(message(2, message(4, b"a"), SCALAR, message(4, b"b")))) == ["b"]
