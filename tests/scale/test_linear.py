"""What grows with the number of photographs grows in proportion: calls and memory, counted and not timed."""

import sys
import tracemalloc
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pytest

from maxtunnel.codec.files import encode_files

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    return import_module("measure_scale")


def calls_of(work):
    """How many functions are called, of Python and of C."""
    counted = 0

    def count(frame, event, argument):
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def test_all_of_encode_but_the_encoding_is_linear(tool, tmp_path):
    """All photographs have the same name, so that numbers are given out."""
    calls = {}
    for count in (20, 100, 200, 400):
        place = tmp_path / str(count)
        for number in range(count):
            (place / "photographs" / str(number)).mkdir(parents=True)
            (place / "photographs" / str(number) / "photo.png").write_bytes(tool.picture())
        calls[count] = calls_of(
            lambda place=place: encode_files(
                place / "photographs", "8-8-8", place / "out", "packed", spread=tool.instead
            )
        )
        assert len(list((place / "out").iterdir())) == count
    first, second = calls[200] - calls[100], calls[400] - calls[200]
    assert second == pytest.approx(2 * first, rel=0.05)
    assert first < 100 * 1000


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_lists_and_manifests_of_a_million_take_less_than_two_gigabytes(tool, tmp_path, kind):
    """Reckoned from what thousands more take."""
    peaks = {}
    for count in (2000, 6000):
        place = tmp_path / str(count)
        place.mkdir()
        make, name = (tool.make_parquet, "x.parquet") if kind == "parquet" else (tool.make_folder, "folder")
        source = make(place / name, count)
        tracemalloc.start()
        arrow = pa.total_allocated_bytes()
        tool.list_all(source, count)
        peaks[count] = tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory() - arrow
        tracemalloc.stop()
    each = (peaks[6000] - peaks[2000]) / 4000
    assert 100 < each < 2000
