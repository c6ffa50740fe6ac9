"""Runs that are bound in time, under a clock that the tests turn."""

import json

import pytest
import torch
from small_runs import new_network, pictures, short, weights

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training import loop
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.feeds import SwitchFeed
from maxtunnel.training.train import train_decoder

pytestmark = pytest.mark.usefixtures("one_thread")
MINUTE = TrainingConfig(recipe=short(10**6), minutes=1.0)


class Clock:
    """Time that passes when a batch is made: so many seconds a step."""

    def __init__(self, pace):
        self.now, self.batches, self._pace = 1000.0, 0, pace

    def monotonic(self):
        return self.now

    perf_counter = monotonic

    def tick(self):
        self.now += self._pace(self.batches)
        self.batches += 1


def timed(monkeypatch, run, pace):
    """Train for a minute at a pace; the clock, the steps done, and what was told of them."""
    clock, at, told = Clock(pace), SwitchFeed.at, []

    def slowed(feed, step):
        clock.tick()
        return at(feed, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", clock)
        patch.setattr(SwitchFeed, "at", slowed)
        network = train_decoder(
            new_network(), pictures(), run, MINUTE, on_progress=lambda *news: told.append(news)
        )
    saved = TrainingConfig.load(run)
    assert saved.minutes is None
    assert network.provenance.training.steps == saved.recipe.steps
    last = [news for news in told if news[0] == "train"][-1]
    assert last[1] == last[2] == saved.recipe.steps
    return clock.now - 1000, saved, network


def test_minutes_become_steps_and_the_measurement_leaves_no_trace(tmp_path, monkeypatch):
    seconds, saved, network = timed(monkeypatch, tmp_path / "timed", lambda step: 0.3)
    # 25 steps are measured and undone.
    assert saved.recipe.steps == 175
    assert seconds == pytest.approx(60)
    again = train_decoder(new_network(), pictures(), tmp_path / "counted", saved)
    assert torch.equal(weights(again), weights(network))
    assert torch.equal(weights(again), weights(TunnelNetwork.load(tmp_path / "timed" / "model.safetensors")))


@pytest.mark.parametrize(
    ("before", "after"),
    [(0.1, 0.5), (0.5, 0.15), (0.05, 0.1)],
    ids=["the machine gets busy", "the machine gets free", "half as fast"],
)
def test_a_pace_that_changes_changes_the_steps_and_not_the_minutes(tmp_path, monkeypatch, before, after):
    seconds, saved, _ = timed(monkeypatch, tmp_path / "run", lambda step: before if step < 60 else after)
    first = round((60 - 25 * before) / before)
    assert abs(saved.recipe.steps - first) > 0.2 * first
    # The last correction comes before the last row.
    assert 60 * 0.75 < seconds < 60 * 1.25 + 50 * after
    rates = [row.split(",") for row in (tmp_path / "run" / "metrics.csv").read_text().splitlines()]
    assert [int(row[0]) for row in rates[1:]][-1] == saved.recipe.steps
    # The rate falls to its end all the same.
    assert float(rates[-1][3]) < 0.1 * saved.recipe.learning_rate


def test_a_pace_that_stays_changes_nothing(tmp_path, monkeypatch):
    _, saved, _ = timed(monkeypatch, tmp_path / "run", lambda step: 0.3 if step % 2 else 0.25)
    assert abs(saved.recipe.steps - (60 - 25 * 0.275) / 0.275) <= 2


def test_a_run_whose_time_is_over_ends_at_the_next_row(tmp_path, monkeypatch):
    seconds, saved, _ = timed(monkeypatch, tmp_path / "run", lambda step: 0.1 if step < 30 else 10.0)
    assert saved.recipe.steps == 50
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["steps"] == 50
    assert (tmp_path / "run" / "samples" / "000050.png").exists()
    assert seconds < 60 + 50 * 10
