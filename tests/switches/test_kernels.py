"""The ways to compute `pool`, `put` and `take` agree: cell by cell, PyTorch's own operations, Triton."""

import importlib.util
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import cell_by_cell
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import maxtunnel.switches
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import disabled
from maxtunnel.switches import kernels
from maxtunnel.switches.window import Window
from plain_windows import WINDOWS as MANY

BESIDE = [Window((3, 2)), Window(4), Window(2, ceil_mode=True)]  # side by side, on planes with a rest or none
WINDOWS = [*MANY, Window((4, 2), (3, 5)), Window(3, 1), *BESIDE, Window(16, 4, 8)]
FORMATS = [torch.contiguous_format, torch.channels_last]
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
SIZE = (16, 18)
# 1 channel, 1 image and planes of one row or column leave strides undecided.
SHAPES = [(2, 3, *SIZE), (1, 1, *SIZE), (2, 5, 2, 18), (1, 3, 16, 2), (0, 2, 8, 8)]


def drawn(shape, dtype, memory_format, seed=0):
    """Planes full of ties, zeros of both signs and infinities."""
    odd = torch.tensor([float("inf"), float("-inf"), -0.0, 0.0, 1.0, 2.0, 3.0])
    generator = torch.Generator().manual_seed(seed)
    x = odd[torch.randint(len(odd), shape, generator=generator)]
    return x.to(dtype).contiguous(memory_format=memory_format)


