"""Against the original software's arrays, and against golden arrays of stock PyTorch layers."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_full_backward_pre_hook

from maxtunnel.models import fast
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.indices import to_indices
from maxtunnel.switches.window import Window
from maxtunnel.zoo.caffe import load_caffemodel
from reference import decoder_layers, fill, network_of, record, to_convolution

GOLDEN = Path(__file__).parents[1] / "golden" / "network.npz"


def small(text="4-6", side=16, seed=0):
    return TunnelNetwork(Architecture.parse(text), torch.full((3, side, side), 0.45), 4.0, seed)


def golden():
    arrays = {name: torch.from_numpy(value) for name, value in np.load(GOLDEN).items()}
    network = network_of((3, 4, 5), torch.zeros(3, 16, 16))
    fill(network, lambda layer, kind: arrays[f"start.{layer}.{kind}" if kind else "start.bias_code"])
    return arrays, network


def close_to_largest(actual, expected, tolerance):
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def test_golden_forward_and_switches():
    arrays, network = golden()
    _, codes = network.encoder(arrays["images"].double() - arrays["mean"])
    for level, where in enumerate(codes, 1):
        assert torch.equal(to_indices(where), arrays[f"mask{level}"].long())
    torch.testing.assert_close(network.decoder(codes), arrays["output"], rtol=0, atol=1e-9)


def test_golden_gradients():
    arrays, network = golden()
    x = arrays["images"].double() - arrays["mean"]
    _, codes = network.encoder(x)
    loss = (network.decoder(codes) - x).square().sum() / (2 * len(x))
    assert loss.item() == pytest.approx(float(arrays["loss"]), rel=1e-12)
    loss.backward()
    for name, conv in zip(decoder_layers(network), network.decoder.convs, strict=True):
        close_to_largest(conv.weight.grad, to_convolution(arrays[f"grad.{name}.weight"]), 1e-10)
        close_to_largest(conv.bias.grad, arrays[f"grad.{name}.bias"], 1e-10)
    close_to_largest(network.decoder.bias_code.grad, arrays["grad.bias_code"], 1e-10)


@pytest.fixture(scope="module")
def original(shared):
    """The original software's arrays for the published 8-8-8, and that network, with BGR turned to RGB."""
    arrays = np.load(shared / "reference/caffe_forward/net8_8_8_forward_backward.npz")
    network = load_caffemodel(shared / "reference/snapshots/net8_8_8_iter_50000.caffemodel")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}, network


def test_original_output_and_every_switch(original):
    arrays, network = original
    _, codes = network.encoder(arrays["data"].flip(1))
    for level, where in enumerate(codes, 1):
        assert torch.equal(to_indices(where), arrays[f"pool{level}_mask"].long())
    torch.testing.assert_close(network.decoder(codes).flip(1), arrays["deconv1_2"], rtol=0, atol=1e-4)


def test_original_gradients(original):
    arrays, network = original
    network = network.double()
    x = arrays["data"].flip(1).double()
    _, codes = network.encoder(x)
    loss = (network.decoder(codes) - x).square().sum() / (2 * len(x))
    assert loss.item() == pytest.approx(float(arrays["loss"]), rel=1e-6)
    loss.backward()
    for name, conv in zip(decoder_layers(network), network.decoder.convs, strict=True):
        weight, bias = arrays[f"grad_{name}.0"], arrays[f"grad_{name}.1"].flatten()
        if name == "deconv1_2":
            weight, bias = weight.flip(1), bias.flip(0)
        close_to_largest(conv.weight.grad, to_convolution(weight), 1e-5)
        close_to_largest(conv.bias.grad, bias, 1e-5)
    close_to_largest(network.decoder.bias_code.grad, arrays["grad_bias4.1"].flatten(), 1e-5)
    assert all(not p.requires_grad for p in network.encoder.parameters())


def test_no_feature_passes():
    """Every feature changes and every switch stays: no output bit changes."""
    network, images = small(), torch.rand(2, 3, 32, 32)
    code = network.encode(images)
    before, features = network.decode(code), network.encoder(network.normalise(images))[0]
    with torch.no_grad():
        network.encoder.convs[-1].weight *= 3
        network.encoder.convs[-1].bias *= 3
    changed, _ = network.encoder(network.normalise(images))
    assert (changed != features)[features > 0].all()
    assert network.encode(images) == code
    assert torch.equal(network.reconstruct(images), before)


def test_the_switches_do_matter():
    network, images = small(), torch.rand(2, 3, 32, 32)
    code = network.encode(images)
    flat = SwitchCode(tuple(level.with_codes(level.codes * 0) for level in code.levels), code.image_size)
    assert not torch.equal(network.decode(flat), network.decode(code))


