"""The verdict of `study contours` is made of numbers: with others it comes out otherwise."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from maxtunnel.studies import contours_conclusions, dense_verdicts
from maxtunnel.studies.contours import ContourStudy
from maxtunnel.studies.contours_conclusions import (
    ALONE,
    BILINEAR,
    FIXED,
    KNOWN,
    Findings,
    because,
    completely,
    verdict_of,
)
from maxtunnel.studies.contours_config import KINDS, left_out, preset
from maxtunnel.studies.contours_page import report_of
from maxtunnel.studies.contours_reading import BRIGHTNESS, ELSEWHERE, ways_of
from maxtunnel.studies.contours_run import NetworkRow

pytestmark = pytest.mark.usefixtures("one_thread", "few_draws")
# Photographs differ in how hard they are, for every way alike.
HARD = torch.linspace(-0.1, 0.1, 10)
SMALL, LARGE = 0.003, 0.1  # what a way adds to or takes from single photographs by chance


@pytest.fixture
def few_draws(monkeypatch):
    """Intervals of a hundred draws: what is decided here is decided by far."""
    monkeypatch.setattr(contours_conclusions, "DRAWS", 100)


def lines(good, noise):
    """Counts of ten photographs: about this share of what people drew is found, as much of it right."""
    own = torch.linspace(-noise, noise, 10)[torch.randperm(10, generator=torch.Generator().manual_seed(1))]
    right = (1000 * (good + HARD + own).clamp(0, 1)).round().long().tolist()
    return tuple(f"{n} 1000 {n} 1000 {n // 2} 1000 {n // 2} 500" for n in right)


def study(tmp_path, noise=SMALL, without=(), **good):
    """One seed of every kind; `good` by way, 0.4 for those that are not given."""
    ways = {KNOWN: 0.6, ELSEWHERE: 0.3} | {
        {
            "fixed": FIXED,
            "bilinear": BILINEAR,
            "alone": ALONE,
            "known": KNOWN,
            "elsewhere": ELSEWHERE,
            "brightness": BRIGHTNESS,
        }[name]: value
        for name, value in good.items()
    }
    rows = tuple(
        NetworkRow(
            kind, 0, {way: lines(ways.get(way, 0.4), 0 if way == KNOWN else noise) for way in ways_of(kind)},
            0.5, (1.0, 2.0),
        )
        for kind in KINDS
        if kind not in without
    )  # fmt: skip
    base = preset("full")
    return ContourStudy(base, rows, (), 300, 10, 200, "", tmp_path, {"command": "maxtunnel study contours"})


CASES = [
    ({"fixed": 0.4, "bilinear": 0.4, "alone": 0.59}, "supported", "supported", "so well because of"),
    # The better one without switches comes more than half of the way, and switches alone some of it.
    ({"fixed": 0.4, "bilinear": 0.5, "alone": 0.45}, "supported in part", "supported in part", "not why"),
    # And so nearly all of it that switches are not needed, though they help.
    ({"fixed": 0.4, "bilinear": 0.58, "alone": 0.3}, "contradicted", "open", "as well, or nearly so"),
    ({"fixed": 0.4, "bilinear": 0.7, "alone": 0.2}, "contradicted", "contradicted", "as well, or nearly so"),
    ({"fixed": 0.5, "bilinear": 0.6, "alone": 0.6, "noise": 0.25}, "open", "open", "leave open"),
    ({"without": ("fixed", "bilinear")}, "open", "supported in part", "leave open"),
    # What is no better than brightness has not learnt to draw contours.
    ({"fixed": 0.4, "bilinear": 0.4, "brightness": 0.65}, "withheld", "withheld", "is not judged"),
    ({"fixed": 0.65, "brightness": 0.6, "noise": LARGE}, "withheld", "withheld", "is not judged"),
]


@pytest.mark.parametrize(("given", "why", "all_of_it", "words"), CASES)
def test_the_answers_follow_the_numbers(tmp_path, given, why, all_of_it, words):
    found = Findings(study(tmp_path, **given))
    assert (because(found), completely(found)) == (why, all_of_it)
    verdict = verdict_of(found.study, found)
    assert words in verdict.sentences[0]
    assert verdict.answers["works so well because of the switches"] == why
    assert verdict.answers["all that is spatial is in the switches"] == all_of_it


def test_every_answer_comes_out():
    expected = {"withheld", *get_args(dense_verdicts.Answer)}
    assert {case[1] for case in CASES} == {case[2] for case in CASES} == expected


def test_a_share_goes_from_another_photographs_contours_to_known_switches(tmp_path):
    found = Findings(study(tmp_path, alone=0.45))
    share = found.share(ALONE)
    assert share.mean == pytest.approx(0.5, abs=0.02)
    assert share.images[0] < share.mean < share.images[1]
    assert "50%" in verdict_of(found.study, found).answers["switches alone"]
    # Where known switches are no better than that, there is no way to go.
    assert Findings(study(tmp_path, elsewhere=0.6)).share(ALONE) is None
    # Nor where they have not learnt to draw contours.
    assert Findings(study(tmp_path, elsewhere=0.3, alone=0.4, brightness=0.6)).share(ALONE) is None


def test_trainings_that_disagree_leave_a_difference_open(tmp_path):
    """Each by its photographs is sure; together they are not, as another training may turn the sign."""
    base = study(tmp_path, fixed=0.4, bilinear=0.4, alone=0.55)
    other = study(tmp_path, fixed=0.7, bilinear=0.4, alone=0.55)
    again = tuple(replace(row, seed=1) for row in other.rows if row.kind != "brightness")
    found = Findings(replace(base, rows=(*base.rows, *again)))
    difference = found.difference(KNOWN, FIXED)
    assert difference.images[0] > 0
    assert difference.more is None
    assert because(found) == "open"
    # Brightness, which takes no network, stands beside each of them.
    assert found.difference(KNOWN, BRIGHTNESS).seeds.count == 2
    assert list(found.seeds_of(KNOWN)) == [0, 1]


def test_without_the_network_of_known_switches_nothing_is_compared(tmp_path):
    found = study(tmp_path, without=("switches",))
    report = report_of(found)
    assert report.verdict.sentences == ("Nothing was compared: the network with known switches is needed.",)
    assert "Published and ours" not in report.page


def test_the_page_has_the_papers_numbers_beside_ours(tmp_path):
    page = report_of(study(tmp_path)).page
    assert "0.788" in page
    assert "0.804" in page
    assert "16 filters in the first stage, not 64" in page
    assert "10 of the 200 test photographs" in page


def test_what_is_left_out_is_named():
    assert left_out(preset("full")) == ""
    assert left_out(preset("small")) == (
        "2 of 3 seeds; networks of 16 filters, which are 8 here; networks of 5 poolings, which have 3 here; "
        "steps after the first 1,000 of 4,000; test photographs beyond 20; thresholds beyond 33"
    )
