"""`pooling.cpp` against the plain versions, and what it leaves to them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from maxtunnel.native import build, pooling
from maxtunnel.switches import kernels
from maxtunnel.switches.pooling import pool, unpool
from maxtunnel.switches.window import Window

FORMATS = [torch.contiguous_format, torch.channels_last]
needs_compiler = pytest.mark.skipif(
    not build.available("pooling"), reason="no C++ compiler: the plain versions are all there is"
)


@needs_compiler
@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 40), st.integers(1, 5), st.integers(1, 40)),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.sampled_from(FORMATS),
    st.integers(0, 2**32),
)
def test_native_kernels_equal_the_plain_ones(shape, dtype, memory_format, seed):
    """On ties, infinities, NaN and codes of no window."""
    generator = torch.Generator().manual_seed(seed)
    n, c, h, w = shape
    odd = torch.tensor([float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 1.0, 2.0, 3.0])
    x = odd[torch.randint(8, (n, c, 2 * h, 2 * w), generator=generator)].to(dtype)
    x = x.contiguous(memory_format=memory_format)
    for ours, oracle in zip(pooling.pool(x), kernels.pool_plain(x, Window()), strict=True):
        torch.testing.assert_close(ours, oracle, rtol=0, atol=0, equal_nan=True)
        assert not ours.numel() or ours.is_contiguous(memory_format=memory_format)
    codes = torch.randint(6, shape, generator=generator, dtype=torch.uint8).contiguous(
        memory_format=memory_format
    )
    values = torch.randn(shape, generator=generator).to(dtype)
    assert torch.equal(pooling.put(values, codes), kernels.put_plain(values, codes, Window(), (2 * h, 2 * w)))
    plane = torch.randn((n, c, 2 * h, 2 * w), generator=generator).to(dtype)
    assert torch.equal(pooling.take(plane, codes), kernels.take_plain(plane, codes, Window()))


def test_fake_tensors_have_shapes_but_no_memory():
    with FakeTensorMode() as mode:
        fake = mode.from_tensor(torch.zeros(2, 3, 8, 8))
        values, codes = pool(fake, check=False)
        assert values.shape == codes.shape == (2, 3, 4, 4)
    assert not pooling.supported(fake)


def test_a_traced_program_pools_its_own_input():
    def blocks(x):
        return unpool(*pool(x, check=False), check=False)

    first, other = torch.randn(2, 1, 1, 4, 4)
    traced = make_fx(blocks)(first)
    assert torch.equal(traced(other), blocks(other))