def drawn_codes(shape, window, memory_format, seed=0):
    """Codes, some of them of no window."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(min(window.cells + 2, 256), shape, generator=generator, dtype=torch.uint8)
    return codes.contiguous(memory_format=memory_format)


def fitting():
    for shape in SHAPES:
        for window in WINDOWS:
            try:
                yield shape, window, window.output_size(shape[-2:])
            except ValueError:
                continue


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_pooling_by_pytorchs_own_equals_cell_by_cell(dtype, memory_format):
    for shape, window, _ in fitting():
        x = drawn(shape, dtype, memory_format)
        if x.numel():
            for ours, oracle in zip(
                kernels.pool_stock(x, window), kernels.pool_plain(x, window), strict=True
            ):
                assert torch.equal(ours, oracle), (shape, window)


def test_a_window_with_nan_has_one_of_its_own_codes():
    for window in WINDOWS:
        x = drawn((2, 3, *SIZE), torch.float32, torch.channels_last)
        x[:, :, ::3, ::2] = float("nan")
        values, codes = kernels.pool_stock(x, window)
        oracle, _ = kernels.pool_plain(x, window)
        torch.testing.assert_close(values, oracle, rtol=0, atol=0, equal_nan=True)
        # What is taken where the code says lies in the window.
        inside = kernels.take_plain(torch.ones_like(x), codes, window)
        assert inside.eq(1).all(), window


@pytest.mark.parametrize("memory_format", FORMATS)
def test_put_and_take_equal_cell_by_cell(memory_format):
    generator = torch.Generator().manual_seed(0)
    for shape, window, out in fitting():
        codes = drawn_codes((*shape[:2], *out), window, memory_format)
        # Whole numbers, whose sums are exact in any order.
        values = torch.randint(-9, 10, codes.shape, generator=generator).float()
        plane = kernels.put_plain(values, codes, window, shape[-2:])
        expected = cell_by_cell.put(values, codes, window, shape[-2:])
        assert torch.equal(plane.double(), expected), (shape, window)
        plane = drawn(shape, torch.float32, memory_format, seed=1)
        assert torch.equal(
            kernels.take_plain(plane, codes, window).double(), cell_by_cell.take(plane, codes, window)
        ), (shape, window)


@pytest.mark.parametrize("dtype", DTYPES)
def test_put_and_take_keep_the_dtype_and_infinity(dtype):
    for window in (Window(), Window(3, 2, 1)):
        x = drawn((2, 3, *SIZE), dtype, torch.channels_last)
        values, codes = kernels.pool_plain(x, window)
        assert torch.equal(kernels.take_plain(x, codes, window), values)
        constant = torch.full((3, 1, 1), float("inf"), dtype=dtype).expand(codes.shape)
        plane = kernels.put_plain(constant, codes, window, SIZE)
        assert plane.dtype == dtype
        assert not plane.isnan().any()
        assert torch.equal(plane == float("inf"), cell_by_cell.put(constant, codes, window, SIZE) > 0)


def test_large_windows_are_put_piece_by_piece(monkeypatch):
    window, size = Window(5, 1, 2), (9, 8)
    codes = drawn_codes((4, 3, 9, 8), window, torch.contiguous_format)
    values = torch.randint(-9, 10, codes.shape).float()
    expected = kernels.put_plain(values, codes, window, size)
    monkeypatch.setattr(kernels, "_PIECE", 3 * 25 * 72)
    assert torch.equal(kernels.put_plain(values, codes, window, size), expected)


def test_which_windows_last():
    for shape, window, out in fitting():
        codes = drawn_codes((*shape[:2], *out), window, torch.contiguous_format)
        oracle = cell_by_cell.lasting(codes, window, shape[-2:])
        # Windows without a cell in the plane put nothing, whatever is said of them.
        inside = kernels.take_plain(torch.ones(shape), codes, window) == 1
        assert torch.equal(kernels.lasting(codes, window, shape[-2:]) & inside, oracle), (shape, window)


def test_the_same_without_native_code():
    x = torch.randn(2, 8, 12, 10).contiguous(memory_format=torch.channels_last)
    values, codes = kernels.pool(x, Window())
    plane, taken = kernels.put(values, codes, Window(), (12, 10)), kernels.take(x, codes, Window())
    with disabled():
        again, codes_again = kernels.pool(x, Window())
        for ours, native in (
            (again, values),
            (codes_again, codes),
            (kernels.put(values, codes, Window(), (12, 10)), plane),
            (kernels.take(x, codes, Window()), taken),
        ):
            assert torch.equal(ours, native)
            assert ours.stride() == native.stride()


@pytest.fixture(scope="module")
def interpreted():
    """The kernels for a GPU, gone through on the CPU step by step."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("no Triton: its kernels need a GPU's PyTorch, or `pip install triton`")
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    path = Path(maxtunnel.switches.__file__).with_name("fused.py")
    spec = importlib.util.spec_from_file_location("interpreted", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["interpreted"] = module
    try:
        spec.loader.exec_module(module)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.cuda, "device_of", nullcontext)
            yield module
    finally:
        del sys.modules["interpreted"]
        os.environ.pop("TRITON_INTERPRET")
        if before is not None:
            os.environ["TRITON_INTERPRET"] = before


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_triton_equals_the_plain_versions(interpreted, dtype, memory_format):
    generator = torch.Generator().manual_seed(0)
    # Gone through step by step, these take long.
    for window in WINDOWS[:-1] if dtype == torch.float32 else WINDOWS[:2]:
        for shape in SHAPES[:2] if dtype == torch.float32 else SHAPES[:1]:
            x = drawn(shape, dtype, memory_format)
            x[..., ::3, ::4] = float("nan")
            for ours, oracle in zip(interpreted.pool(x, window), kernels.pool_plain(x, window), strict=True):
                torch.testing.assert_close(ours, oracle, rtol=0, atol=0, equal_nan=True)
                assert ours.is_contiguous(memory_format=memory_format)
            codes = drawn_codes(ours.shape, window, memory_format)
            values = torch.randint(-9, 10, codes.shape, generator=generator).to(dtype)
            constant = torch.randint(-9, 10, (shape[1], 1, 1), generator=generator).to(dtype)
            for given in (values, constant.expand(codes.shape)):
                plane = interpreted.put(given, codes, window, SIZE)
                assert torch.equal(plane, kernels.put_plain(given, codes, window, SIZE)), (shape, window)
            taken = interpreted.take(drawn(shape, dtype, memory_format), codes, window)
            expected = kernels.take_plain(drawn(shape, dtype, memory_format), codes, window)
            assert torch.equal(taken, expected), (shape, window)


