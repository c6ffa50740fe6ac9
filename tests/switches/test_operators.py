"""Pool, put and take under everything that PyTorch does with operators."""

import subprocess
import sys

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from maxtunnel.switches import operators
from maxtunnel.switches.pooling import pool, unpool
from maxtunnel.switches.window import Window

WINDOWS = [Window(), Window(3, 2, 1), Window((2, 3), 1, dilation=2)]


def there_and_back(x):
    return unpool(*pool(x, check=False), check=False)


@pytest.mark.parametrize("window", WINDOWS)
def test_pytorchs_own_check_of_operators(window):
    x = torch.randn(2, 3, 8, 10, requires_grad=True)
    values, codes = (result.detach() for result in operators.pool(x, window))
    numbers = [*window.kernel, *window.stride, *window.padding, *window.dilation, int(window.ceil_mode)]
    # Symbolic sizes are tried apart: the checks of types under test take no symbol for a number.
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.maxtunnel.pool.default, (x, numbers), test_utils=tests)
    torch.library.opcheck(
        torch.ops.maxtunnel.put.default,
        (values.requires_grad_(), codes, numbers, 8, 10),
        test_utils=tests,
    )
    torch.library.opcheck(torch.ops.maxtunnel.take.default, (x, codes, numbers), test_utils=tests)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_tensors_without_data_have_the_shapes_and_orders_of_real_ones(window, memory_format):
    x = torch.randn(2, 3, 8, 10).contiguous(memory_format=memory_format)
    values, codes = pool(x, window)
    plane = unpool(values, codes, window, (8, 10))
    with FakeTensorMode() as mode:
        fake_values, fake_codes = pool(mode.from_tensor(x), window)
        fake_plane = unpool(fake_values, fake_codes, window, (8, 10))
    for fake, real in ((fake_values, values), (fake_codes, codes), (fake_plane, plane)):
        assert (fake.shape, fake.dtype, fake.stride()) == (real.shape, real.dtype, real.stride())


def test_a_traced_graph_computes():
    first, second = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    graph = make_fx(there_and_back)(first)
    assert torch.equal(graph(second), there_and_back(second))
    assert "maxtunnel.pool" in graph.code


def unchecked(code):
    """Run code in a process without the checks of types, which can be neither compiled nor given symbols."""
    preamble = "import torch\nfrom maxtunnel import Window, pool, unpool\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", preamble + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_compiled_and_exported_models_compute_at_any_size_and_still_refuse_nan():
    unchecked("""
class Model(torch.nn.Module):
    def forward(self, x):
        return unpool(*pool(x))

x, other = torch.randn(2, 2, 4, 6), torch.randn(2, 2, 4, 6)
exported = torch.export.export(Model(), (x,)).module()
compiled = torch.compile(Model(), backend="aot_eager", fullgraph=True)
for model in (exported, compiled):
    assert torch.equal(model(other), Model()(other))
    try:
        model(torch.full_like(x, torch.nan))
    except RuntimeError as error:
        assert "NaN among the pooled values" in str(error)
    else:
        raise AssertionError("NaN went through")

# Sizes may be symbols.
from torch.export import Dim, export
class Model(torch.nn.Module):
    def forward(self, x):
        window = Window(3, 2, 1)
        values, codes = pool(x, window)
        return unpool(values, codes, window, (x.shape[-2], x.shape[-1]))

sizes = {0: Dim("n"), 2: Dim("h", min=4), 3: Dim("w", min=4)}
program = export(Model(), (torch.randn(2, 3, 12, 16),), dynamic_shapes=(sizes,)).module()
x = torch.randn(5, 3, 9, 30)
assert torch.equal(program(x), Model()(x))
x, numbers = torch.randn(2, 3, 8, 8), [2, 2, 2, 2, 0, 0, 1, 1, 0]
values, codes = torch.ops.maxtunnel.pool(x, numbers)
arguments = {"pool": (x, numbers), "put": (values, codes, numbers, 8, 8), "take": (x, codes, numbers)}
for name, given in arguments.items():
    operator = getattr(torch.ops.maxtunnel, name).default
    torch.library.opcheck(operator, given, test_utils="test_aot_dispatch_dynamic")
""")


@pytest.mark.parametrize("window", WINDOWS)
def test_mapped_over_a_batch(window):
    x = torch.randn(4, 2, 3, 8, 10)
    values, codes = vmap(lambda t: pool(t, window, check=False))(x)
    for one, one_values, one_codes in zip(x, values, codes, strict=True):
        expected = pool(one, window)
        assert torch.equal(one_values, expected[0])
        assert torch.equal(one_codes, expected[1])
    # Codes that are not mapped serve all; the mapped dimension may stand anywhere.
    planes = vmap(lambda v: unpool(v, codes[0], window, (8, 10), check=False), in_dims=1)(
        values.movedim(0, 1)
    )
    for plane, one in zip(planes, values, strict=True):
        assert torch.equal(plane, unpool(one, codes[0], window, (8, 10)))


# PyTorch itself calls it on the way to forward mode.
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("window", WINDOWS)
def test_derivatives_of_torch_func_agree(window):
    x, direction = torch.randn(2, 1, 1, 6, 7, dtype=torch.float64)

    def energy(t):
        values, codes = pool(t, window, check=False)
        return unpool(values.sin(), codes, window, (6, 7), check=False).square().sum()

    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(energy(leaf), leaf)
    torch.testing.assert_close(grad(energy)(x), expected)
    # Forward mode is the same derivative in one direction.
    _, along = jvp(energy, (x,), (direction,))
    torch.testing.assert_close(along, (expected * direction).sum())
    with forward_ad.dual_level():
        dual = energy(forward_ad.make_dual(x, direction))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, along)
    torch.testing.assert_close(jacfwd(energy)(x), jacrev(energy)(x))
    assert hessian(energy)(x).isfinite().all()
    many = torch.stack([x, direction])
    torch.testing.assert_close(vmap(grad(energy))(many), torch.stack([grad(energy)(t) for t in many]))


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("window", WINDOWS)
def test_gradients_in_both_modes_to_second_order(window):
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: pool(t, window)[0], x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda t: pool(t, window)[0].sin(), x)


def test_deterministic_mode():
    x = torch.randn(1, 2, 6, 6, requires_grad=True)
    expected = there_and_back(x)
    try:
        torch.use_deterministic_algorithms(True)
        result = there_and_back(x)
        result.sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(result, expected)
