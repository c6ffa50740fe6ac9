import subprocess
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import build as native
from maxtunnel.native import planar

pytestmark = pytest.mark.skipif(
    native.library("planar") is None, reason="no C++ compiler: the layers one by one are all there is"
)


def both(call):
    """What `planar.cpp` gives, and what the layers one by one give."""
    results = []
    for widest in (10**6, 0):
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(planar, "WIDEST_FLOAT32", widest)
            monkeypatch.setattr(planar, "WIDEST_BFLOAT16", widest)
            results.append(call())
    return results


def nearest_kink(decoder, codes):
    """The least magnitude that a ReLU of the decoder sees, against the layer's largest."""
    nearest = []

    def look(layer, inputs):
        before = F.conv2d(inputs[0], layer.weight, layer.bias, padding=1).abs()
        nearest.append(float(before.min() / before.max()))

    handles = [layer.register_forward_pre_hook(look) for layer in decoder.convs if layer.relu]
    with pytest.MonkeyPatch.context() as monkeypatch, torch.no_grad():
        monkeypatch.setattr(planar, "WIDEST_FLOAT32", 0)
        decoder(codes)
    for handle in handles:
        handle.remove()
    return min(nearest, default=1.0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 19), min_size=1, max_size=4),
    st.integers(1, 3),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
    st.integers(0, 2**32),
)
def test_equals_the_layers_one_by_one(widths, batch, cells, memory_format, seed):
    multiple = 2 ** len(widths)
    network = TunnelNetwork(Architecture(tuple(widths)), torch.zeros(3, 8, 8), scale=1.0, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    size = cells[0] * multiple, cells[1] * multiple
    x = torch.randn(batch, 3, *size, generator=generator).contiguous(memory_format=memory_format)
    with torch.no_grad():
        (features, codes), (expected, oracle) = both(lambda: network.encoder(x))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    # Sums in another order: where two cells all but agree, either may be the largest.
    flips = sum(int((a != b).sum()) for a, b in zip(codes, oracle, strict=True))
    assert flips <= 1 + 1e-4 * sum(where.numel() for where in oracle)
    codes = [where.contiguous(memory_format=memory_format) for where in oracle]
    with torch.no_grad():
        output, expected = both(lambda: network.decoder(codes))
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    # Nearer to 0 than sums in another order differ, either side may come out, and the gradient jumps there.
    assume(nearest_kink(network.decoder, codes) > 3e-7)

    def loss_and_gradients():
        squares = network.decoder.squared_error(codes, x)
        return squares.detach(), *torch.autograd.grad(squares * 0.5, list(network.decoder.parameters()))

    ours, theirs = both(loss_and_gradients)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()) + 1e-5)


@pytest.mark.parametrize("widths", [(8,), (5, 3), (3, 9, 4)])
def test_bfloat16_is_as_exact_as_that_of_the_layers(monkeypatch, widths):
    """Against float32, loss and gradients come out no worse than PyTorch's own autocast makes them."""
    generator = torch.Generator().manual_seed(0)
    network = TunnelNetwork(Architecture(widths), torch.zeros(3, 8, 8), scale=4.0)
    x = torch.randn(3, 3, 40, 24, generator=generator)
    with torch.no_grad():
        _, codes = network.encoder(x)
    parameters = list(network.decoder.parameters())
    monkeypatch.setattr(planar, "multiplies_pairs", lambda: True)

    def loss_and_gradients(bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            squares = network.decoder.squared_error(codes, x)
        return squares.detach(), *torch.autograd.grad(squares, parameters)

    exact = loss_and_gradients(False)
    ours, layers = both(lambda: loss_and_gradients(True))
    errors = [
        [float((a - b).norm() / b.norm()) for a, b in zip(each, exact, strict=True)]
        for each in (ours, layers)
    ]
    assert 1e-5 < max(errors[0]) < 1.5 * max(errors[1])


def test_ties_zeros_and_nan(monkeypatch):
    """All-zero windows get code 0, the first of equal maxima wins, and a NaN is told of."""
    network = TunnelNetwork(Architecture((4, 4)), torch.zeros(3, 16, 16))
    for parameter in network.encoder.parameters():
        parameter.data.zero_()
    network.encoder.convs[1].bias.data[1] = 1.0
    (_, codes), (_, oracle) = both(lambda: network.encoder(torch.randn(2, 3, 16, 16)))
    assert all(torch.equal(a, b) and not a.any() for a, b in zip(codes, oracle, strict=True))
    network.encoder.convs[0].weight.data[:] = 1.0
    network.encoder.convs[1].weight.data[:] = 1.0
    x = torch.zeros(1, 3, 16, 16)
    x[0, 0, 5, 6] = float("nan")
    monkeypatch.setattr(planar, "WIDEST_FLOAT32", 10**6)
    with torch.no_grad(), pytest.raises(ValueError, match="NaN"):
        network.encoder(x)


def test_any_number_of_threads(monkeypatch):
    """Fewer images than cores: the cores share rows."""
    network = TunnelNetwork(Architecture((5, 3)), torch.zeros(3, 24, 24), 4.0)
    images = torch.rand(1, 3, 24, 24)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        code = network.encode(images)
        squares = network.decoder.squared_error([level.codes for level in code.levels], images)
        gradients = torch.autograd.grad(squares, list(network.decoder.parameters()))
        results.append((code, network.decode(code), *gradients))
    torch.set_num_threads(threads)
    assert results[0][0] == results[1][0]
    for a, b in zip(results[0][1:], results[1][1:], strict=True):
        torch.testing.assert_close(a, b)


def test_it_stays_in_its_memory(tmp_path):
    """A vector may reach over the last pixel of a line; what it reads there must be ours, and finite."""
    flags = [
        "-O1",
        "-march=native",
        "-std=c++17",
        "-fopenmp",
        "-fsanitize=address,undefined",
        "-static-libasan",
    ]
    compiled = subprocess.run(
        ["c++", *flags, str(Path(__file__).with_name("bounds.cpp")), "-o", str(tmp_path / "bounds")],
        capture_output=True,
        text=True,
        check=False,
    )
    if compiled.returncode:
        pytest.skip(f"this compiler has no address sanitizer: {compiled.stderr[-200:]}")
    done = subprocess.run([tmp_path / "bounds"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000] + done.stdout


def test_refusals():
    network = TunnelNetwork(Architecture((4, 4)), torch.zeros(3, 16, 16))
    parameters = list(network.decoder.parameters())
    codes = [torch.zeros(1, 4, 8, 8, dtype=torch.uint8), torch.zeros(1, 4, 4, 5, dtype=torch.uint8)]
    with pytest.raises(ValueError, match=r"codes of level 2 .* expected uint8 \(1, 4, 4, 4\)"):
        planar.decode(codes, (4, 4), parameters)
    with pytest.raises(ValueError, match="expected multiples of 4"):
        planar.encode(torch.zeros(1, 3, 8, 10), (4, 4), list(network.encoder.parameters()))