def test_triton_leaves_very_many_values_and_other_dtypes(interpreted):
    x = torch.zeros(1, 1, 4, 4)
    assert interpreted.supported(x)
    assert not interpreted.supported(x.int())
    assert not interpreted.supported(x.expand(2**12, 2**16, 4, 4))
    assert not interpreted.supported(x, 2**32)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_triton_adds_a_bias_and_cuts_off_below_zero_besides(interpreted, dtype, memory_format):
    """As a layer does before its values are pooled or put: ties among zeros count, and NaN stays."""
    generator = torch.Generator().manual_seed(0)
    for window, shapes in ((Window(), SHAPES[:2]), (Window(3, 2, 1), SHAPES[:1])):
        for shape in shapes:
            x = drawn(shape, dtype, memory_format)
            x[..., ::5, ::4] = float("nan")
            bias = torch.tensor([-2.0, -0.25, 1.0], dtype=dtype)[: shape[1]]
            active = (x + bias[:, None, None]).relu()
            found = interpreted.pool(x, window, bias)
            for ours, oracle in zip(found, kernels.pool_plain(active, window), strict=True):
                torch.testing.assert_close(ours, oracle, rtol=0, atol=0, equal_nan=True)
            codes = drawn_codes(found[1].shape, window, memory_format)
            values = torch.randint(-9, 10, codes.shape, generator=generator).to(dtype)
            plane = interpreted.put(values, codes, window, SIZE, bias)
            active = (values + bias[:, None, None]).relu()
            assert torch.equal(plane, kernels.put_plain(active, codes, window, SIZE)), (shape, window)


@pytest.mark.parametrize("bias", [torch.zeros(2), torch.zeros(3, dtype=torch.float64)])
def test_a_bias_that_does_not_fit_is_refused(interpreted, bias):
    x, codes = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    for call in (
        lambda: interpreted.pool(x, Window(), bias),
        lambda: interpreted.put(x, codes, Window(), (8, 8), bias),
        lambda: interpreted.pool(x.bfloat16(), Window(), torch.zeros(3, dtype=torch.bfloat16)),
    ):
        with pytest.raises(ValueError, match="expected both in float32 or in float64"):
            call()


class Counted(ModuleType):
    """The interpreted kernels, and whether each call of them was given a bias."""

    def __init__(self, module):
        super().__init__("counted")
        self.module, self.calls = module, []

    def __getattr__(self, name):
        def call(*arguments):
            least = {"pool": 2, "put": 4, "take": 3}[name]
            self.calls.append((name, len(arguments) > least and arguments[-1] is not None))
            return getattr(self.module, name)(*arguments)

        return call


@pytest.mark.parametrize("widths", [(4, 4), (3, 5, 7), (2,)])
def test_a_network_by_triton_is_the_network_layer_by_layer(interpreted, monkeypatch, widths):
    torch.manual_seed(0)
    network = TunnelNetwork(Architecture(widths), torch.full((3, 16, 24), 0.5))
    for conv in (*network.encoder.convs, *network.decoder.convs):
        # Of both signs, so that whole windows are cut off.
        conv.bias.data.uniform_(-20, 20)
    images = torch.rand(2, 3, 16, 24)
    with disabled():
        code = network.encode(images)
        rebuilt, part = network.decode(code), network.decode(code, levels=[1])
        fused = Counted(interpreted)
        monkeypatch.setattr(kernels, "fused_for", lambda x, most=0: fused)
        assert network.encode(images) == code
        assert fused.calls == [("pool", True)] * len(widths)
        fused.calls.clear()
        torch.testing.assert_close(network.decode(code), rebuilt, rtol=0, atol=1e-6)
        # The bias code stands in the place of a layer's values as it is.
        assert fused.calls == [("put", False), *[("put", True)] * (len(widths) - 1)]
        fused.calls.clear()
        assert torch.equal(network.decode(code, levels=[1]), part) or len(widths) == 1
        # Whoever asks for gradients, or watches, gets layers.
        with torch.enable_grad():
            network.decoder([level.codes for level in code.levels]).sum().backward()
        with torch.autocast("cpu"):
            network.encode(images)
        hook = network.encoder.convs[1].register_forward_hook(lambda *given: None)
        network.encode(images)
        hook.remove()
        assert not any(active for name, active in fused.calls if name == "pool")


def test_the_one_switch_turns_triton_off_too(monkeypatch):
    """Of a tensor that says it lies on a GPU."""
    with FakeTensorMode():
        x = torch.empty(1, 2, 4, 4, device="cuda:0")
    monkeypatch.setattr(kernels, "_fused", lambda: kernels)
    monkeypatch.setattr(kernels, "supported", lambda x, most: True, raising=False)
    assert kernels.fused_for(x) is kernels
    assert kernels.fused_for(torch.empty(2)) is None
    with disabled():
        assert kernels.fused_for(x) is None
    assert kernels.fused_for(x) is kernels


def test_the_kernels_are_compiled_for_a_gpu_where_there_is_none():
    """The interpreter takes what the compiler may not."""
    pytest.importorskip("triton", reason="no Triton: see above")
    script = Path(__file__).with_name("compile_kernels.py")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["_pool", "_put", "_take"] * 4
