"""The verdict of `study swwae` is made of numbers: with others it comes out otherwise."""

from dataclasses import replace
from typing import get_args

import pytest

from maxtunnel.studies.published import published_for
from maxtunnel.studies.swwae import SwwaeStudy
from maxtunnel.studies.swwae_conclusions import (
    Answer,
    answer,
    comparisons,
    correlation_of,
    learnt,
    standings,
    verdict,
)
from maxtunnel.studies.swwae_config import Grid, Settings
from maxtunnel.studies.swwae_page import report_of
from maxtunnel.studies.swwae_presets import left_out, preset
from maxtunnel.studies.swwae_reading import GIVEN
from maxtunnel.studies.swwae_run import NetworkRow
from maxtunnel.studies.swwae_tables import tabulate

# What a seed adds to the error of every network: it cancels where runs are paired.
SHARED = (0.0, 0.03, -0.01)


def row(method, seed, error, rmse=0.1, labels=1000, unpooling="switches"):
    plain = method in ("untrained", "supervised")
    return NetworkRow(
        method, None if plain else unpooling, 0 if method == "untrained" else labels, seed, error, 10_000,
        dict.fromkeys(GIVEN, rmse), None if plain or method == "intermediate" else 0.05, 1.0, (1.0, 2.0),
    )  # fmt: skip


def study(tmp_path, errors, noise=0.001, rmse=lambda method: 0.1, labels=1000, **settings):
    """A study with three seeds; `errors` by method, each seed's with a little noise of its own."""
    rows = [
        row(method, seed, error + shared + noise * (seed - 1) * (len(method) % 3 - 1), rmse(method), labels)
        for method, error in errors.items()
        for seed, shared in enumerate(SHARED)
    ]
    base = preset("mnist", "full").settings
    return SwwaeStudy(
        settings=Settings(**{**vars(base), **settings}), grid=Grid((labels,), tuple(errors), ("switches",)),
        rows=tuple(rows), missing=(), trained=60_000, measured=10_000, mean_rmse=0.25, left_out="",
        folder=tmp_path, facts={"command": "maxtunnel study swwae"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("errors", "expected", "words"),
    [
        (
            {"supervised": 0.06, "intermediate": 0.04, "both": 0.04},
            "supported",
            "nothing that the image term",
        ),
        ({"supervised": 0.06, "intermediate": 0.04, "both": 0.03}, "supported in part", "do a part of it"),
        ({"supervised": 0.04, "intermediate": 0.06, "both": 0.03}, "contradicted", "it is not"),
        ({"supervised": 0.04, "intermediate": 0.04, "both": 0.04}, "open", "leave the question open"),
        # Without all terms, or where these may gain much more, a part is all that is known.
        ({"supervised": 0.06, "intermediate": 0.04}, "supported at least in part", "cannot tell"),
        (
            {"supervised": 0.05, "intermediate": 0.047, "both": 0.0455},
            "supported at least in part",
            "whether they do all of it",
        ),
        # All terms gain much, and the intermediate ones at most a small part of it.
        ({"supervised": 0.06, "intermediate": 0.06, "both": 0.03}, "contradicted", "it is not"),
        # They may have gained half of it: not seen is not none.
        ({"supervised": 0.06, "intermediate": 0.059, "both": 0.055}, "open", "leave the question open"),
        ({"supervised": 0.04, "intermediate": 0.06, "both": 0.05}, "no gain", "no gain whose origin"),
        ({"supervised": 0.04, "intermediate": 0.04, "both": 0.05}, "no gain", "no gain whose origin"),
        ({"supervised": 0.04, "intermediate": 0.06}, "contradicted", "it is not"),
    ],
)
def test_the_answer_follows_the_numbers(tmp_path, errors, expected, words):
    found = study(tmp_path, errors)
    assert answer(found, 1000, "switches") == expected
    (sentence,) = verdict(found)
    assert words in sentence
    assert sentence.startswith("With 1,000 labels and known switches")


def test_every_answer_comes_out(request):
    marks = test_the_answer_follows_the_numbers.pytestmark[0]
    assert {case[1] for case in marks.args[1]} == set(get_args(Answer))


def test_what_could_have_been_seen_is_said(tmp_path):
    found = study(tmp_path, {"supervised": 0.04, "intermediate": 0.04, "both": 0.04}, noise=0.01)
    first = comparisons(found, 1000, "switches")[0]
    assert first.less is None
    # Three seeds see 5.65 of a mean's own deviations: t(2) at 5 %, and 80 % power.
    assert first.difference.detectable == pytest.approx(5.653 * 0.01 / 3**0.5, rel=1e-3)
    assert f"would have shown {100 * first.difference.detectable:.2f} points" in verdict(found)[0]


def test_runs_are_paired_by_seed(tmp_path):
    found = study(tmp_path, {"supervised": 0.06, "intermediate": 0.04}, noise=0.0)
    (compared,) = comparisons(found, 1000, "switches")
    assert compared.difference.mean == pytest.approx(-0.02)
    # Not 0: ten thousand images tell no smaller spread.
    assert compared.difference.deviation == pytest.approx(1e-4)
    assert compared.less is True


def test_differences_that_are_the_same_by_chance_decide_nothing(tmp_path):
    """Two seeds of 10 images: each errs in one image less, which shows no spread and is no evidence."""
    errors = {"supervised": (0.3, 0.4), "intermediate": (0.2, 0.3)}
    rows = tuple(
        replace(row(method, seed, error), images=10)
        for method, both in errors.items()
        for seed, error in enumerate(both)
    )
    found = replace(study(tmp_path, dict.fromkeys(errors, 0.1)), rows=rows)
    (compared,) = comparisons(found, 1000, "switches")
    assert compared.less is None
    assert compared.difference.deviation == pytest.approx(0.1)


def test_one_seed_decides_nothing(tmp_path):
    whole = study(tmp_path, {"supervised": 0.06, "intermediate": 0.04, "both": 0.04})
    rows = tuple(row for row in whole.rows if row.seed == 0)
    one = SwwaeStudy(**{**vars(whole), "rows": rows, "grid": Grid((1000,), whole.grid.methods, seeds=1)})
    assert answer(one, 1000, "switches") == "open"
    assert "one seed, so no interval" in verdict(one)[0]


def test_without_both_sides_nothing_is_compared(tmp_path):
    assert "Nothing was compared" in verdict(study(tmp_path, {"supervised": 0.05}))[0]


@pytest.mark.parametrize(
    ("sign", "words"),
    [(1, "what is rebuilt better errs less"), (-1, "what is rebuilt better errs more"), (0, "says nothing")],
)
def test_a_good_reconstruction_is_set_against_the_error(tmp_path, sign, words):
    errors = {"untrained": 0.9, "supervised": 0.02, "image": 0.08, "intermediate": 0.05, "both": 0.065}
    rmse = {method: 0.1 + sign * error for method, error in errors.items()}
    if not sign:
        rmse |= {"supervised": 0.1, "image": 0.1, "intermediate": 0.2, "both": 0.2}
    found = study(tmp_path, errors, rmse=rmse.get)
    value, _, count = correlation_of(found, 1000)
    # Kinds, not networks: three seeds of a kind are no three witnesses.
    assert count == 4
    assert (value > 0.5, value < -0.5) == (sign > 0, sign < 0)
    assert any(words in sentence for sentence in learnt(found, 1000))


def test_what_learnt_nothing_is_set_against_what_did(tmp_path):
    errors = {"untrained": 0.9, "supervised": 0.05, "both": 0.04}
    rmse = {"untrained": 0.09, "supervised": 0.1, "both": 0.08}
    told = learnt(study(tmp_path, errors, rmse=rmse.get), 1000)
    assert "better than 3 of these 6 networks (0.0800 to 0.1000)" in told[-1]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ((0.0283, 0.0284, 0.0282), "within 0.50 points"),
        ((0.05, 0.0501, 0.0499), "2.17 points higher"),
        ((0.01, 0.0101, 0.0099), "1.83 points lower"),
        ((0.02, 0.03, 0.04), "0.17 points higher; these seeds do not tell whether by over 0.50 points"),
        ((0.0283,), "0.00 points lower (one seed)"),
    ],
)
def test_ours_stands_beside_the_published_error(tmp_path, error, expected):
    rows = tuple(row("both", seed, one) for seed, one in enumerate(error))
    found = replace(study(tmp_path, {"both": 0.03}), rows=rows)
    (standing,) = standings(found)
    assert standing.published.error == 0.0283
    assert standing.verdict == expected
    assert any("optimiser" in words for words in standing.differences)


