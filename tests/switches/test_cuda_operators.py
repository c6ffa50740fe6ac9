"""Pool, put and take on a GPU, by Triton and by PyTorch's own operations, against those of the CPU."""

import pytest
import torch

from maxtunnel.native.arguments import memory_format as order
from maxtunnel.switches import kernels, operators
from maxtunnel.switches.packing import pack, unpack
from maxtunnel.switches.pooling import pool, unpool
from maxtunnel.switches.window import Window

pytestmark = pytest.mark.gpu
FORMATS = [torch.contiguous_format, torch.channels_last]
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
WAYS = ["as chosen", "PyTorch's own"]


def windows(count):
    """The paper's, the usual ones, a very large one, and random ones, each with a plane it fits."""
    usual = [
        Window(),
        Window(ceil_mode=True),
        Window(3, 2, 1),
        Window(3, 1),
        Window(5, 1, 2),
        Window(16, 4, 8),
    ]
    yield from ((window, (24, 26)) for window in usual)
    generator = torch.Generator().manual_seed(0)

    def pair(low, high):
        return tuple(torch.randint(low, high + 1, (2,), generator=generator).tolist())

    while count:
        kernel, size = pair(1, 5), pair(1, 40)
        padding = tuple(min(a, b // 2) for a, b in zip(pair(0, 2), kernel, strict=True))
        window = Window(kernel, pair(1, 4), padding, pair(1, 3), bool(count % 2))
        try:
            window.output_size(size)
        except ValueError:
            continue
        yield window, size
        count -= 1


def drawn(shape, dtype, memory_format, nan=False):
    """Planes full of ties and infinities, on the CPU."""
    odd = torch.tensor([float("inf"), float("-inf"), -0.0, 0.0, 1.0, 2.0, 3.0, float("nan")])
    generator = torch.Generator().manual_seed(1)
    x = odd[torch.randint(7 + nan, shape, generator=generator)]
    return x.to(dtype).contiguous(memory_format=memory_format)


@pytest.fixture
def device(request):
    return torch.device(request.config.getoption("--device"))


def needs_cuda(device):
    if device.type != "cuda":
        pytest.skip("it is about CUDA itself")


@pytest.fixture(params=WAYS)
def way(request, device, monkeypatch):
    """With Triton, which must work on a GPU, and without."""
    if request.param == "as chosen":
        assert kernels._fused() is not None or device.type == "cpu"
    else:
        monkeypatch.setattr(kernels, "_fused", lambda: None)
    return request.param


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_codes_and_planes_equal_those_of_the_cpu(device, way, dtype, memory_format):
    generator = torch.Generator().manual_seed(2)
    # For Triton each window is another program, which takes a second to compile.
    count = 60 if way == WAYS[1] else 4 if dtype == torch.float32 else 0
    for window, size in windows(count):
        x = drawn((2, 7, *size), dtype, memory_format)
        values, codes = kernels.pool_plain(x, window)
        for ours, oracle in zip(operators.pool(x.to(device), window), (values, codes), strict=True):
            assert torch.equal(ours.cpu(), oracle), (window, size)
            assert ours.is_contiguous(memory_format=memory_format)
        # Some codes are those of no window; whole numbers add up to the same in any order.
        codes = torch.randint(min(window.cells + 2, 256), codes.shape, generator=generator, dtype=torch.uint8)
        codes = codes.contiguous(memory_format=memory_format)
        values = torch.randint(-3, 4, codes.shape, generator=generator).to(dtype)
        constant = torch.randint(-3, 4, (7, 1, 1), generator=generator).to(dtype).expand(codes.shape)
        for given in (values, constant):
            plane = operators.put(given.to(device), codes.to(device), window, size)
            assert torch.equal(plane.cpu(), kernels.put_plain(given, codes, window, size)), (window, size)
            assert plane.is_contiguous(memory_format=order(codes))
        taken = operators.take(x.to(device), codes.to(device), window)
        assert torch.equal(taken.cpu(), kernels.take_plain(x, codes, window)), (window, size)


def test_nan_spreads_and_is_refused(device, way):
    for window in (Window(), Window(3, 2, 1)):
        x = drawn((2, 5, 16, 18), torch.float32, torch.channels_last, nan=True)
        values, codes = pool(x.to(device), window, check=False)
        oracle, _ = kernels.pool_plain(x, window)
        torch.testing.assert_close(values.cpu(), oracle, rtol=0, atol=0, equal_nan=True)
        assert kernels.take_plain(torch.ones_like(x), codes.cpu(), window).eq(1).all()
        with pytest.raises(ValueError, match="NaN among the pooled values"):
            pool(x.to(device), window)


def test_codes_of_no_pooling_are_refused(device, way):
    codes = torch.full((1, 1, 4, 4), 4, dtype=torch.uint8, device=device)
    with pytest.raises(ValueError, match="a code is 4"):
        unpool(torch.ones(1, 1, 4, 4, device=device), codes)
    assert unpool(torch.ones(1, 1, 4, 4, device=device), codes, check=False).eq(0).all()


@pytest.mark.parametrize("window", [Window(), Window(3, 2, 1), Window((2, 3), 1, dilation=2)])
def test_gradients_in_both_modes_to_second_order(device, way, window):
    x = torch.randperm(2 * 48).double().view(1, 2, 6, 8).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: pool(t, window)[0], x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda t: pool(t, window)[0].sin(), x)
    values, codes = (t.detach() for t in pool(x, window))
    assert torch.autograd.gradcheck(lambda v: unpool(v, codes, window, (6, 8)), values.requires_grad_())


@pytest.mark.parametrize("overlap", ["sum", "mean", "last"])
def test_overlapping_windows_give_the_same_in_every_run(device, way, overlap):
    x, window = torch.randn(4, 8, 33, 33), Window(3, 1)
    values, codes = pool(x, window)
    expected = unpool(values, codes, window, (33, 33), overlap)
    values, codes = values.to(device), codes.to(device)
    first = unpool(values, codes, window, (33, 33), overlap)
    torch.testing.assert_close(first.cpu(), expected, rtol=1e-5, atol=1e-5)
    try:
        torch.use_deterministic_algorithms(True)
        for _ in range(5):
            assert torch.equal(first, unpool(values, codes, window, (33, 33), overlap))
    finally:
        torch.use_deterministic_algorithms(False)


def test_nothing_waits_for_the_gpu(device, way):
    needs_cuda(device)
    x = torch.randn(2, 8, 24, 26, device=device, requires_grad=True)

    def there_and_back(window):
        values, codes = pool(x, window, check=False)
        unpool(values, codes, window, (24, 26), check=False).square().sum().backward()

    for window in (Window(), Window(3, 2, 1), Window(16, 4, 8)):
        there_and_back(window)  # what is made at first use
        try:
            torch.cuda.set_sync_debug_mode("error")
            there_and_back(window)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("window", [Window(), Window(3, 2, 1)])
def test_a_graph_replays_what_was_captured(device, way, window):
    needs_cuda(device)
    x = torch.randn(2, 8, 24, 26, device=device).contiguous(memory_format=torch.channels_last)

    def there_and_back():
        values, codes = pool(x, window, check=False)
        return unpool(values, codes, window, (24, 26), check=False)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        there_and_back()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = there_and_back()
    x.copy_(torch.randn_like(x))
    graph.replay()
    assert torch.equal(result, there_and_back())


def test_few_launches(device):
    """With Triton one each; without, as many as are counted on the CPU (tests/models/test_dispatch.py)."""
    needs_cuda(device)
    assert kernels._fused() is not None
    x = torch.randn(2, 8, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    for window in (Window(), Window(3, 2, 1)):
        values, codes = operators.pool(x, window)
        for call in (
            lambda window=window: operators.pool(x, window),
            lambda window=window, v=values, c=codes: operators.put(v, c, window, (32, 32)),
            lambda window=window, c=codes: operators.take(x, c, window),
        ):
            call()
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
                call()
                torch.cuda.synchronize()
            kernels_run = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
            assert len(kernels_run) == 1, [e.name for e in kernels_run]


@pytest.mark.parametrize("cells", [2, 4, 9, 16, 200])
def test_packed_codes_equal_those_of_the_cpu(device, cells):
    bits = (cells - 1).bit_length()
    codes = torch.randint(cells, (3, 1003), dtype=torch.uint8)
    packed = pack(codes.to(device), bits)
    assert torch.equal(packed.cpu(), pack(codes, bits))
    assert torch.equal(unpack(packed, (1003,), bits).cpu(), codes)
