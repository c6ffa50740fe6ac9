"""Pooling to codes and back on a GPU, for random windows: the CPU's results."""

import random

import pytest
import torch

from maxtunnel.switches.changes import fixed, flipped, halved, rows_only, shuffled, uniform
from maxtunnel.switches.codes import SwitchLevel
from maxtunnel.switches.indices import from_indices, to_indices
from maxtunnel.switches.packing import pack, unpack
from maxtunnel.switches.pooling import pool, unpool
from maxtunnel.switches.window import Window

pytestmark = pytest.mark.gpu

FORMATS = [torch.contiguous_format, torch.channels_last]
# Each window and type is compiled anew, which takes tenths of a second.
RANDOM = 10


def random_case(number):
    """A window of any geometry, a plane with ties that it fits into, and how its sums are taken."""
    draw = random.Random(number)
    pair = lambda low, high: (draw.randint(low, high), draw.randint(low, high))  # noqa: E731
    while True:
        kernel, stride, dilation, size = pair(1, 4), pair(1, 4), pair(1, 3), pair(5, 40)
        padding = (draw.randint(0, kernel[0] // 2), draw.randint(0, kernel[1] // 2))
        window = Window(kernel, stride, padding, dilation, draw.random() < 0.5)
        try:
            window.output_size(size)
        except ValueError:
            continue
        dtype = draw.choice([torch.float32, torch.float32, torch.bfloat16, torch.float16, torch.float64])
        return case(window, size, dtype, draw.choice(FORMATS), number)


def case(window, size, dtype, order, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-2, 3, (2, 5 + seed, *size), generator=generator).to(dtype)
    return x.contiguous(memory_format=order), window


CASES = [
    *(random_case(number) for number in range(RANDOM)),
    *(
        case(Window(), (16, 24), dtype, order)
        for dtype in (torch.float32, torch.bfloat16)
        for order in FORMATS
    ),
    case(Window(), (9, 15), torch.float32, torch.channels_last),
    case(Window(3, 2, 1), (17, 32), torch.float32, torch.channels_last),
    case(Window(3, 2, ceil_mode=True), (16, 16), torch.float32, torch.contiguous_format),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_pool_equals_the_cpus(device, number):
    x, window = CASES[number]
    size = (x.shape[-2], x.shape[-1])
    expected, where = pool(x, window)
    values, codes = pool(x.to(device), window)
    assert values.dtype == x.dtype
    assert torch.equal(values.cpu(), expected)
    assert torch.equal(codes.cpu(), where)
    order = next(order for order in FORMATS if x.is_contiguous(memory_format=order))
    assert codes.is_contiguous(memory_format=order)
    indices = to_indices(codes, window, size)
    assert torch.equal(indices.cpu(), to_indices(where, window, size))
    assert torch.equal(from_indices(indices, window, size), codes)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_unpool_and_its_gradient_equal_the_cpus(device, number):
    """Sums too, as all devices add in the same order; half precision may round at other places."""
    x, window = CASES[number]
    size = (x.shape[-2], x.shape[-1])
    _, where = pool(x, window)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(where.shape, generator=generator).to(x.dtype)
    gradient = torch.randn(x.shape, generator=generator).to(x.dtype)
    for overlap in ("sum", "mean", "last"):
        found = []
        for place in ("cpu", device):
            leaf = values.to(place).requires_grad_()
            plane = unpool(leaf, where.to(place), window, size, overlap)
            plane.backward(gradient.to(place))
            found.append((plane.detach().cpu(), leaf.grad.cpu()))
        close = {"rtol": 0.02, "atol": 0.05} if x.dtype.itemsize == 2 else {"rtol": 1e-5, "atol": 1e-5}
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs, **close)


def test_planes_of_nothing_and_of_infinity(device):
    values, codes = pool(torch.full((1, 2, 6, 6), float("-inf"), device=device), Window(3, 2, 1))
    expected = pool(torch.full((1, 2, 6, 6), float("-inf")), Window(3, 2, 1))
    assert torch.equal(values.cpu(), expected[0])
    assert torch.equal(codes.cpu(), expected[1])
    values, codes = pool(torch.empty(0, 3, 8, 8, device=device))
    assert values.shape == codes.shape == (0, 3, 4, 4)
    assert unpool(values, codes).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("window", [Window(), Window(3, 2, 1), Window(3, 1, 1)])
def test_the_gradient_of_pooling_equals_pytorchs(device, window):
    x = torch.randn(2, 5, 18, 22, device=device)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    values, _ = pool(ours, window)
    expected = torch.nn.functional.max_pool2d(theirs, window.kernel, window.stride, window.padding)
    values.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_unpooling_overlapping_windows_gives_the_same_bits_in_every_run(device):
    x = torch.randn(4, 16, 64, 64, device=device)
    values, codes = pool(x, Window(3, 1, 1))
    first, *others = (unpool(values, codes, Window(3, 1, 1), (64, 64)) for _ in range(5))
    assert all(torch.equal(first, other) for other in others)


def test_what_is_wrong_is_refused_as_on_a_cpu(device):
    x = torch.randn(2, 3, 8, 8, device=device)
    x[1, 2, 3, 4] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        pool(x)
    values, codes = pool(x.nan_to_num())
    with pytest.raises(ValueError, match="code is 9"):
        unpool(values, torch.full_like(codes, 9))
    window = Window(3, 2, 1)
    values, codes = pool(x.nan_to_num(), window)
    with pytest.raises(ValueError, match="outside its plane"):
        unpool(values, torch.zeros_like(codes), window, (8, 8))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_packing_equals_the_cpus(device, bits):
    codes = torch.randint(2**bits, (5, 7, 9), dtype=torch.uint8)
    packed = pack(codes.to(device), bits)
    assert torch.equal(packed.cpu(), pack(codes, bits))
    assert torch.equal(unpack(packed, codes.shape[1:], bits).cpu(), codes)


@pytest.mark.parametrize("window", [Window(), Window(3, 2, 1)])
@pytest.mark.parametrize("change", [fixed, uniform, shuffled, flipped(0.3), rows_only, halved])
def test_changes_are_the_same_as_on_a_cpu(device, window, change):
    _, codes = pool(torch.randn(2, 4, 12, 12), window)
    level = SwitchLevel(codes, window, (12, 12))
    expected = change(level, 1, torch.Generator().manual_seed(0))
    found = change(level.with_codes(codes.to(device)), 1, torch.Generator().manual_seed(0))
    assert found.device.type == device.type
    assert torch.equal(found.cpu(), expected)
