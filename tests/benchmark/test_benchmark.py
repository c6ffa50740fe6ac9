import json
import math

import pytest
import torch

from maxtunnel import benchmark
from maxtunnel.benchmark import Benchmark, run_benchmark
from maxtunnel.benchmark.floors import Ceilings, floor
from maxtunnel.benchmark.stock import StockNetwork
from maxtunnel.benchmark.tables import markdown
from maxtunnel.benchmark.turns import take_turns
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork


def test_stock_computes_what_ours_computes():
    """Otherwise the comparison would be of different things."""
    network = TunnelNetwork(Architecture((4, 6, 8)), torch.zeros(3, 32, 32), scale=255.0)
    stock = StockNetwork((4, 6, 8))
    for theirs, ours in zip(stock.encoder, network.encoder.convs, strict=True):
        theirs.load_state_dict(ours.state_dict())
    for theirs, ours in zip(stock.decoder, network.decoder.convs, strict=True):
        weight = ours.weight.detach().transpose(0, 1).flip(2, 3)
        theirs.load_state_dict({"weight": weight, "bias": ours.bias})
    stock.bias_code.data = network.decoder.bias_code.data.clone()
    images = torch.rand(2, 3, 32, 32)
    indices = stock.encode(images * 255)
    for level, theirs in zip(network.encode(images).levels, indices, strict=True):
        assert torch.equal(level.indices(), theirs)
    with torch.no_grad():
        torch.testing.assert_close(stock.decode(indices) / 255, network.reconstruct(images))
    before = stock.bias_code.detach().clone()
    stock.train_step(images * 255)
    assert not torch.equal(before, stock.bias_code)


def test_operations_are_counted_from_the_architecture():
    """Against the counter of PyTorch, which nobody here wrote."""
    from torch.utils.flop_counter import FlopCounterMode

    architecture, ceilings = Architecture((4, 6, 8)), Ceilings(1e9, 1e9, 1e9)
    stock = StockNetwork(architecture.widths)
    images = torch.rand(16, 3, 64, 64)
    for operation, call in {
        "encode": lambda: stock.encode(images),
        "reconstruct": lambda: stock.decode(stock.encode(images)),
        "train": lambda: stock.train_step(images),
    }.items():
        with FlopCounterMode(display=False) as counter:
            call()
        least = floor(architecture, operation, 16, 64, ceilings)
        assert least.operations == counter.get_total_flops()
        assert least.seconds >= max(least.operations, least.bytes) / 1e9


def _fails(way):
    raise ValueError(f"no {way}")


def _sleeps(seconds, way):
    return lambda: torch.ones(1) * seconds


def test_turns():
    slow, fast = take_turns([(1, "stock"), (2, "ours")], _sleeps, 2)
    assert min(len(slow.seconds), len(fast.seconds)) >= 6
    assert slow.peak is None or slow.peak >= 0
    with pytest.raises(RuntimeError, match="no stock"):
        take_turns([("stock",)], _fails, 1)


def test_a_run_end_to_end(tmp_path, monkeypatch):
    some = {operation: ways for operation, ways in benchmark.WAYS.items() if operation in ("train", "decode")}
    monkeypatch.setattr(benchmark, "WAYS", some | {benchmark.POOLING: ("stock", "ours")})
    result = run_benchmark(["2-2-2"], repeats=1, json_file=tmp_path / "b.json")
    assert isinstance(result, Benchmark)
    stored = json.loads((tmp_path / "b.json").read_text())
    assert len(stored["timings"]) == len(result.timings) == 9
    for timing in result.timings:
        low, high = timing.seconds[1:]
        assert 0 < low <= timing.seconds[0] <= high
        assert timing.way != "stock" or math.isclose(timing.ratio, 1)
        assert (timing.floor is not None) == timing.way.startswith("ours")
    text = markdown(result)
    assert text.count("\n| 2-2-2 ") == 7
    with pytest.raises(ValueError, match="no architecture"):
        run_benchmark(["8x8"])
