"""The tables of bench, from timings that were not measured."""

import csv
from dataclasses import replace

from maxtunnel.benchmark.floors import Ceilings, Floor
from maxtunnel.benchmark.run import Benchmark, Failure, Machine, Spread, Timing
from maxtunnel.benchmark.tables import markdown, tabulate, tabulate_part
from maxtunnel.support.tables import as_lines, write_tables

WAY = "stock, channels-last and bfloat16"


def benchmark():
    machine = Machine("a processor", 2, "Linux", "3.11", "2.13", "2026-01-01", None, 1, 0.1)
    floor = Floor(operations=1e9, bytes=1e6, seconds=0.005)
    timings = tuple(
        Timing("24-48-96", operation, 256, way, Spread(0.01, 0.009, 0.02), 0.1, ratio, ratio, least, None)
        for operation in ("train", "encode")
        for way, ratio, least in ((WAY, 1.0, None), ("ours", 2.0, floor))
    )
    return Benchmark(machine, Ceilings(float32=1e11, bfloat16=5e11, copy=4e10), timings)


def test_csv_has_every_timing(tmp_path):
    write_tables([tabulate(benchmark())], csv_file=tmp_path / "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [(row["operation"], row["way"]) for row in rows] == [
        ("train", WAY),
        ("train", "ours"),
        ("encode", WAY),
        ("encode", "ours"),
    ]
    assert (rows[0]["milliseconds_10_90_low"], rows[0]["milliseconds_10_90_high"]) == ("9.0", "20.0")
    assert {row["batch"] for row in rows} == {"256"}
    assert (rows[1]["times_stock"], rows[1]["times_best_stock"]) == ("2.0", "2.0")
    assert (rows[0]["times_floor"], rows[1]["times_floor"]) == ("", "2.0")


def test_an_operation_fits_80_columns_whole():
    lines = as_lines(tabulate_part(benchmark(), "train", 256), 80)
    assert max(map(len, lines)) <= 80
    assert sum(WAY in line for line in lines) == 1
    assert lines.count("24-48-96") == 1


def test_what_takes_tenths_of_a_millisecond_is_told_in_thousandths():
    assert [row[2] for row in tabulate_part(benchmark(), "train", 256).as_text()] == ["10.0"] * 2
    quick = [replace(timing, seconds=Spread(0.00085, 0.0008, 0.0009)) for timing in benchmark().timings]
    found = replace(benchmark(), timings=tuple(quick))
    assert [row[2] for row in tabulate_part(found, "train", 256).as_text()] == ["0.850"] * 2
    assert "| 0.850 (0.800 to 0.900) ms |" in markdown(found)


def test_what_could_not_be_timed_is_told():
    failure = Failure("8-8-8", "train", 16, WAY, "out of memory")
    unfinished = replace(benchmark(), failures=(failure,), finished=False)
    assert f"- train, batch of 16, 8-8-8, {WAY}: out of memory" in markdown(unfinished)
    assert "cut short" in markdown(unfinished)
    assert "cut short" not in markdown(benchmark())
