import json
import math
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from unittest.mock import MagicMock

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from maxtunnel.benchmark import run, ways
from maxtunnel.benchmark.floors import Ceilings, floor, measure_ceilings
from maxtunnel.benchmark.run import Benchmark, run_benchmark
from maxtunnel.benchmark.stock import Graphed, StockNetwork
from maxtunnel.benchmark.tables import markdown
from maxtunnel.benchmark.turns import in_own_process
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork


@pytest.mark.parametrize("layers", [(2, 2, 2), (1, 3, 2)])
def test_stock_computes_what_ours_computes(layers):
    """Otherwise the comparison would be of different things."""
    network = TunnelNetwork(Architecture((4, 6, 8), layers=layers), torch.zeros(3, 32, 32), scale=255.0)
    stock = StockNetwork((4, 6, 8), layers=layers)
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


@pytest.mark.parametrize("layers", [(2, 2, 2), (1, 3, 2)])
def test_operations_are_counted_from_the_architecture(layers):
    """Against the counter of PyTorch, which nobody here wrote."""
    architecture, ceilings = Architecture((4, 6, 8), layers=layers), Ceilings(1e9, 1e9, 1e9)
    stock = StockNetwork(architecture.widths, layers=layers)
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


def quick_ceilings():
    """In their own process as the real ones, which take longer than all the rest."""
    return Ceilings(1e11, 1e11, 1e10)


def test_ceilings_are_measured_in_a_process_of_their_own():
    if torch.cuda.is_available():
        pytest.skip("tests/gpu has this one")
    found = in_own_process(partial(measure_ceilings, repeats=1))
    assert min(found.float32, found.bfloat16, found.copy) > 1e8
    assert found.tf32 is None


def some_ways(monkeypatch, **chosen):
    """Let a run have these operations and ways, and no other."""
    for module, name in ((run, "WAYS"), (ways, "WAYS"), (ways, "GPU_WAYS")):
        monkeypatch.setattr(module, name, chosen)
    monkeypatch.setattr(run, "measure_ceilings", quick_ceilings)
    # Compiling everything anew takes longer than all the rest; tests/native has tests of it.
    monkeypatch.setattr(run, "_compile_seconds", lambda: 12.5)


@pytest.mark.usefixtures("forkserver")
def test_a_run_end_to_end(tmp_path, monkeypatch):
    train, decode = (run.WAYS[operation] for operation in ("train", "decode"))
    some_ways(monkeypatch, train=train, decode=decode, **{run.POOLING: ("stock", "ours")})
    parts = []
    result = run_benchmark(["2-2-2"], 1, batches=[2], json_file=tmp_path / "b.json", on_part=parts.append)
    assert isinstance(result, Benchmark)
    stored = json.loads((tmp_path / "b.json").read_text())
    assert len(stored["timings"]) == len(result.timings) == 9
    assert [len(part.timings) for part in parts] == [4, 7, 9, 9]
    assert [part.finished for part in parts] == [False, False, False, True]
    for timing in result.timings:
        assert 0 < timing.seconds.tenth <= timing.seconds.median <= timing.seconds.ninetieth
        assert timing.way != "stock" or math.isclose(timing.ratio, 1)
        assert timing.best <= timing.ratio
        assert timing.batch == 2
        assert (timing.floor is not None) == timing.way.startswith("ours")
    text = markdown(result)
    assert text.count("\n| 2-2-2 ") == 7
    assert "12.5 s" in text
    with pytest.raises(ValueError, match="no architecture"):
        run_benchmark(["8/8"])
    with pytest.raises(ValueError, match="`batches` are"):
        run_benchmark(["2-2-2"], batches=[0])


def test_what_matters_most_comes_first():
    parts = list(run._parts(["8-8-8", "64-64-64"], [16, 256]))
    assert parts[:4] == [(m, "train", b) for b in (16, 256) for m in ("8-8-8", "64-64-64")]
    assert parts[4] == ("8-8-8", "reconstruct", 16)
    assert parts[-1] == ("256x64x128x128", run.POOLING, 256)


