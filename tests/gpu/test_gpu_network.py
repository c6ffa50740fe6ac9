"""Encoding, decoding and measuring on a GPU: the CPU's results within float noise."""

from contextlib import contextmanager

import pytest
import torch

from maxtunnel.benchmark.stock import Graphed
from maxtunnel.codec import dumps
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models import fast, tiling
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import disabled
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.gpu

NAMES = ["8-8-8", "24-48-96"]
# Of values from 0 to 1. TF32 would be off by more.
NOISE = 2e-5


@contextmanager
def no_waiting(device):
    """An error where the CPU waits for the GPU, other than at the end."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", NAMES)
def test_switches_are_the_cpus_but_for_near_ties(device, pieces, few_differ, name):
    images, network = to_float(pieces), load(name)
    expected = network.encode(images)
    network.to(device)
    code = network.encode(images.to(device))
    assert code.levels[0].codes.device.type == device.type
    few_differ(code, expected)
    assert code == network.encode(images.to(device))
    # Images on the CPU are brought to the network.
    assert network.encode(images) == code


@pytest.mark.parametrize("name", NAMES)
def test_the_same_switches_decode_to_the_cpus_images(device, pieces, name):
    images, network = to_float(pieces), load(name)
    code = network.encode(images)
    expected = network.decode(code), network.decode(code, levels=[2, 3])
    network.to(device)
    found = network.decode(code.to(device)), network.decode(code, levels=[2, 3])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.device.type == device.type
        torch.testing.assert_close(ours.cpu(), theirs, rtol=0, atol=NOISE)


def test_channels_last_weights_change_nothing(device, pieces, few_differ):
    images, network = to_float(pieces).to(device), load("8-8-8").to(device)
    code = network.encode(images)
    rebuilt = network.decode(code)
    network.to(memory_format=torch.channels_last)
    few_differ(network.encode(images), code)
    torch.testing.assert_close(network.decode(code), rebuilt, rtol=0, atol=NOISE)


def test_reconstruct_at_sizes_that_are_padded(device):
    network = load("16-16-16")
    images = torch.stack([resize(image, (37, 51)) for image in demo_photographs().values()])
    expected = network.reconstruct(to_float(images))
    rebuilt = network.to(device).reconstruct(to_float(images).to(device))
    assert rebuilt.shape == images.shape
    # A switch that differs changes the pixels around it.
    assert float((rebuilt.cpu() - expected).abs().mean()) < NOISE


def test_large_photographs_go_through_in_pieces(device, few_differ):
    photograph = next(iter(demo_photographs().values()))
    network = load("8-8-8")
    expected, error = tiling.reconstruct(network, photograph, 128)
    code = tiling.encode(network, photograph, 128)
    network.to(device)
    rebuilt, found = tiling.reconstruct(network, photograph, 128)
    assert found == pytest.approx(error, abs=1e-5)
    assert float((rebuilt.int() - expected.int()).abs().float().mean()) < 0.01
    few_differ(tiling.encode(network, photograph, 128), code)
    whole = tiling.decode(network, code, 128)
    assert float((whole.int() - expected.int()).abs().float().mean()) < 0.01


LEAVES = {
    "codes": lambda network, images: network.encode(images).to("cpu"),
    "part": lambda network, images: network.encode(images)[0].levels[0].codes.cpu(),
    "file": lambda network, images: dumps(network.encode(images), network),
    "images": lambda network, images: network.decode(network.encode(images)).cpu(),
    "error": lambda network, images: float((network.reconstruct(images) - images).square().mean()),
    "other device": lambda network, images: (network.reconstruct(images) * 2).to("cpu", torch.float64),
    "into another": lambda network, images: torch.empty(2, 3, 16, 16).copy_(network.reconstruct(images)),
}


@pytest.mark.parametrize("leave", LEAVES)
def test_images_that_are_wrong_are_refused_where_a_result_leaves(device, leave):
    network = load("8-8-8").to(device)
    images = torch.rand(2, 3, 16, 16, device=device)
    LEAVES[leave](network, images)
    with pytest.raises(ValueError, match="grey levels"):
        LEAVES[leave](network, images * 255)
    images[1, 0, 3, 3] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        LEAVES[leave](network, images)
    LEAVES[leave](network, images.nan_to_num())


def test_codes_that_are_wrong_are_refused_where_images_leave(device):
    network = load("8-8-8").to(device)
    code = network.encode(torch.rand(2, 3, 16, 16, device=device)).to("cpu")
    code.levels[2].codes[1, 3, 0, 0] = 4
    # On the host it is known at once, on a GPU where something leaves.
    with pytest.raises(ValueError, match="a code is 4"):
        network.decode(code)
    with pytest.raises(ValueError, match="a code is 4"):
        network.decode(code.to(device)).sum().item()


@pytest.mark.parametrize("strong_width", [None, 8])
def test_nothing_waits_for_the_gpu_between_images_and_images(device, pieces, strong_width):
    """Though everything is checked."""
    mean = torch.full((3, 64, 64), 0.5)
    network = TunnelNetwork(Architecture((8, 8, 8)), mean, strong_width=strong_width).to(device)
    images = to_float(pieces).to(device)
    # What is made at first use.
    network.decode(network.encode(images))
    with no_waiting(device):
        found = network.reconstruct(images), network.decode(network.encode(images))
    assert torch.equal(*(each.cpu() for each in found))


def test_bias_and_relu_inside_of_pooling_change_no_switch(device, pieces, few_differ, monkeypatch):
    network, images = load("24-48-96").to(device), to_float(pieces).to(device)
    code = network.encode(images)
    rebuilt = network.decode(code)
    monkeypatch.setattr(fast, "_fused", lambda *given: None)
    few_differ(network.encode(images), code)
    torch.testing.assert_close(network.decode(code), rebuilt, rtol=0, atol=NOISE)
    with disabled():
        few_differ(network.encode(images), code)
        torch.testing.assert_close(network.decode(code), rebuilt, rtol=0, atol=NOISE)


def test_a_recorded_graph_finds_what_is_wrong_with_later_images(device):
    if device.type != "cuda":
        pytest.skip("graphs are CUDA's")
    network, images = load("8-8-8").to(device), torch.rand(2, 3, 16, 16, device=device)
    rebuild = Graphed(lambda: network.reconstruct(images))
    torch.testing.assert_close(rebuild().cpu(), network.reconstruct(images).cpu())
    images[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        rebuild().cpu()


def test_encoding_and_decoding_keep_no_memory(device, pieces):
    network, images = load("8-8-8").to(device), to_float(pieces).to(device)
    network.reconstruct(images)
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    for _ in range(20):
        network.reconstruct(images)
    after = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    assert after == before


def test_a_network_saved_from_a_gpu_is_the_same_elsewhere(device, tmp_path):
    network = load("8-8-8")
    identity = network.identity()
    network.to(device).save(tmp_path / "n.safetensors")
    assert network.identity() == identity
    again = TunnelNetwork.load(tmp_path / "n.safetensors")
    assert again.device.type == "cpu"
    assert again.identity() == identity


def test_evaluate_measures_what_the_cpu_measures(device, pieces):
    network = load("8-8-8")
    expected = evaluate(network, pieces[:24], bits_images=2)
    found = evaluate(network.to(device), pieces[:24], bits_images=2)
    assert found.rmse == pytest.approx(expected.rmse, abs=1e-5)
    assert found.psnr == pytest.approx(expected.psnr, abs=1e-3)
    assert found.ssim == pytest.approx(expected.ssim, abs=1e-4)
    assert found.bits_per_pixel.entropy == pytest.approx(expected.bits_per_pixel.entropy, rel=1e-3)