@pytest.mark.parametrize("size", [(32, 32), (31, 17), (1, 1), (2, 100)])
def test_images_come_back_at_their_own_size(size):
    network = small("3-4-5")
    images = torch.rand(2, 3, *size)
    code = network.encode(images)
    assert network.decode(code).shape == images.shape
    padded = network.architecture.padded_size(size)
    assert code.levels[0].size == padded
    assert code.nominal_bits_per_pixel == pytest.approx(network.architecture.bits_per_pixel(size))


def test_padding_repeats_the_edge():
    network, images = small("3-4-5"), torch.rand(1, 3, 20, 30)
    whole = torch.cat([images, images[..., -1:].expand(-1, -1, -1, 2)], dim=-1)
    whole = torch.cat([whole, whole[..., -1:, :].expand(-1, -1, 4, -1)], dim=-2)
    assert torch.equal(network.reconstruct(images), network.reconstruct(whole)[..., :20, :30])


def test_empty_batch():
    assert small().reconstruct(torch.rand(0, 3, 16, 16)).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_nan_and_infinity_are_refused(poison):
    images = torch.rand(1, 3, 16, 16)
    images[0, 0, 3, 3] = poison
    with pytest.raises(ValueError, match=r"NaN|up to inf"):
        small().encode(images)


def test_grey_levels_are_refused():
    """The mistake that would go unnoticed: a reconstruction comes out, of another picture."""
    with pytest.raises(ValueError, match="divide grey levels by 255"):
        small().encode(torch.rand(1, 3, 16, 16) * 255)


def test_refuses_codes_of_another_network():
    images = torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match="does not fit the network 4-6"):
        small("4-6").decode(small("4-5").encode(images))
    code = small("4-6").encode(images)
    with pytest.raises(ValueError, match="a code is"):
        small("4-6").decode(
            SwitchCode(tuple(level.with_codes(level.codes | 4) for level in code.levels), (16, 16))
        )


def test_seed_draws_the_network():
    first, again, other = small(seed=1), small(seed=1), small(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.encoder.convs[0].weight, other.encoder.convs[0].weight)


def test_initialisation_is_caffes():
    network = TunnelNetwork(Architecture((16, 32)), torch.zeros(3, 1, 1))
    for conv, fan_in in zip(network.encoder.convs, (3, 16, 16, 32), strict=True):
        assert conv.weight.abs().max().item() == pytest.approx((3 / (9 * fan_in)) ** 0.5, rel=0.02)
    for conv, fan_in in zip(network.decoder.convs, (32, 16, 16, 3), strict=True):
        assert conv.weight.abs().max().item() == pytest.approx((3 / (9 * fan_in)) ** 0.5, rel=0.02)
        assert conv.bias.eq(0).all()
    assert network.decoder.bias_code.abs().max() <= (3 / 32) ** 0.5


def test_save_and_load(tmp_path):
    network = small()
    network.provenance = Provenance(record(rmse=0.125))
    network.save(tmp_path / "deep" / "network.safetensors")
    loaded = TunnelNetwork.load(tmp_path / "deep" / "network.safetensors")
    images = torch.rand(1, 3, 24, 24)
    assert torch.equal(loaded.reconstruct(images), network.reconstruct(images))
    assert (loaded.provenance, loaded.scale) == (network.provenance, 4.0)
    assert loaded.architecture == network.architecture
    assert all(p.requires_grad for p in loaded.decoder.parameters())
    assert not any(p.requires_grad for p in loaded.encoder.parameters())


def damage(path, tensors=None, **metadata):
    whole = load_file(path)
    old = {"format": "maxtunnel network 1", "architecture": "4-6", "scale": "4.0", "info": "{}"}
    new = {name: text for name, text in (old | metadata).items() if text is not None}
    save_file(whole | (tensors or {}), path, new)


