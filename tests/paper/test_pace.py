"""Estimates follow the pace, and say so once where they were far off."""

import pytest

from maxtunnel.paper import pace as module
from maxtunnel.paper.pace import Pace
from maxtunnel.paper.trial import duration


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_until_there_is_a_pace_the_estimate_counts(clock):
    said = []
    pace = Pace([100.0, 300.0], said.append)
    assert (pace.passed, pace.total) == (0, 400)
    clock[0] = 10.0
    pace.move(0, 0.01)
    assert pace.total == 10 + 399
    assert said == []


def test_a_machine_ten_times_as_slow_is_noticed_and_told_once(clock):
    said = []
    pace = Pace([100.0, 300.0], said.append)
    for share in range(1, 11):
        clock[0] = 100.0 * share
        pace.move(0, share / 10)
    assert pace.total == 4000
    assert said == [
        f"By the pace so far, training takes about {duration(4000.0)} in all: {duration(3900.0)} more"
    ]
    clock[0] = 4000.0
    pace.move(1, 1.0)
    assert (pace.passed, pace.total) == (4000, 4000)


def test_what_an_earlier_call_did_counts_neither_as_work_nor_as_pace(clock):
    pace = Pace([100.0], lambda text: None)
    pace.move(0, 0.5, earlier=True)
    assert pace.total == 50
    clock[0] = 50.0
    pace.move(0, 0.75)
    assert pace.total == 100


def test_a_share_that_falls_back_changes_nothing(clock):
    pace = Pace([100.0], lambda text: None)
    pace.move(0, 0.5)
    pace.move(0, 0.2)
    assert pace.total == 50


def test_durations_are_in_the_unit_that_is_read_at_once():
    assert [duration(seconds) for seconds in (0.4, 89.0, 90.0, 3600.0, 9000.0)] == [
        "0 s", "89 s", "2 min", "60 min", "2.5 h",
    ]  # fmt: skip
