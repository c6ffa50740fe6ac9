"""What the rows of `study segmentation` come to: each verdict could have been another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maxtunnel.evaluation.segmentation import PixelCounts, score
from maxtunnel.studies.dense_conditions import conditions_of
from maxtunnel.studies.segmentation import SegmentationStudy
from maxtunnel.studies.segmentation_conclusions import ALONE, FIXED, KNOWN, conclude, verdict
from maxtunnel.studies.segmentation_config import TRAINED, Grid, preset
from maxtunnel.studies.segmentation_page import report_of
from maxtunnel.studies.segmentation_run import Found, NetworkRow

IMAGES, PIXELS = 30, 1000
# Share of the pixels that is found, by how a network was trained.
HELPS = {"switches": 0.9, "fixed": 0.4, "bilinear": 0.5, "alone": 0.7, "untrained": 0.6}


def found(share, seed=0, spread=20, classes=2):
    """Counts of two classes as frequent as each other, of which such a share is found, a bit more or less."""
    drawn = torch.Generator().manual_seed(seed)
    hits = (share * PIXELS + spread * torch.randn(IMAGES, classes, generator=drawn)).round().long()
    hits = hits.clamp(0, PIXELS)
    there = torch.full_like(hits, PIXELS)
    said = hits + (there - hits).flip(1)
    counts = [tuple(map(tuple, each.tolist())) for each in (hits, there, said)]
    return Found(*counts, tuple((hits.sum(1) // 10).tolist()), (2 * PIXELS // 10,) * IMAGES)


def study(shares=HELPS, seeds=1, usual=0.2, spread=20, jumps=0.0):
    """A study whose networks find these shares; `jumps` is how much more every second training finds."""
    rows = [
        NetworkRow(
            trained, seed, 1000, 0.5,
            {
                condition.given: found(share + jumps * (seed % 2) * (trained == "switches"), seed + 1, spread)
                for condition in conditions_of(trained)
            },
            (1.0, 2.0),
        )
        for seed in range(seeds)
        for trained, share in shares.items()
    ]  # fmt: skip
    asked = preset("camvid", "toy").settings
    return SegmentationStudy(
        asked, Grid(seeds), tuple(rows), (), found(usual), ("sky", "road"), 10, IMAGES, "", Path(), {}
    )


def test_numbers_are_those_of_the_evaluation_and_intervals_its_own():
    numbers, counts = conclude(study()).numbers, found(0.9, 1).counts
    expected = score(PixelCounts(counts.hits, counts.there, counts.found))
    value = numbers.value(KNOWN, "mean_iou")
    assert value.mean == pytest.approx(expected.mean_iou)
    assert value.images == pytest.approx(expected.iou_interval, abs=2e-3)
    assert numbers.value(KNOWN, "class_accuracy").mean == pytest.approx(expected.class_accuracy)
    assert numbers.value(KNOWN, "global_accuracy").mean == pytest.approx(expected.global_accuracy)
    assert numbers.class_iou(KNOWN) == pytest.approx(list(expected.class_iou))
    assert numbers.value(KNOWN, "near_borders").mean == pytest.approx(0.9, abs=0.02)


def test_differences_are_paired_by_image_and_seed():
    # The same images are found well and badly by both: what is left is the difference.
    numbers = conclude(study(spread=200)).numbers
    difference = numbers.difference(KNOWN, FIXED, "global_accuracy")
    alone = numbers.value(FIXED, "global_accuracy")
    assert difference.mean == pytest.approx(0.5, abs=0.1)
    width, apart = (value.images[1] - value.images[0] for value in (difference, alone))
    assert width < apart
    assert difference.seeds.interval is None
    assert conclude(study(seeds=3)).numbers.difference(KNOWN, FIXED, "mean_iou").seeds.count == 3


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        # More than half of what lies beyond the usual classes is lost without switches.
        ({}, "supported"),
        ({"bilinear": 0.8}, "supported in part"),
        ({"bilinear": 0.895}, "contradicted"),
        ({"bilinear": 0.95}, "contradicted"),
        ({"fixed": 0.95}, "contradicted"),
        # Nothing is learnt that no image tells.
        ({"switches": 0.2}, "open"),
    ],
)
def test_because_of_the_switches(changed, answer):
    assert conclude(study(HELPS | changed)).because == answer


def test_what_trainings_do_not_agree_on_is_open():
    # On these images it is told, but the next training would tell otherwise.
    swings = {"switches": 0.5, "fixed": 0.55, "bilinear": 0.55, "alone": 0.4, "untrained": 0.4}
    assert conclude(study(swings, seeds=1)).because == "contradicted"
    assert conclude(study(swings, seeds=2, jumps=0.3)).because == "open"
    assert (
        conclude(study(swings, seeds=2, jumps=0.3)).numbers.difference(KNOWN, FIXED, "mean_iou").more is None
    )


def test_a_share_that_trainings_do_not_agree_on_is_open():
    # 95 % of what known switches reach, and of the next training 60 %.
    shares = HELPS | {"switches": 0.6, "alone": 0.6}
    assert conclude(study(shares, seeds=2)).completely == "supported"
    swinging = conclude(study(shares, seeds=2, jumps=0.3))
    assert swinging.completely == "open"
    share = swinging.numbers.share(ALONE)
    assert share.span == share.seeds.interval
    assert conclude(study(shares)).numbers.share(ALONE).seeds.interval is None


@pytest.mark.parametrize(
    ("alone", "answer"),
    [(0.95, "supported"), (0.7, "supported in part"), (0.2, "open"), (0.1, "contradicted")],
)
def test_completely_from_the_switches(alone, answer):
    assert conclude(study(HELPS | {"alone": alone})).completely == answer


def test_the_share_is_of_the_way_from_the_usual_classes():
    numbers = conclude(study(spread=0)).numbers
    known, alone, usual = (numbers.value(each, "mean_iou").mean for each in (KNOWN, ALONE, None))
    share = numbers.share(ALONE)
    assert share is not None
    assert share.mean == pytest.approx((alone - usual) / (known - usual))
    assert numbers.share(KNOWN).mean == pytest.approx(1)


def test_the_verdict_says_it_with_numbers():
    told = verdict(conclude(study()))
    assert "segmentation works so well because of them" in told[0]
    assert "Known switches gain +" in told[0]
    assert "a part of what is needed can be had from them" in told[1]
    assert "another image's" in told[2]
    assert (
        "not seen to reach more than the usual classes"
        in verdict(conclude(study(HELPS | {"switches": 0.2})))[0]
    )
    some = study({"switches": 0.9, "alone": 0.5})
    assert verdict(conclude(some)) == [
        "Nothing was compared: networks with known switches, with fixed ones and with none are needed."
    ]
    assert conclude(some).because == "open"


def test_the_page_and_the_tables_hold_what_is_there():
    report = report_of(study(seeds=2))
    assert report.verdict.answers == {
        "CamVid: works so well because of the switches": "supported",
        "CamVid: all that is spatial is in the switches": "supported in part",
    }
    page = report.page
    assert "SegNet-Basic" in page
    assert "47.7%" in page
    assert "1,000 parameters, not 1,425,000" in page
    assert [len(table.rows) for table in report.tables] == [9, 7, 2]
    # Where nothing is there yet, nothing is said.
    nothing = replace(study(), rows=(), missing=tuple(f"{trained}-0" for trained in TRAINED))
    assert report_of(nothing).tables == ()
    assert "Not there yet" in report_of(nothing).page
