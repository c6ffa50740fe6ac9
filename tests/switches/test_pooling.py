"""PyTorch's own pooling is the oracle."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from maxtunnel.switches.indices import check_codes, from_indices, to_indices
from maxtunnel.switches.pooling import pool, unpool
from maxtunnel.switches.window import Window

FORMATS = [torch.contiguous_format, torch.channels_last]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@st.composite
def cases(draw):
    """A plane full of ties, sometimes of -inf alone, and a window that fits into it."""
    pair = lambda low, high: draw(st.tuples(st.integers(low, high), st.integers(low, high)))  # noqa: E731
    kernel, stride, dilation = pair(1, 4), pair(1, 4), pair(1, 3)
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    window = Window(kernel, stride, padding, dilation, draw(st.booleans()))
    size = pair(1, 12)
    shape = (draw(st.integers(0, 2)), draw(st.sampled_from([1, 2, 5, 16, 19])), *size)
    if draw(st.booleans()):
        window = Window()
    try:
        window.output_size(size)
    except ValueError:
        window, shape = Window(1), shape
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    x = torch.randint(-2, 3, shape, generator=generator).to(draw(st.sampled_from(DTYPES)))
    if draw(st.integers(0, 9)) == 0:
        x = torch.full_like(x, float("-inf"))
    return x.contiguous(memory_format=draw(st.sampled_from(FORMATS))), window


def stock(x, window):
    return F.max_pool2d(
        x,
        window.kernel,
        window.stride,
        window.padding,
        window.dilation,
        window.ceil_mode,
        return_indices=True,
    )


def size_of(x):
    return x.shape[-2], x.shape[-1]


@settings(max_examples=400, deadline=None)
@given(cases())
def test_pool_equals_pytorch_values_and_indices_both_ways(case):
    x, window = case
    values, codes = pool(x, window)
    expected, indices = stock(x, window)
    assert torch.equal(values, expected)
    assert values.dtype == x.dtype
    assert codes.dtype == torch.uint8
    assert torch.equal(to_indices(codes, window, size_of(x)), indices)
    assert torch.equal(from_indices(indices, window, size_of(x)), codes)


@settings(max_examples=300, deadline=None)
@given(cases(), st.sampled_from(["sum", "mean", "last"]))
def test_unpool_puts_values_where_the_rule_says(case, overlap):
    x, window = case
    _, indices = stock(x, window)
    codes = from_indices(indices, window, size_of(x))
    values = torch.randn(codes.shape)
    flat, places = values.flatten(2), indices.flatten(2)
    plane = torch.zeros(*x.shape[:2], x.shape[2] * x.shape[3])
    if overlap == "last":
        for n, c in torch.cartesian_prod(*map(torch.arange, flat.shape[:2])).tolist():
            for value, place in zip(flat[n, c].tolist(), places[n, c].tolist(), strict=True):
                plane[n, c, place] = value
    else:
        plane.scatter_reduce_(2, places, flat, overlap, include_self=False)
    result = unpool(values, codes, window, size_of(x), overlap)
    torch.testing.assert_close(result, plane.view(x.shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory_format", FORMATS)
def test_unpool_equals_max_unpool2d(dtype, memory_format):
    x = torch.randn(2, 24, 10, 36).to(dtype).contiguous(memory_format=memory_format)
    expected, indices = stock(x, Window())
    values, codes = pool(x)
    plane = unpool(values, codes)
    assert torch.equal(plane, F.max_unpool2d(expected, indices, 2))
    for result in (values, codes, plane):
        assert result.is_contiguous(memory_format=memory_format)


def test_odd_sizes_need_the_size_said():
    x = torch.randn(1, 3, 7, 5)
    values, codes = pool(x)
    assert unpool(values, codes).shape == (1, 3, 6, 4)
    assert torch.equal(
        unpool(values, codes, size=(7, 5)), F.max_unpool2d(*stock(x, Window()), 2, output_size=(7, 5))
    )


def far_apart():
    """Values of which a small difference moves no maximum."""
    return torch.randperm(2 * 25, generator=torch.Generator().manual_seed(0)).double().view(1, 2, 5, 5)


SOME_WINDOWS = [Window(), Window(3, 2, 1), Window((3, 2), (2, 1), dilation=2)]


@pytest.mark.parametrize("window", SOME_WINDOWS)
def test_gradients_of_pooling_against_finite_differences(window):
    assert torch.autograd.gradcheck(lambda x: pool(x, window)[0], far_apart().requires_grad_())


@pytest.mark.parametrize("window", SOME_WINDOWS)
@pytest.mark.parametrize("overlap", ["sum", "mean", "last"])
def test_gradients_of_unpooling_against_finite_differences(window, overlap):
    _, codes = pool(far_apart(), window)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(codes.shape, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: unpool(v, codes, window, (5, 5), overlap), values)
    assert torch.autograd.gradgradcheck(lambda v: unpool(v, codes, window, (5, 5), overlap) ** 2, values)


@pytest.mark.parametrize("window", [Window(), Window(3, 2, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_an_error_unless_looked_for_later(window, dtype):
    x = torch.zeros(1, 2, 8, 8, dtype=dtype)
    x[0, 1, 5, 3] = float("nan")
    with pytest.raises(ValueError, match="NaN among the pooled values"):
        pool(x, window)
    values, codes = pool(x, window, check=False)
    assert values.isnan().any()
    check_codes(codes, window, (8, 8))


def test_refuses_codes_that_no_pooling_gives():
    codes = torch.full((1, 1, 4, 4), 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="a code is 4"):
        unpool(torch.ones(1, 1, 4, 4), codes)
    assert unpool(torch.ones(1, 1, 4, 4), codes, check=False).eq(0).all()
    # Code 0 of the first window lies in the padding.
    with pytest.raises(ValueError, match="outside its plane"):
        unpool(torch.ones(1, 1, 4, 4), codes * 0, Window(3, 2, 1), (8, 8))


def test_refuses_shapes_that_disagree():
    codes = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="gives height 3, width 3"):
        unpool(torch.ones(1, 1, 4, 4), codes, size=(6, 6))


def test_overlapping_windows_are_deterministic():
    x = torch.randn(4, 8, 33, 33)
    values, codes = pool(x, Window(3, 1))
    first = unpool(values, codes, Window(3, 1), (33, 33))
    assert all(torch.equal(first, unpool(values, codes, Window(3, 1), (33, 33))) for _ in range(5))


@pytest.mark.parametrize("overlap", ["sum", "last"])
def test_infinite_values_stay_where_they_are_put(overlap):
    window = Window(3, 1)
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1  # all nine windows choose it
    _, codes = pool(x, window)
    values = torch.full(codes.shape, float("inf"))
    plane = unpool(values, codes, window, (5, 5), overlap)
    assert not plane.isnan().any()
    assert plane[0, 0, 2, 2] == float("inf")
