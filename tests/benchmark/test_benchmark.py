import json
import math
import os
import subprocess
import sys

import pytest
import torch

from maxtunnel.benchmark import run
from maxtunnel.benchmark.floors import Ceilings, floor
from maxtunnel.benchmark.run import Benchmark, run_benchmark
from maxtunnel.benchmark.stock import StockNetwork
from maxtunnel.benchmark.tables import markdown
from maxtunnel.benchmark.turns import in_own_process, take_turns
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
    stock.train_step(images * 255, stock.make_optimizer())
    assert not torch.equal(before, stock.bias_code)


def test_operations_are_counted_from_the_architecture():
    """Against the counter of PyTorch, which nobody here wrote."""
    from torch.utils.flop_counter import FlopCounterMode

    architecture, ceilings = Architecture((4, 6, 8)), Ceilings(1e9, 1e9, 1e9)
    stock = StockNetwork(architecture.widths)
    optimizer = stock.make_optimizer()
    images = torch.rand(16, 3, 64, 64)
    for operation, call in {
        "encode": lambda: stock.encode(images),
        "reconstruct": lambda: stock.decode(stock.encode(images)),
        "train": lambda: stock.train_step(images, optimizer),
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


def _raises():
    raise ValueError("nothing")


def _dies(way):
    os._exit(1)


def test_turns():
    slow, fast = take_turns([(1, "stock"), (2, "ours")], _sleeps, 2)
    assert min(len(slow.seconds), len(fast.seconds)) >= 6
    assert slow.peak is None or slow.peak >= 0
    with pytest.raises(RuntimeError, match="no stock"):
        take_turns([("stock",)], _fails, 1)
    with pytest.raises(RuntimeError, match="died"):
        take_turns([("stock",)], _dies, 1)


def test_work_in_a_process_of_its_own():
    assert in_own_process(os.getpid) != os.getpid()
    with pytest.raises(RuntimeError, match="timing failed"):
        in_own_process(_raises)


def test_timing_processes_come_from_one_that_never_asked_for_a_gpu():
    """CUDA refuses to work in a process that was forked from one that did."""
    code = """
import torch

def asked(*_):
    raise AssertionError("a GPU was asked for")

for name in ("is_available", "device_count", "init", "_lazy_init"):
    setattr(torch.cuda, name, asked)
torch._C._cuda_getDeviceCount = asked
import maxtunnel.benchmark.ways
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_optimiser_of_stock_lies_where_its_network_lies():
    """On any device: here on the one that every machine has besides its processor."""
    network = StockNetwork((2, 3)).to("meta")
    sums = [state["sum"].device.type for state in network.make_optimizer().state.values()]
    assert sums == ["meta"] * (1 + 2 * len(network.decoder))


def test_a_run_end_to_end(tmp_path, monkeypatch):
    some = {operation: ways for operation, ways in run.WAYS.items() if operation in ("train", "decode")}
    monkeypatch.setattr(run, "WAYS", some | {run.POOLING: ("stock", "ours")})
    # Compiling everything anew takes longer than all the rest; tests/native has tests of it.
    monkeypatch.setattr(run, "_compile_seconds", lambda: 12.5)
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
    assert "12.5 s" in text
    with pytest.raises(ValueError, match="no architecture"):
        run_benchmark(["8x8"])