def told(**changes):
    """What a file says of its training, with some of it changed."""
    return json.dumps(asdict(record()) | changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"architecture": "4-7"},
            r"convs.2.weight is \(6, 4, 3, 3\), expected \(7, 4, 3, 3\) \(8 tensors in all do not fit\)",
        ),
        ({"architecture": "99999-99999"}, r"convs.0.weight is \(4, 3, 3, 3\), expected \(99999, 3, 3, 3\)"),
        ({"architecture": "4-6-8"}, "encoder.convs.4.weight is missing"),
        ({"architecture": "x"}, "no architecture"),
        ({"scale": "nan"}, "scale"),
        ({"scale": "-1"}, "scale"),
        ({"info": "[]"}, "provenance"),
        ({"info": '{"rmse": 0.1}'}, "recipe is missing"),
        ({"info": '{"loss": 0.1}'}, "no 'loss'"),
        ({"info": "{"}, "damaged network: `info` of its metadata is no JSON"),
        ({"info": None}, "its metadata has no `info`; take another copy"),
        ({"tensors": {"spare": torch.zeros(3)}}, "network: spare is none of its tensors; take another copy"),
        ({"info": "[" * 100_000}, "damaged"),
        ({"info": told(recipe={"name": "fast", "steps": 5})}, "recipe has no 'batch'"),
        (
            {"info": told(recipe={"name": "fast", "steps": "5", "batch": 1})},
            "steps is '5': expected a number",
        ),
        ({"format": "other"}, "no maxtunnel network"),
        ({"tensors": {"mean": torch.zeros(3)}}, "mean is"),
        ({"tensors": {"mean": torch.full((3, 1, 1), math.nan)}}, "not finite"),
        ({"tensors": {"mean": torch.zeros(3, 1, 1, dtype=torch.float16)}}, "not float32"),
    ],
)
def test_damaged_files_are_named(tmp_path, change, message):
    path = tmp_path / "network.safetensors"
    small().save(path)
    damage(path, **change)
    with pytest.raises(FormatError, match=message) as caught:
        TunnelNetwork.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "network.safetensors"
    small().save(path)
    content = path.read_bytes()
    for stump in (b"", content[:5], content[:100], content[:-1], b"\xff" * 200, json.dumps({}).encode()):
        path.write_bytes(stump)
        with pytest.raises(FormatError, match=r"network\.safetensors cannot be read"):
            TunnelNetwork.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "network.safetensors"
    small().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(
        "maxtunnel.models.checkpoint.save_file", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        small(seed=3).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_mean_follows_the_size_of_the_image():
    mean = torch.rand(3, 8, 8)
    network = TunnelNetwork(Architecture((2,)), mean, 2.0)
    assert torch.equal(network.mean_at((8, 8)), mean)
    assert network.mean_at((16, 12)).shape == (3, 16, 12)
    images = torch.rand(1, 3, 16, 12)
    torch.testing.assert_close(network.denormalise(network.normalise(images), (16, 12)), images)
    assert Window() == network.encode(images).levels[0].window


def test_hooks_of_layers_fire():
    """Also where the native way would pass the layers by."""
    network, images, seen = small("3-4-5"), torch.rand(1, 3, 16, 16), {}
    layers = {"conv2_1": network.encoder.convs[2], "deconv1_2": network.decoder.convs[-1]}
    before = network.reconstruct(images)
    handles = [
        layer.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
        for name, layer in layers.items()
    ]
    torch.testing.assert_close(network(images), before, rtol=0, atol=1e-5)
    activations = dict(network.activations(images))
    assert seen.keys() == layers.keys()
    for name, output in seen.items():
        torch.testing.assert_close(output, activations[name])
    seen.clear()
    for handle in handles:
        handle.remove()
    assert torch.equal(network(images), before)
    assert not seen


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_hooks_of_all_modules_fire_on_the_way_back():
    network, seen = small("3-4-5"), []
    codes = [level.codes for level in network.encode(torch.rand(1, 3, 16, 16)).levels]
    hook = register_module_full_backward_pre_hook(lambda module, *_: seen.append(type(module).__name__))
    try:
        network.decoder.squared_error(codes, torch.rand(1, 3, 16, 16)).backward()
    finally:
        hook.remove()
    assert seen.count("Conv3x3") == 6


def test_convolutions_are_exact_until_the_last_thread_is_done():
    settings = torch.backends.cudnn.conv
    before = settings.fp32_precision
    first, second = (fast.exact(torch.device("cuda")) for _ in range(2))
    try:
        settings.fp32_precision = "tf32"
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert settings.fp32_precision == "ieee"
        second.__exit__(None, None, None)
        assert settings.fp32_precision == "tf32"
    finally:
        settings.fp32_precision = before


def test_activations_of_images_go_through_both_halves():
    network, images = small("3-4"), torch.rand(2, 3, 16, 12)
    found = network.activations(images)
    names = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2"]
    assert [name for name, _ in found[:6]] == names
    assert [name for name, _ in found[6:]] == [
        name for name, _ in network.activations(network.encode(images))
    ]
    assert found[2][1].shape == (2, 3, 8, 6)
    assert not any(x.requires_grad for _, x in found)
