"""What `study all-conv` concludes from rows: each verdict could have come out otherwise."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maxtunnel.studies.all_conv import AllConvStudy
from maxtunnel.studies.all_conv_conclusions import (
    differences,
    kinds,
    out_of_order,
    places,
    standing,
    verdict,
)
from maxtunnel.studies.all_conv_config import Grid, preset
from maxtunnel.studies.all_conv_page import report_of
from maxtunnel.studies.all_conv_run import NetworkRow, ReadingRow

IMAGES = 40


def reading(variant, given, explained, seed=0, trained=True):
    """A row of which so much of a variance of 1 is explained.

    Errors of one network differ from image to image, so that its mean is not told from an equal one.
    """
    noise = 0.05 if variant == "all" else 0.0
    errors = 1 - explained + noise * (1 - 2 * (torch.arange(IMAGES) % 2)).double()
    return ReadingRow(
        "C", variant, seed, trained, 2, given, tuple(errors.tolist()), {"all": (1.5,) * IMAGES}, 0.0, 1.0,
        False,
    )  # fmt: skip


def network(variant, error, seed=0):
    return NetworkRow("C", variant, seed, error, 1000, 0.5, 100, 1_000_000, 1.0)


def study(readings=(), networks=(), seeds=1, **changes):
    settings = replace(preset("full").settings, **changes)
    return AllConvStudy(
        settings, Grid(seeds=seeds, places=(2,)), tuple(networks), tuple(readings), (), (1.0,) * IMAGES,
        50_000, 10_000, "", Path("nowhere"), {},
    )  # fmt: skip


def read(switches, features, both, strided, **more):
    values = {"switches": switches, "features": features, "both": both}
    pooled = [reading("convpool", given, value, **more) for given, value in values.items()]
    return [*pooled, reading("all", "features", strided, **more)]


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ((0.8, 0.5, 0.9, 0.3), "a cure"),
        ((0.8, 0.5, 0.9, 0.5), "a cure at least in part"),
        ((0.8, 0.5, 0.9, 0.7), "a cure in part"),
        ((0.8, 0.5, 0.9, 0.9), "no cure"),
        ((0.8, 0.5, 0.9, 0.8), "open"),
    ],
)
def test_the_answer_is_made_from_what_is_read(values, answer):
    (found,) = places(study(read(*values)))
    assert found.answer == answer
    assert found.pooled["switches"].value == pytest.approx(values[0])
    assert found.whole.value == pytest.approx(values[2] - values[3])
    (sentence,) = verdict(study(read(*values)))
    assert f"against the switches: {answer}, as" in sentence


def test_what_seeds_do_not_tell_is_not_told():
    """Each seed alone tells the switches from the features of All-CNN, the other way round."""
    apart = [*read(0.8, 0.5, 0.9, 0.3), *read(0.3, 0.5, 0.9, 0.7, seed=1)]
    (found,) = places(study(apart, seeds=2))
    assert found.more.interval[0] > 0
    assert found.answer == "open"
    alike = [*read(0.8, 0.5, 0.9, 0.3), *read(0.8, 0.5, 0.9, 0.3, seed=1)]
    assert places(study(alike, seeds=2))[0].answer == "a cure"
    assert "over seeds" in verdict(study(alike, seeds=2))[0]


def test_without_enough_steps_or_with_controls_out_of_order_it_is_withheld():
    rows = read(0.8, 0.5, 0.9, 0.3)
    assert places(study(rows, reader_steps=99))[0].answer == "withheld"
    assert places(study(rows, reader_steps=100))[0].answer == "a cure"
    for given in ("random", "fixed"):
        knows = [*rows, reading("convpool", given, 0.2)]
        assert places(study(knows))[0].answer == "withheld"
        assert "explains 20% of the variance" in out_of_order(study(knows))[0]
        assert not out_of_order(study([*rows, reading("convpool", given, 0.0)]))


def test_twins_are_compared_over_the_same_seeds():
    rows = read(0.8, 0.5, 0.9, 0.3)
    assert not places(study([*rows, reading("convpool", "switches", 0.8, seed=1)], seeds=2))
    more = read(0.6, 0.3, 0.7, 0.1, seed=1)
    (found,) = places(study([*rows, *more], seeds=2))
    assert found.pooled["switches"].value == pytest.approx(0.7)
    assert found.strided.value == pytest.approx(0.2)


@pytest.mark.parametrize(("shift", "less"), [(-0.05, True), (0.05, False), (0.0, None)])
def test_errors_are_compared_seed_by_seed(shift, less):
    rows = [
        network(variant, error + (shift if variant == "all" else 0) + jitter, seed)
        for seed, error in enumerate((0.2, 0.4, 0.3))
        for variant, jitter in (("convpool", 0.0), ("all", (0.001, -0.001, 0.0)[seed]))
    ]
    (found,) = differences(study(networks=rows, seeds=3))
    assert found.less is less
    words = {True: "less than", False: "more than", None: "not told apart"}
    assert words[less] in verdict(study(networks=rows, seeds=3))[0]


def test_published_errors_stand_beside_networks_of_the_same_kind_alone():
    rows = [network("all", 0.10), network("base", 0.09)]
    found = study(networks=rows)
    base, strided = kinds(found)
    published, unlike, told = standing(found, strided)
    assert (published.error, told) == (0.0908, "0.92 points higher (one seed)")
    assert "20.5 passes over the images, not 350" in " ".join(unlike)
    assert standing(found, base)[0].error == 0.0974
    augmented = study(networks=rows, augment=True)
    assert standing(augmented, kinds(augmented)[1])[0].error == 0.0725
    assert standing(augmented, kinds(augmented)[0]) is None


def test_untrained_networks_have_a_sentence_of_their_own():
    rows = [
        reading("convpool", "switches", 0.7, trained=False),
        reading("all", "features", 0.6, trained=False),
    ]
    (sentence,) = verdict(study(rows))
    assert sentence.startswith("Where nothing was trained, behind place 2: switches of ConvPool-CNN-C 7")
    assert "features of All-CNN-C 6" in sentence


def test_networks_that_learnt_nothing_are_named():
    rows = [network("all", 0.899, 1), network("all", 0.2)]
    assert "concluded from them: All-CNN-C, seed 1." in report_of(study(networks=rows, seeds=2)).page


def test_a_study_without_rows_says_so_and_has_a_page():
    assert verdict(study()) == ["Nothing is there yet to conclude from."]
    report = report_of(study())
    assert report.tables == ()
    assert "Nothing is there yet" in report.page


def test_the_page_shows_verdict_and_numbers():
    rows = [network("all", 0.10), network("convpool", 0.12)]
    report = report_of(study([*read(0.8, 0.5, 0.9, 0.3), reading("convpool", "random", 0.0)], rows))
    assert report.verdict.answers == {
        "place 2 of C": "a cure",
        "error of All-CNN-C against ConvPool-CNN-C": "not told apart",
    }
    assert "ConvPool-CNN-C, place 2, random switches" in report.page
    assert [len(table.rows) for table in report.tables] == [2, 1, 5, 1]
