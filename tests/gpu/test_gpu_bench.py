"""Timing on a GPU: every process starts cleanly, and graphs compute what their calls compute."""

import pytest
import torch

from maxtunnel.benchmark import ways
from maxtunnel.benchmark.floors import measure_ceilings
from maxtunnel.benchmark.stock import Form, Graphed, StockNetwork
from maxtunnel.benchmark.turns import Crew, Measured, in_own_process

pytestmark = pytest.mark.gpu


def test_every_way_runs_in_a_process_of_its_own(device):
    names = [ways.STOCK, ways.TUNED, ways.KEPT]
    if device.type == "cuda":
        # This process has used the GPU, which forbids forks of it.
        torch.ones(1, device=device)
        names += [ways.EXACT, ways.FUSED, ways.TUNED_GRAPH]
    with Crew(ways.build) as crew:
        crew.start(names)
        for operation, each in (("train", names), ("reconstruct", [ways.STOCK, ways.TUNED])):
            found = crew.take_turns([("8-8-8", operation, 16, way) for way in each], 1)
            assert all(isinstance(one, Measured) for one in found), dict(zip(each, found, strict=True))
            assert all(one.peak for one in found) or device.type == "cpu"


def test_the_ceilings_are_measured_in_a_process_of_their_own(device):
    ceilings = in_own_process(measure_ceilings)
    assert ceilings.bfloat16 > 0
    assert (ceilings.tf32 is not None) == (device.type == "cuda")


def test_a_graph_computes_what_its_call_computes(device):
    if device.type != "cuda":
        pytest.skip("graphs are CUDA's")
    torch.manual_seed(0)
    form = Form(graph=True)
    network, x = StockNetwork((8, 8), form).to(device), torch.rand(4, 3, 32, 32, device=device)
    with torch.no_grad():
        expected = network.decode(network.encode(x))
        rebuild = Graphed(torch.no_grad()(lambda: network.decode(network.encode(x))))
        for _ in range(3):
            torch.testing.assert_close(rebuild(), expected)
        x.copy_(torch.rand_like(x))
        torch.testing.assert_close(rebuild(), network.decode(network.encode(x)))


def test_a_graphs_training_step_learns(device):
    if device.type != "cuda":
        pytest.skip("graphs are CUDA's")
    torch.manual_seed(0)
    network = StockNetwork((8, 8), Form(graph=True)).to(device)
    x = torch.rand(4, 3, 32, 32, device=device) - 0.5

    def error():
        with torch.no_grad():
            return float((network.decode(network.encode(x)) - x).square().mean())

    optimizer, before = network.make_optimizer(), error()
    step = Graphed(lambda: network.train_step(x, optimizer))
    for _ in range(100):
        step()
    assert error() < 0.9 * before
