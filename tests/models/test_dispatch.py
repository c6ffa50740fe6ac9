"""Few, silent operations: what a GPU is told to do by an encode, a decode and a step, counted on the CPU.

`Operations` sees every operation that PyTorch dispatches. `Launches` looks into our own operators too, and
leaves out what only describes memory anew, such as a view.
"""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from maxtunnel.benchmark.stock import StockNetwork
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import disabled
from maxtunnel.switches import operators, pending
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import KeptSwitches
from maxtunnel.training.loop import Session
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import FAST

WIDTHS = (8, 8, 8)
MORE = 3  # operations that ours may have beyond those of the network written by hand
# Without Triton a level's gradient takes three launches where PyTorch's own is one, pooling and unpooling
# take two each; with it every one of them is one (tests/switches/test_cuda_operators.py).
MORE_LAUNCHES = {"encode": 3, "decode": 3, "step": 5, "step of kept switches": 3}
READS = torch.ops.aten._local_scalar_dense.default


class Operations(TorchDispatchMode):
    """Counts every operation; `reads` are those that wait for a value."""

    def __init__(self):
        super().__init__()
        self.count, self.reads = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.reads += function == READS
        self.note(function, args, result)
        return result

    def note(self, function, args, result):
        self.count += 1


class Launches(Operations):
    """Counts the operations that compute, those inside of our operators too."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "maxtunnel":
            with self:
                return getattr(operators, f"_{function._schema.name.split('::')[1]}")(*args)
        return super().__torch_dispatch__(function, types, args, kwargs)

    def note(self, function, args, result):
        places = {x.untyped_storage().data_ptr() for x in tree_leaves(args) if isinstance(x, torch.Tensor)}
        outputs = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        new = any(x.untyped_storage().data_ptr() not in places for x in outputs)
        self.count += function._schema.is_mutable or new


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    ours = TunnelNetwork(Architecture(WIDTHS), torch.zeros(3, 32, 32))
    ours.to(memory_format=torch.channels_last)
    return ours, StockNetwork(WIDTHS)


def counted(mode, call):
    """Operations of a call, once what is made at first use is there."""
    with disabled():
        call()
        with mode() as counter:
            call()
    assert counter.reads == 0
    return counter.count


def step(decode, target, parameters):
    for parameter in parameters:
        parameter.grad = None
    (decode() / (2 * len(target))).backward()


def calls(networks):
    """Each thing to do: by ours, by hand."""
    ours, stock = networks
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    # As layers take it; that is one copy a batch otherwise.
    x = x.contiguous(memory_format=torch.channels_last)
    with disabled(), torch.no_grad():
        codes, indices = ours.encoder(x)[1], stock.encode(x)

    @torch.no_grad()
    def encode():
        return ours.encoder(x, check=False)[1]

    def by_hand(get):
        return lambda: step(lambda: (stock.decode(get()) - x).square().sum(), x, stock.parameters())

    def by_ours(get):
        return lambda: step(lambda: ours.decoder.squared_error(get(), x), x, ours.decoder.parameters())

    return {
        "encode": (encode, lambda: stock.encode(x)),
        "decode": (
            torch.no_grad()(lambda: ours.decoder(codes)),
            torch.no_grad()(lambda: stock.decode(indices)),
        ),
        "step": (by_ours(encode), by_hand(lambda: stock.encode(x))),
        "step of kept switches": (by_ours(lambda: codes), by_hand(lambda: indices)),
    }


@pytest.mark.parametrize("name", ["encode", "decode", "step", "step of kept switches"])
def test_hardly_more_operations_than_by_hand_and_none_that_waits(networks, name):
    ours, by_hand = calls(networks)[name]
    assert counted(Operations, ours) <= counted(Operations, by_hand) + MORE
    assert counted(Launches, ours) <= counted(Launches, by_hand) + MORE_LAUNCHES[name]


@pytest.mark.parametrize("strong_width", [None, 8])
def test_a_network_waits_for_nothing_either(monkeypatch, tmp_path, strong_width):
    """With its checks, and what it does to images before and after: on a GPU, for which a CPU stands in."""
    torch.manual_seed(0)
    network = TunnelNetwork(Architecture(WIDTHS), torch.zeros(3, 32, 32), strong_width=strong_width)
    x, pixels = torch.rand(2, 3, 32, 32), torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    recipe = replace(FAST, batch=2, precision="32")
    task = Reconstruction(network.decoder, network.scale)
    session = Session(network, task, tmp_path, TrainingConfig(recipe=recipe))
    kept, chosen = KeptSwitches(network, pixels), (torch.tensor([2, 0]), torch.tensor([False, False]))
    code = network.encode(x)
    monkeypatch.setattr(pending, "is_awaited", lambda values: True)
    codes = lambda: [level.codes for level in network.encode(x).levels]  # noqa: E731
    calls = [
        codes,
        lambda: network.decode(code),
        lambda: network.reconstruct(x),
        lambda: session._update(0.1, (kept.at(*chosen), network.normalise(x))),
        lambda: session._update(0.1, (codes(), network.normalise(x))),
    ]
    for call in calls:
        for mode in (Operations, Launches):
            counted(mode, call)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_without_native_code_too(networks, poison):
    images = torch.rand(1, 3, 32, 32)
    images[0, 0, 3, 3] = poison
    with disabled(), pytest.raises(ValueError, match=r"NaN|up to inf"):
        networks[0].encode(images)


def test_a_value_that_is_read_is_noticed():
    x = torch.ones(2, 2)
    with pytest.raises(AssertionError):
        counted(Operations, lambda: x.sum().item())
    with pytest.raises(AssertionError):
        counted(Launches, lambda: bool((x > 0).any()))


def test_views_launch_nothing_and_writing_in_place_does():
    x = torch.ones(2, 3, 4, 4)
    assert counted(Operations, lambda: x.permute(0, 2, 3, 1).add_(1)) == 2
    assert counted(Launches, lambda: x.permute(0, 2, 3, 1).add_(1)) == 1
    # As many as there are rows to copy.
    assert counted(Launches, lambda: x.permute(0, 2, 3, 1).reshape(-1)) == 1
