"""Runs of a reproduction: gone on with after an interruption, and shared out over minutes."""

import re
from dataclasses import replace

import pytest
import torch

from maxtunnel.data import open_store
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import jobs as jobs_module
from maxtunnel.paper.jobs import Training, do_all, finished_runs, pending, steps_in
from maxtunnel.paper.request import Reproduction, find_networks, make_plan
from maxtunnel.paper.table import ROWS, select
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import silent

pytestmark = pytest.mark.usefixtures("one_thread")


class Cut(Exception):
    """The power is gone."""


def cut(phase, done, total, note):
    if phase == "train":
        raise Cut


def test_an_interrupted_run_is_gone_on_with(stores, tmp_path):
    train, test = stores
    whole, broken = (Training(train, test, tmp_path / name, "fast", 4, 16, 12) for name in "ab")
    whole.run(whole.jobs(ROWS[0], 0)[0], silent)
    job = broken.jobs(ROWS[0], 0)[0]
    # What is left before the first save: a config and a fresh network.
    with pytest.raises(Cut):
        broken.run(job, cut)
    assert pending([job]) == [job]
    with pytest.raises(ValueError, match="steps 4, but steps 5 is asked for"):
        broken.run(replace(job, steps=5), silent)
    with pytest.raises(ValueError, match="batch 16, but batch 2 is asked for"):
        replace(broken, batch=2).run(job, silent)
    told = []
    do_all([job], broken, lambda *progress: told.append(progress))
    assert pending([job]) == []
    phase, done, total, _ = told[-1]
    assert (phase, done) == ("all runs, seconds", total)
    assert {phase for phase, *_ in told} >= {"train", "all runs, seconds"}
    first, second = (
        TunnelNetwork.load(training.folder(ROWS[0], 0) / "model.safetensors").state_dict()
        for training in (whole, broken)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_minutes_are_shared_in_proportion_to_cost(stores, tmp_path, monkeypatch):
    def cost(architecture, work, *settings):
        return sum(architecture.widths) * {"encode": 1e-5, "train": 1e-4, "pretrain": 3e-4}[work]

    # What this machine takes changes from one moment to the next.
    monkeypatch.setattr(jobs_module, "seconds_per_image", cost)
    train, test = stores
    training = Training(train, test, tmp_path, "fast", None, 16, 12)
    jobs = [job for row in select("8-8-8,16-16-16-pretrained") for job in training.jobs(row, 0)]
    few, many = steps_in(1.0, jobs, training), steps_in(3.0, jobs, training)
    assert many == pytest.approx(3 * few, rel=0.01)
    seconds = sum(training.seconds(replace(job, steps=few)) for job in jobs)
    assert seconds == pytest.approx(60, rel=0.01)


def test_advice_on_minutes_names_only_what_would_help(stores, tmp_path):
    training = Training(*stores, tmp_path, "fast", None, 16, 12)
    one = training.jobs(ROWS[0], 0)
    for jobs, expected, left_out in (
        (one, "too few for 1 run (8-8-8, seed 0): give at least ", ("`only`", "`seeds`")),
        ([*one, *training.jobs(ROWS[0], 1)], ", or fewer `seeds`", ("`only`",)),
        ([*one, *training.jobs(ROWS[1], 0)], ", or fewer rows (`only`)", ("`seeds`",)),
    ):
        with pytest.raises(ValueError, match=re.escape(expected)) as error:
            steps_in(1e-6, jobs, training)
        assert not any(words in str(error.value) for words in left_out)
        need = float(re.search(r"at least ([0-9.]+)", str(error.value))[1])
        assert steps_in(max(need, 0.2), jobs, training) >= 50


def test_runs_are_found_by_their_seeds_and_no_other_folder_is(stores, tmp_path):
    training = Training(*stores, tmp_path, "fast", 1, 16, 12)
    for seed in (10, 2):
        training.run(training.jobs(ROWS[0], seed)[-1], silent)
    for name in ("seed3", "seedling", "seed1-old"):
        (training.folder(ROWS[0], 0).parent / name).mkdir()
    assert [path.name for path in finished_runs(tmp_path, ROWS[0], "mirrored")] == ["seed2", "seed10"]
    asked = Reproduction(stores[1], tmp_path)
    assert [(found.row, found.origin) for found in find_networks(asked)] == [
        (ROWS[0], "seed2"),
        (ROWS[0], "seed10"),
    ]


def test_steps_in_minutes_are_kept_and_a_damaged_record_of_them_is_named(stores, tmp_path):
    asked = Reproduction(stores[1], tmp_path, stores[0], only="8-8-8", minutes=1.0)
    steps = make_plan(asked, open_store(stores[0])).training.steps
    assert make_plan(asked, open_store(stores[0])).training.steps == steps
    for text in ("", "[]", '{"minutes": 1.0}', '{"minutes": 1.0, "steps": "many"}'):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(FormatError, match=r"plan\.json is damaged \(.*\): delete it"):
            make_plan(asked, open_store(stores[0]))
