"""Axes, their ticks, and the plots drawn between them."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxtunnel.report.svg import Area, Axis, apart, curves, frame, mark, points, round_limits

# Without subnormal numbers: some library in the same process may have turned them off.
FINITE = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 6))


def test_an_axis_maps_values_to_pixels():
    assert Axis(0.0, 2.0, 10.0, 110.0)(0.5) == 35
    assert Axis(1.0, 100.0, 0.0, 100.0, log=True)(10.0) == pytest.approx(50)
    # Of a single value there is no scale.
    assert Axis(3.0, 3.0, 5.0, 9.0)(3.0) == 5


@pytest.mark.parametrize(("low", "high", "labels"), [
    (0.0, 0.23, ["0.00", "0.05", "0.10", "0.15", "0.20"]),
    (0.0, 2160.0, ["0", "500", "1,000", "1,500", "2,000"]),
    (0.04, 0.18, ["0.04", "0.06", "0.08", "0.10", "0.12", "0.14", "0.16", "0.18"]),
    (-1.0, 1.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
])  # fmt: skip
def test_ticks_are_round(low, high, labels):
    axis = Axis(low, high, 0.0, 1.0)
    assert [axis.label(tick) for tick in axis.ticks()] == labels


def test_logarithmic_ticks_are_powers_of_ten_where_there_are_two():
    assert Axis(5.0, 20_000.0, 0.0, 1.0, log=True).ticks() == [10, 100, 1000, 10_000]
    assert Axis(12.0, 120.0, 0.0, 1.0, log=True).ticks() == [20, 50, 100]


@given(st.lists(FINITE, min_size=1))
def test_round_limits_hold_all_values_and_end_in_ticks(values):
    low, high = round_limits(values)
    axis = Axis(low, high, 0.0, 1.0)
    room = 1e-6 * max(1.0, *map(abs, values))
    assert low - room <= min(values) <= max(values) <= high + room
    ticks = axis.ticks()
    assert ticks[0] == pytest.approx(low, abs=room)
    assert ticks[-1] == pytest.approx(high, abs=room)


@given(st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1))
def test_no_two_ticks_lie_too_near_to_each_other(values):
    kept = apart(values, Axis(0.0, 100.0, 0.0, 500.0), pixels=48.0)
    assert kept[0] == min(values)
    assert all(after - before >= 48 / 5 for before, after in pairwise(kept))


def test_every_point_lies_inside_the_area():
    area = Area()
    html = points([("a", 0.0, 1.0), ("b", 5.0, 0.5), ("<c>", 10.0, 0.0)], "bits", "error")
    places = re.findall(r'<circle[^>]* cx="([\d.]+)" cy="([\d.]+)"', html)
    assert len(places) == 3
    assert all(area.left <= float(x) <= area.width - area.right for x, _ in places)
    assert all(area.top <= float(y) <= area.height - area.bottom for _, y in places)
    assert "3 &lt;c&gt;" in html
    assert 'aria-label="error against bits"' in html


def test_every_curve_has_a_line_and_a_name():
    html = curves([("a & b", [(10.0, 0.3), (100.0, 0.1)]), ("c", [(20.0, 0.2)])], "step", "RMSE")
    lines = [path.split() for path in re.findall(r'points="([^"]*)"', html)]
    assert [len(line) for line in lines] == [2, 1]
    assert lines[0][0].startswith("60.0,")
    assert "a &amp; b" in html


def test_a_grid_may_have_columns_of_its_own():
    area = Area()
    x, y = area.across(1.0, 16.0, log=True), area.up(0.0, 1.0)
    plain, columns = frame(area, x, y, "x", "y"), frame(area, x, y, "x", "y", columns=[1.75, 14.0])
    assert "mt-axis" in plain
    assert "mt-axis" not in columns
    assert ">1.75<" in columns
    assert ">14<" in columns
    assert columns.count("V") == 2


def test_marks_stand_around_their_place():
    assert 'cx="7.0" cy="8.0" r="4"' in mark(7.0, 8.0, size=4.0)
    square = mark(7.0, 8.0, square=True, size=5.0, about="<name>", classes="mine")
    assert 'class="mt-mark mine" x="2.0" y="3.0" width="10" height="10"' in square
    assert "<title>&lt;name&gt;</title>" in square
