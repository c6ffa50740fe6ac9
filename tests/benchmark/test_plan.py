"""What many photographs take, reckoned from what one costs; and the costs, measured."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maxtunnel.benchmark import costs as costs_module
from maxtunnel.benchmark.costs import KEPT_AS, SHIPPED, STAGES, Costs, measure_costs
from maxtunnel.benchmark.plan import describe, make_plan, tabulate
from maxtunnel.benchmark.ways import shape_of
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from tools.command_line import here, refuse

COSTS = Costs(
    processor="abacus", cores=2, versions={"torch": "2"}, date="2026-01-01", model="8-8-8", data="few",
    photographs=6, pixels=50_000.0, size=128, parameters=1000, start_seconds=3.6,
    milliseconds=dict(zip(STAGES, (2.0, 1.0, 0.5, 8.0, 0.5, 30.0, 20.0, 60.0, 1.0), strict=True)),
    bytes={"file": 10_000.0, "store": 49_152.0, "packed": 5_000.0, "entropy": 3_000.0},
)  # fmt: skip


def test_hours_disk_and_network_follow_from_the_costs_of_one_photograph():
    plan = make_plan(COSTS, 1e6, nodes=5)
    works = {work.name: work for work in plan.works}
    prepare, packed = works["prepare"], works["encode, packed"]
    # 3.5 ms each, a million of them, on ten cores: 350 s, and 3.6 s of start.
    assert prepare.milliseconds == 3.5
    assert prepare.hours == pytest.approx((350 + 3.6) / 3600)
    assert (prepare.read, prepare.written) == (1e10, 49_152e6)
    assert prepare.bytes_a_second == pytest.approx(59_152e6 / 5 / 353.6)
    assert packed.milliseconds == 10.5
    assert (packed.nodes_a_day, works["evaluate a store"].written) == (1, 0.0)
    assert works["encode, entropy"].hours > 3 * packed.hours
    # Twice the nodes take half the time, but for the start.
    half = make_plan(COSTS, 1e6, nodes=10).works[0]
    assert half.hours - 0.001 == pytest.approx((prepare.hours - 0.001) / 2)
    # A day of two cores is 172,800 s: a billion at 10.5 ms take 61 such days.
    assert make_plan(COSTS, 1e9).works[1].nodes_a_day == 61


def test_an_evaluation_measures_stored_bits_of_so_many_photographs_and_no_more():
    for images, bits in ((1e6, 200 * 0.06), (50.0, 50 * 0.06)):
        plan = make_plan(COSTS, images, nodes=5)
        works = {work.name: work for work in plan.works}
        assert f"{bits:.1f} s more, for the stored bits of {min(200, images):.0f}" in " ".join(describe(plan))
        assert works["prepare"].fixed_seconds == 3.6
        assert works["evaluate a store"].fixed_seconds == pytest.approx(3.6 + bits)
        # 20 ms each, on ten cores; what is spent once is not shared.
        assert works["evaluate a store"].hours == pytest.approx((images * 0.002 + 3.6 + bits) / 3600)


def test_larger_photographs_cost_more_where_they_are_taken_at_their_own_size():
    small, large = make_plan(COSTS, 1e6), make_plan(COSTS, 1e6, pixels=100_000.0)
    stages = [(a.milliseconds, b.milliseconds) for a, b in zip(small.works, large.works, strict=True)]
    assert stages == [(3.5, 6.5), (10.5, 21.0), (40.0, 80.0), (20.0, 20.0), (1.0, 1.0)]
    assert large.bytes == {"file": 20_000, "store": 49_152, "packed": 10_000, "entropy": 6_000}
    assert "For 100,000 pixels" in " ".join(describe(large))
    assert "For" not in " ".join(describe(small)).split()


def test_what_only_a_measurement_takes_is_not_ignored():
    told = refuse("plan", "--model", "8-8-8", "--size", 64)
    assert "--model, --size: only with --measure" in " ".join(told.replace("│", " ").split())
    assert "Training was timed at 128x128" in " ".join(describe(make_plan(replace(COSTS, size=64), 10.0)))


def test_the_step_that_is_timed_is_that_of_the_network(tmp_path):
    def network(name, width=None):
        return TunnelNetwork(Architecture.parse(name), torch.zeros(3, 1, 1), strong_width=width)

    assert costs_module._named(network("2-3")) == "2-3"
    assert shape_of(costs_module._named(network("2-3", 8))) == (Architecture((2, 3)), 8)
    network("2-3+linear").save(tmp_path / "variant.safetensors")
    with pytest.raises(ValueError, match="is a variant"):
        measure_costs(tmp_path, str(tmp_path / "variant.safetensors"))


@pytest.mark.parametrize("wrong", [{"images": 0.0}, {"nodes": -1}, {"cores": 0}, {"pixels": float("nan")}])
def test_numbers_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` is"):
        make_plan(COSTS, **{"images": 10.0, **wrong})


def test_what_ships_names_its_hardware_and_is_whole():
    shipped = Costs.load(SHIPPED)
    assert shipped.processor
    assert set(shipped.milliseconds) == set(STAGES)
    assert set(shipped.bytes) == set(KEPT_AS)
    assert min(*shipped.milliseconds.values(), *shipped.bytes.values()) > 0
    output, _ = here("plan", "--images", "1e9", "--nodes", 100)
    assert "1,000,000,000 photographs, 100 nodes" in output
    assert shipped.processor in output


def test_costs_are_kept_and_what_is_none_is_named(tmp_path):
    COSTS.save(tmp_path / "costs.json")
    assert Costs.load(tmp_path / "costs.json") == COSTS
    replace(COSTS, bytes={"file": 1.0}).save(tmp_path / "half.json")
    with pytest.raises(FormatError, match="no costs of entropy, packed, store: measure them anew"):
        Costs.load(tmp_path / "half.json")
    assert "holds no measured costs" in refuse("plan", "--costs", tmp_path / "nowhere.json")


def test_every_stage_is_measured_on_every_core(tmp_path, photographs_folder, monkeypatch):
    """In processes of its own, of which there is one here."""
    monkeypatch.setattr(costs_module.os, "cpu_count", lambda: 1)
    (photographs_folder / "class0" / "00.png").write_bytes(b"no image")
    found = measure_costs(photographs_folder, "8-8-8", size=16, photographs=4)
    assert (found.cores, found.photographs, found.pixels) == (1, 3, 1600.0)
    assert found.data.endswith("/photographs")
    assert min(found.milliseconds.values()) > 0
    assert found.bytes["store"] > 3 * 16 * 16
    assert found.bytes["packed"] > found.bytes["entropy"] > 0
    assert sum(tabulate(make_plan(found, 10.0))[0].rows[0][1:2]) > 0
    with pytest.raises(FormatError, match="give one for each of 1 cores"):
        measure_costs(photographs_folder / "class0", "8-8-8", size=16, photographs=1)


def test_the_document_has_the_tables_of_what_ships():
    root = Path(__file__).parents[2]
    document = (root / "docs" / "scale.md").read_text()
    assert runpy.run_path(str(root / "tools" / "plan_table.py"))["renewed"](document) == document