@pytest.fixture
def gpu_in_this_process(monkeypatch):
    """A GPU that only this process has: those that it starts compute on the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a stand-in")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 8 * 10**9))


@pytest.mark.usefixtures("gpu_in_this_process")
def test_a_run_on_a_gpu_as_far_as_a_stand_in_goes(tmp_path, monkeypatch):
    """Processes that start anew and stay for all operations, and ways that fail among those that do not."""
    some_ways(monkeypatch, encode=(ways.STOCK, ways.GRAPH), decode=(ways.STOCK, ways.GRAPH, ways.OURS))
    # Another process that starts anew; tests/benchmark/test_turns.py has one.
    monkeypatch.setattr(run, "in_own_process", lambda work: work())
    result = run_benchmark(["2-2"], 1, batches=[2], json_file=tmp_path / "b.json")
    assert result.machine.device == "a stand-in"
    assert result.machine.kernels_compile_seconds is None
    found = [(timing.operation, timing.way) for timing in result.timings]
    assert found == [("encode", ways.STOCK), ("decode", ways.STOCK), ("decode", ways.OURS)]
    assert [(f.operation, f.way) for f in result.failures] == [("encode", ways.GRAPH), ("decode", ways.GRAPH)]
    assert json.loads((tmp_path / "b.json").read_text())["failures"][0]["error"]
    assert result.finished


@pytest.mark.usefixtures("gpu_in_this_process")
def test_ways_that_do_not_fit_the_gpus_memory_take_no_turns_together():
    assert run._together("8-8-8", "train", 16) > len(ways.ways_of("8-8-8", "train"))
    assert run._together("64-64-64", "train", 256) == 1


def test_every_form_of_stock_computes_the_same_and_learns():
    images = torch.rand(2, 3, 16, 16)
    outputs = []
    for name, form in ways.FORMS.items():
        torch.manual_seed(0)
        network = StockNetwork((4, 4), form)
        before = network.bias_code.detach().clone()
        outputs.append(network.decode(network.encode(images)).detach())
        torch.testing.assert_close(outputs[-1], outputs[0], atol=0.01, rtol=0.01)
        # Without a GPU nothing is recorded, and no optimiser can be.
        optimizer = replace(form, graph=False, fused=form.fused or form.graph)
        network.form = optimizer
        network.train_step(images, network.make_optimizer())
        assert not torch.equal(before, network.bias_code), name


def test_all_ways_of_a_gpu_have_a_form_or_are_ours():
    for operation, names in ways.GPU_WAYS.items():
        assert set(ways.WAYS[operation]) <= set(names)
        assert all(name in ways.FORMS or name.startswith("ours") for name in names)


class FakeGraph(torch.cuda.CUDAGraph):
    """Replays nothing, and counts."""

    def __new__(cls):
        graph = object.__new__(cls)
        graph.replayed = 0
        return graph

    def __init__(self):
        pass

    def replay(self):
        self.replayed += 1


def test_a_graph_is_recorded_once_after_calls_to_warm_up(monkeypatch):
    stream, recording = MagicMock(), []

    @contextmanager
    def record(graph):
        recording.append(graph)
        yield

    for name, fake in {
        "Stream": lambda: stream, "current_stream": lambda: stream, "stream": lambda _: nullcontext(),
        "CUDAGraph": FakeGraph, "graph": record,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, fake)
    calls = []
    graphed = Graphed(lambda: calls.append(len(recording)) or len(calls))
    results = [graphed() for _ in range(3)]
    # Three to warm up, and one that is recorded; the others are replayed.
    assert calls == [0, 0, 0, 1]
    assert results == [4, 4, 4]
    assert recording[0].replayed == 3


@pytest.mark.usefixtures("forkserver")
def test_a_strong_decoder_is_timed_beside_what_its_layers_take(monkeypatch):
    # It has a like of train and decode alone, and none of the others may be asked for.
    some_ways(monkeypatch, **{name: names for name, names in run.WAYS.items() if name != run.POOLING})
    result = run_benchmark(["2-2-strong-4"], repeats=1, batches=(2,))
    found = {(timing.operation, timing.way): timing for timing in result.timings}
    assert set(found) == {("train", ways.KEPT), ("decode", ways.OURS)}
    assert not result.failures
    decode, train = found["decode", ways.OURS].floor, found["train", ways.KEPT].floor
    mean = torch.full((3, ways.SIDE, ways.SIDE), 0.5)
    network = TunnelNetwork(Architecture((2, 2)), mean, strong_width=4)
    code = network.encode(torch.rand(2, 3, ways.SIDE, ways.SIDE))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.decoder([level.codes for level in code.levels])
    assert decode.operations == counter.get_total_flops()
    assert 2.5 * decode.operations < train.operations < 3 * decode.operations
    with pytest.raises(ValueError, match="no width of a strong decoder"):
        run_benchmark(["2-2-strong-0"])


@pytest.mark.parametrize("model", ["2-2+linear", "2-2+inside4-strong-8"])
def test_variants_are_refused_as_stock_has_table_1s_layers(model):
    with pytest.raises(ValueError, match=r"is a variant: .* such as 2-2$"):
        run_benchmark([model])
