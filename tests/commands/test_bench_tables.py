"""The tables of bench, from timings that were not measured."""

import csv

from maxtunnel.benchmark.floors import Ceilings, Floor
from maxtunnel.benchmark.run import Benchmark, Machine, Timing
from maxtunnel.benchmark.tables import tabulate, tabulate_operation
from maxtunnel.support.tables import as_lines, write_tables

WAY = "stock, channels-last and bfloat16"


def benchmark():
    machine = Machine("a processor", 2, "Linux", "3.11", "2.13", "2026-01-01", None, 1, 0.1)
    floor = Floor(operations=1e9, bytes=1e6, seconds=0.005)
    timings = tuple(
        Timing("24-48-96", operation, way, (0.01, 0.009, 0.02), 0.1, ratio, least, None)
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
    assert (rows[0]["times_floor"], rows[1]["times_floor"]) == ("", "2.0")


def test_an_operation_fits_80_columns_whole():
    lines = as_lines(tabulate_operation(benchmark(), "train"), 80)
    assert max(map(len, lines)) <= 80
    assert sum(WAY in line for line in lines) == 1
    assert lines.count("24-48-96") == 1
