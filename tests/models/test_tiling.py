import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.models import tiling
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.zoo.names import load


def photograph(height, width, seed=0):
    """Smooth and rough parts, uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 6, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    return to_uint8((image + 0.1 * torch.randn(3, height, width, generator=generator)).clamp(0, 1))


def flips(code, other):
    return sum(int((a.codes != b.codes).sum()) for a, b in zip(code.levels, other.levels, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["4", "3-5", "4-4-4", "2-3-2-3", "2-3x3-4x4", "3x5-2x1", "2x1-2x1-2x1"]),
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(1, 3),
    st.integers(0, 2**32),
)
def test_pieces_give_what_the_whole_gives(name, height, width, pieces, seed):
    """In float64, where no near-tie can flip a switch: margins one pixel too small fail here."""
    architecture = Architecture.parse(name)
    network = TunnelNetwork(architecture, torch.rand(3, 20, 20), scale=4.0, seed=seed).double()
    network.decoder.requires_grad_(False)
    image, side = photograph(height, width, seed), 16 * pieces
    whole = network.reconstruct(to_float(image)[None])[0]
    output, rmse = tiling.reconstruct(network, image, side)
    assert (output.int() - to_uint8(whole).int()).abs().max() <= 1
    assert rmse == pytest.approx(float((whole - to_float(image)).square().mean().sqrt()), rel=1e-6)


@pytest.mark.parametrize("name", ["8-8-8", "16-16-16"])
def test_shipped_networks_in_pieces(name):
    network, image = load(name), photograph(301, 475)
    whole, code = network.encode(to_float(image)[None]), tiling.encode(network, image, 64)
    assert code.image_size == whole.image_size
    # Sums in another order: a window whose two largest values all but agree may go the other way.
    assert flips(code, whole) <= 1e-5 * sum(level.codes.numel() for level in whole.levels)
    # With the switches forced, pieces and whole agree.
    rebuilt = torch.full((3, 301, 475), torch.nan)
    for rows, columns, part in tiling.decode_pieces(network, whole, 64):
        rebuilt[:, rows, columns] = part
    torch.testing.assert_close(rebuilt, network.decode(whole)[0], rtol=0, atol=1e-4)
    assert torch.equal(tiling.decode(network, whole, 64), to_uint8(rebuilt))


def test_refusals():
    network = load("8-8-8")
    with pytest.raises(ValueError, match="multiple of 8"):
        tiling.reconstruct(network, photograph(20, 20), 12)
    code = network.encode(torch.rand(2, 3, 16, 16))
    with pytest.raises(ValueError, match="expected one"):
        tiling.decode(network, code)
    with pytest.raises(ValueError, match="does not fit"):
        tiling.decode(load("16-16-16"), code[0])
