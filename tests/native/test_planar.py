"""`planar.cpp` against PyTorch's layers one by one, which do the work where native code is turned off."""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import build, disabled, planar

pytestmark = pytest.mark.skipif(
    not build.available("planar"), reason="no C++ compiler: the layers one by one are all there is"
)


def nearest_kink(decoder, codes):
    """The least magnitude that a ReLU of the decoder sees, against the layer's largest."""
    nearest = []

    def look(layer, inputs):
        before = F.conv2d(inputs[0], layer.weight, layer.bias, padding=1).abs()
        nearest.append(float(before.min() / before.max()))

    handles = [layer.register_forward_pre_hook(look) for layer in decoder.convs if layer.slope == 0]
    with disabled(), torch.no_grad():
        decoder(codes)
    for handle in handles:
        handle.remove()
    return min(nearest, default=1.0)


def loss_and_gradients(squares, parameters):
    return squares.detach(), *torch.autograd.grad(squares * 0.5, parameters)


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
    features, codes = planar.encode(x, widths, list(network.encoder.parameters()))
    with disabled(), torch.no_grad():
        expected, oracle = network.encoder(x)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    # Sums in another order: where two cells all but agree, either may be the largest.
    flips = sum(int((a != b).sum()) for a, b in zip(codes, oracle, strict=True))
    assert flips <= 1 + 1e-4 * sum(where.numel() for where in oracle)
    codes = [where.contiguous(memory_format=memory_format) for where in oracle]
    parameters = list(network.decoder.parameters())
    output = planar.decode(codes, widths, parameters)
    with disabled(), torch.no_grad():
        expected = network.decoder(codes)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    # Nearer to 0 than sums in another order differ, either side may come out, and the gradient jumps there.
    assume(nearest_kink(network.decoder, codes) > 3e-7)

    ours = loss_and_gradients(planar.squared_error(codes, x, widths, parameters), parameters)
    with disabled():
        theirs = loss_and_gradients(network.decoder.squared_error(codes, x), parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()) + 1e-5)


@pytest.mark.parametrize("widths", [(8,), (5, 3), (3, 9, 4)])
def test_bfloat16_is_as_exact_as_that_of_the_layers(widths):
    """Against float32, loss and gradients come out no worse than PyTorch's own autocast makes them."""
    generator = torch.Generator().manual_seed(0)
    network = TunnelNetwork(Architecture(widths), torch.zeros(3, 8, 8), scale=4.0)
    x = torch.randn(3, 3, 40, 24, generator=generator)
    with torch.no_grad():
        _, codes = network.encoder(x)
    parameters = list(network.decoder.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        squares = planar.squared_error(codes, x, widths, parameters)
    ours = loss_and_gradients(squares, parameters)
    with disabled():
        exact = loss_and_gradients(network.decoder.squared_error(codes, x), parameters)
        with torch.autocast("cpu", torch.bfloat16):
            squares = network.decoder.squared_error(codes, x)
        layers = loss_and_gradients(squares, parameters)
    errors = [
        [float((a - b).norm() / b.norm()) for a, b in zip(each, exact, strict=True)]
        for each in (ours, layers)
    ]
    assert 1e-5 < max(errors[0]) < 1.5 * max(errors[1])


def test_ties_zeros_and_nan():
    """All-zero windows get code 0, the first of equal maxima wins, and a NaN is an error."""
    network = TunnelNetwork(Architecture((4, 4)), torch.zeros(3, 16, 16))
    for parameter in network.encoder.parameters():
        parameter.data.zero_()
    network.encoder.convs[1].bias.data[1] = 1.0
    x = torch.randn(2, 3, 16, 16)
    _, codes = planar.encode(x, (4, 4), list(network.encoder.parameters()))
    with disabled():
        _, oracle = network.encoder(x)
    assert all(torch.equal(a, b) and not a.any() for a, b in zip(codes, oracle, strict=True))
    network.encoder.convs[0].weight.data[:] = 1.0
    network.encoder.convs[1].weight.data[:] = 1.0
    x = torch.zeros(1, 3, 16, 16)
    x[0, 0, 5, 6] = float("nan")
    with torch.no_grad(), pytest.raises(ValueError, match="NaN"):
        network.encoder(x)


def test_networks_take_the_native_way_unless_it_is_turned_off():
    network = TunnelNetwork(Architecture((4, 4)), torch.zeros(3, 16, 16))
    images = torch.rand(1, 3, 16, 16)

    def calls():
        with (
            mock.patch.object(planar, "encode", wraps=planar.encode) as encode,
            mock.patch.object(planar, "decode", wraps=planar.decode) as decode,
            mock.patch.object(planar, "squared_error", wraps=planar.squared_error) as squared_error,
        ):
            code = network.encode(images)
            network.decode(code)
            network.decoder.squared_error([level.codes for level in code.levels], images)
        return encode.call_count, decode.call_count, squared_error.call_count

    assert calls() == (1, 1, 1)
    with disabled():
        assert calls() == (0, 0, 0)


def test_any_number_of_threads():
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


def test_refusals():
    network = TunnelNetwork(Architecture((4, 4)), torch.zeros(3, 16, 16))
    parameters = list(network.decoder.parameters())
    codes = [torch.zeros(1, 4, 8, 8, dtype=torch.uint8), torch.zeros(1, 4, 4, 5, dtype=torch.uint8)]
    with pytest.raises(ValueError, match=r"codes of level 2 .* expected uint8 \(1, 4, 4, 4\)"):
        planar.decode(codes, (4, 4), parameters)
    with pytest.raises(ValueError, match="expected multiples of 4"):
        planar.encode(torch.zeros(1, 3, 8, 10), (4, 4), list(network.encoder.parameters()))
