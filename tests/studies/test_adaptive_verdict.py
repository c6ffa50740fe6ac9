"""What `study adaptive` says of its numbers; each answer could have come out otherwise."""

from dataclasses import replace

import pytest

from maxtunnel.studies.adaptive import AdaptiveStudy
from maxtunnel.studies.adaptive_conclusions import answer, came, comparisons, standing, verdict
from maxtunnel.studies.adaptive_config import Grid, left_out, preset
from maxtunnel.studies.adaptive_page import report_of
from maxtunnel.studies.adaptive_reading import GIVEN, Reading
from maxtunnel.studies.adaptive_run import LayerRow, NetworkRow


def reading(left, sharpness, likeness=0.8, other=()):
    """Of four images that differ a little."""
    spread = (-0.01, 0.0, 0.0, 0.01)
    return Reading(
        *(tuple(value + each for each in spread) for value in (left, sharpness, likeness)), tuple(other)
    )


def row(pooling, layers, seed=0, right=0.5):
    """A network of which each layer has (left, sharpness)."""
    found = []
    for left, sharpness in layers:
        readings = {"both": reading(left, sharpness)}
        if pooling == "max":
            readings |= {given: reading(0.9, 0.5, 0.3) for given in GIVEN if given != "both"}
            readings["swapped"] = reading(0.9, 0.5, -0.2, (0.5, 0.5, 0.5, 0.5))
        found.append(LayerRow((0.2,), (100.0, 400), readings))
    accuracies = {str(layer): right for layer in range(1, len(layers) + 1)} | {"all": right}
    return NetworkRow(pooling, seed, tuple(found), accuracies, (1.0, 2.0), (0.1,) * len(layers))


def study(tmp_path, *rows, classes=10):
    settings, grid = preset("toy")
    return AdaptiveStudy(
        settings=settings,
        grid=replace(grid, seeds=2),
        rows=rows,
        missing=(),
        classes=classes,
        labelled=4,
        tested=50,
        left_out=left_out(settings, grid),
        folder=tmp_path,
        facts={},
    )


SHARP = row("max", [(0.05, 0.8), (0.1, 0.8)])


@pytest.mark.parametrize(
    ("averages", "expected"),
    [
        ([(0.2, 0.4), (0.6, 0.1)], "supported"),
        ([(0.2, 0.6), (0.6, 0.6)], "supported in part"),
        ([(0.2, 0.4), (0.6, 0.9)], "contradicted"),
        # Sharper, but leaving more: noise is sharp as well.
        ([(0.2, 0.4), (0.02, 0.1)], "contradicted"),
        ([(0.05, 0.4), (0.6, 0.1)], "open"),
    ],
)
def test_it_is_crucial_where_averages_are_less_sharp(tmp_path, averages, expected):
    assert answer(study(tmp_path, SHARP, row("average", averages))) == expected


def test_nothing_is_answered_without_both(tmp_path):
    assert answer(study(tmp_path, SHARP)) == "open"
    assert comparisons(study(tmp_path, SHARP)) == ()
    assert verdict(study(tmp_path)) == ["Nothing was compared: no network is done."]
    assert report_of(study(tmp_path)).verdict.answers == {}


def test_numbers_are_means_over_seeds_with_intervals_over_images(tmp_path):
    both = study(tmp_path, SHARP, row("max", [(0.07, 0.6), (0.1, 0.6)], seed=1))
    one = came(both, "max", 1, "both")
    assert one.left.mean == pytest.approx(0.06)
    assert one.sharpness.mean == pytest.approx(0.7)
    assert one.left.count == 4
    assert one.explained.mean == pytest.approx(0.64, abs=1e-3)
    swapped = came(both, "max", 1, "swapped")
    # Its negative explains nothing.
    assert (swapped.explained.mean, swapped.other.mean) == (0.0, 0.25)
    assert came(both, "average", 1, "both") is None


def test_the_sentences_have_the_numbers(tmp_path):
    sharp, first, _ = verdict(study(tmp_path, SHARP, row("average", [(0.2, 0.4), (0.6, 0.1)])))
    assert sharp == (
        "Layer 1 keeps 80% of the gradients' energy and leaves 5.0% of the image's, with averages 40% and "
        "20.0%; layer 2 keeps 80% of the gradients' energy and leaves 10.0% of the image's, with averages "
        "10% and 60.0%: max pooling is crucial to sharp reconstructions."
    )
    assert first.startswith("Layer 1: features and switches explain 64.0% of an image; ")
    assert "switches 0.0% of their own image and 25.0% of the other" in first


def test_ours_stands_beside_the_published_accuracy_only_on_as_many_classes(tmp_path):
    ours, unlike, told = standing(study(tmp_path, SHARP))
    assert ours.mean == 0.5
    assert unlike[:2] == ("10 classes, not 101", "2 labelled images a class, not 30")
    assert "not to be compared" in told
    _, unlike, told = standing(study(tmp_path, row("max", [(0.1, 0.8)], right=0.714), classes=101))
    assert (unlike[0], told) == ("2 labelled images a class, not 30", "within its spread")
    assert (
        standing(study(tmp_path, row("max", [(0.1, 0.8)], right=0.5), classes=101))[2] == "21.0 points lower"
    )
    assert standing(study(tmp_path)) is None


def test_what_is_left_out_follows_the_settings():
    whole, grid = preset("full")
    assert left_out(whole, grid) == ""
    assert left_out(replace(whole, side=100, classes=5), Grid(("max",), 1)) == (
        "50 of 150 pixels a side, classes beyond 5, 2 of 3 seeds, average pooling"
    )


def test_the_page_has_it_all(tmp_path):
    page = report_of(study(tmp_path, SHARP, row("average", [(0.2, 0.4), (0.6, 0.1)]))).page
    for text in ("71.0%", "layer 2, features, another", "sharper, and leaves less", "lower bound"):
        assert text in page