def test_what_is_as_in_the_paper_is_no_difference(tmp_path):
    stl10 = vars(preset("stl10", "full").settings)
    (same,) = standings(study(tmp_path, {"both": 0.3}, **stl10))
    assert not any("layout" in words for words in same.differences)
    (other,) = standings(study(tmp_path, {"both": 0.3}, **stl10 | {"layout": "(4)3c-2p-(4)3c"}))
    assert any("layout (4)3c-2p-(4)3c" in words for words in other.differences)
    dropped = [
        any("dropout" in words for words in standing.differences)
        for standing in standings(study(tmp_path, {"both": 0.3}, set="svhn", dropout=0.5))
    ]
    # Published without dropout, and with it.
    assert dropped == [True, False]


def test_what_is_left_out_follows_what_is_asked_for():
    full, small = preset("svhn", "full"), preset("svhn", "small")
    assert left_out(full.settings, full.grid) == ""
    told = left_out(small.settings, small.grid)
    assert "fixed switches; no switches (average); 2 of 5 seeds" in told
    # SVHN has one number of labels.
    assert "labels" not in told
    more = replace(small.grid, unpoolings=full.grid.unpoolings, seeds=9)
    assert "switches" not in left_out(small.settings, more)
    assert "seeds" not in left_out(small.settings, more)
    assert "untrained" in left_out(full.settings, replace(full.grid, methods=("both",)))


def test_a_number_for_all_labels_stands_beside_networks_with_all_labels():
    (found,) = published_for("cifar10", 50_000, 50_000)
    assert (found.labels, found.error) == (None, 0.078)
    assert published_for("cifar10", 4000, 50_000) == ()


def test_where_nothing_was_published_nothing_stands(tmp_path):
    assert standings(study(tmp_path, {"both": 0.05}, labels=200)) == ()


def test_page_and_tables_say_the_same(tmp_path):
    found = study(
        tmp_path,
        {"untrained": 0.9, "supervised": 0.06, "intermediate": 0.04, "both": 0.03},
        layout="(4)3c-2p-(4)3c",
    )
    page = report_of(found).page
    for sentence in (*verdict(found), *learnt(found, 1000)):
        assert sentence in page
    networks, differences = tabulate(found)
    assert [cells[0] for cells in networks.rows][1:] == [
        "supervised only", "+ L2M, the intermediate terms, known switches", "+ both, known switches"
    ]  # fmt: skip
    for cells in networks.as_text():
        assert cells[3] in page
    assert len(differences.rows) == 3
    assert "published" in page
    # Words wrap beside numbers, which do not.
    assert ".mt-table .mt-words { white-space: normal;" in page
    assert '<td class="mt-words">no<small>layout' in page
    assert '<td class="mt-number" data-key="0.0283">2.83%</td>' in page
    assert "<script" not in page
