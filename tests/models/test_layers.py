import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from maxtunnel.models.layers import conv3x3
from maxtunnel.native import convolution

FORMATS = [torch.contiguous_format, torch.channels_last]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 34), st.integers(1, 7), st.integers(1, 70)),
    st.sampled_from([3, 5]),
    st.booleans(),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    st.sampled_from(FORMATS),
    st.integers(0, 2**32),
)
def test_result_and_gradients_equal_pytorchs(shape, out, relu, dtype, memory_format, seed):
    """Three channels without a ReLU take the kernels of their own."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.float64 if dtype == torch.float64 else torch.float32
    x = torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=memory_format)
    weight = torch.randn(out, shape[1], 3, 3, generator=generator, dtype=weights)
    bias = torch.randn(out, generator=generator, dtype=weights)
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    y = conv3x3(*inputs, relu)
    # In float64 from the same rounded values, so that the oracle adds no error of its own.
    exact = [tensor.detach().to(dtype).double().requires_grad_() for tensor in inputs]
    if dtype == torch.bfloat16 and out == 3 and not relu and convolution.supported(x):
        exact[1:] = [tensor.detach().double().requires_grad_() for tensor in inputs[1:]]
    oracle = F.conv2d(*exact, padding=1)
    oracle = F.relu(oracle) if relu else oracle
    outer = torch.randn(y.shape, generator=generator).to(y.dtype)
    # At a kink of the ReLU both sides are right.
    outer[(oracle.abs() < 0.05) & relu] = 0
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 3e-2}[dtype]

    def close(ours, theirs):
        scale = float(theirs.detach().abs().max()) + 1
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance * scale)

    close(y, oracle)
    ours = torch.autograd.grad(y, inputs, outer)
    for gradient, expected in zip(ours, torch.autograd.grad(oracle, exact, outer.double()), strict=True):
        close(gradient, expected)


def test_only_the_gradients_that_are_asked_for():
    weight, bias = torch.randn(3, 4, 3, 3), torch.randn(3)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    conv3x3(x, weight, bias).sum().backward()
    assert x.grad is not None
    frozen = x.detach()
    conv3x3(frozen, weight.requires_grad_(), bias).sum().backward()
    assert weight.grad is not None
    assert frozen.grad is None


def test_autocast_takes_its_dtype():
    x, weight, bias = torch.randn(1, 4, 8, 8), torch.randn(5, 4, 3, 3), torch.randn(5)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv3x3(x, weight, bias, relu=True)
        oracle = F.relu(F.conv2d(x, weight, bias, padding=1))
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, oracle)


@pytest.mark.filterwarnings("ignore")
def test_it_can_be_exported():
    class Net(torch.nn.Module):
        def forward(self, x):
            return conv3x3(x, torch.ones(3, 4, 3, 3), torch.zeros(3), relu=True)

    x = torch.randn(1, 4, 8, 8)
    exported = torch.export.export(Net(), (x,)).module()
    torch.testing.assert_close(exported(x), Net()(x))
