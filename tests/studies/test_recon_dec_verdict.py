"""The verdict of `study recon-dec` is made of numbers: with others it comes out otherwise."""

from dataclasses import replace

import pytest

from maxtunnel.models.architecture import Architecture
from maxtunnel.studies.recon_dec import ReconDecStudy
from maxtunnel.studies.recon_dec_conclusions import (
    against_classes,
    depths,
    known_against_fixed,
    less,
    verdict,
)
from maxtunnel.studies.recon_dec_config import AUTOENCODERS, MODES, Grid, left_out, preset
from maxtunnel.studies.recon_dec_depths import DepthRow
from maxtunnel.studies.recon_dec_networks import NetworkRow
from maxtunnel.studies.recon_dec_page import report_of
from maxtunnel.studies.recon_dec_tables import tabulate

OF_MEAN = tuple(0.04 + 0.001 * (number % 5) for number in range(50))


def row(given, share, coarse, level=1, reader="strong", noise=0.0):
    """A reader that explains such shares of every photograph, give or take `noise` of it in turn."""

    def errors(part):
        return tuple(value * (1 - part + noise * (-1) ** number) for number, value in enumerate(OF_MEAN))

    swapped = {name: errors(share / 2) for name in ("switches", "features") if given in ("both", name)}
    return DepthRow(
        level,
        given,
        reader,
        errors(share),
        (20.0,) * 50,
        (0.5,) * 50,
        errors(coarse),
        swapped,
        10,
        0.002,
        1.0,
    )


def study(tmp_path, depths=(), networks=(), **changed):
    settings = preset("full").settings
    values = {"mse": OF_MEAN, "psnr": (10.0,) * 50, "ssim": (0.1,) * 50, "coarse": OF_MEAN}
    fields = {
        "settings": settings, "grid": Grid(), "depths": tuple(depths), "networks": tuple(networks),
        "encoder": "64-128", "missing": (), "of_mean": values, "classes": 10, "trained": 9000,
        "measured": 3000, "left_out": "", "folder": tmp_path, "facts": {},
    }  # fmt: skip
    return ReconDecStudy(**(fields | changed))


@pytest.mark.parametrize(
    ("features", "coarse", "switches", "noise", "expected", "words"),
    [
        (0.80, 0.95, 0.90, 0.01, "supported", "as Zhang et al. say"),
        (0.70, 0.80, 0.50, 0.01, "supported in part", "more than the switches alone"),
        (0.40, 0.70, 0.60, 0.01, "contradicted", "does not show what the activations preserve"),
        # The interval of the coarse share lies across 90 %.
        (0.40, 0.90, 0.60, 0.30, "open", "leave it open"),
        # Features and switches are not told apart.
        (0.60, 0.70, 0.60, 0.01, "open", "leave it open"),
        # A reader that has not learnt says nothing.
        (0.01, 0.02, 0.60, 0.001, "withheld", "may not have learnt"),
        (0.20, 0.30, 0.60, 0.80, "withheld", "may not have learnt"),
    ],
)
def test_the_answer_follows_the_numbers(tmp_path, features, coarse, switches, noise, expected, words):
    rows = [
        row("both", 0.92, 0.97),
        row("features", features, coarse, noise=noise),
        row("switches", switches, 0.9, noise=-noise if features == switches else 0.0),
    ]
    if features == switches:
        rows[2] = row("switches", switches, 0.9, noise=noise)
    found = study(tmp_path, rows)
    (depth,) = depths(found, "strong")
    assert depth.answer == expected
    told = verdict(found)
    assert words in told[1]
    assert told[0].startswith(
        f"Read by a strong reader, the share of the variance that is explained is: at pool 1 {features:.0%}"
    )


def test_what_both_explain_is_shared_out(tmp_path):
    rows = [row("both", 0.9, 0.9), row("features", 0.5, 0.5), row("switches", 0.7, 0.7)]
    (depth,) = depths(study(tmp_path, rows), "strong")
    # ((0.7 - 0) + (0.9 - 0.5)) / 2 of 0.9.
    assert depth.switches.value == pytest.approx(0.55 / 0.9)
    assert depth.more.value == pytest.approx(0.2)
    little = [row("both", 0.01, 0.9), row("features", 0.0, 0.5), row("switches", 0.0, 0.7)]
    (depth,) = depths(study(tmp_path, little), "strong")
    assert depth.switches is None


def test_nothing_is_explained_by_minus_nothing(tmp_path):
    rows = [row("both", 0.02, 0.9), row("features", -0.001, 0.5), row("switches", -0.002, 0.7)]
    assert "at pool 1 0% by features, 0% by switches, 2% by both" in verdict(study(tmp_path, rows))[0]


def test_a_depth_without_all_of_its_rows_is_not_judged(tmp_path):
    found = study(tmp_path, [row("both", 0.9, 0.9), row("features", 0.5, 0.5)])
    assert depths(found, "strong") == ()
    assert verdict(found) == ["Nothing is there yet to conclude from."]
    assert "How much each carries" not in report_of(found).page


def network(kind, mode, seed, error):
    return NetworkRow(kind, mode, seed, error, 3000, None if mode is None else 0.1, 0.9, (1.0, 2.0))


def networks(gain, noise, seeds=3):
    """Classes alone, and every autoencoder better by `gain` with a little noise of its own."""
    shared = (0.0, 0.03, -0.01)
    found = [network(None, None, seed, 0.4 + shared[seed]) for seed in range(seeds)]
    for place, (kind, mode) in enumerate((kind, mode) for kind in AUTOENCODERS for mode in MODES):
        found += [
            network(kind, mode, seed, 0.4 + shared[seed] - gain + noise * (seed - 1) * (place + 1))
            for seed in range(seeds)
        ]
    return found


@pytest.mark.parametrize(("gain", "expected"), [(0.05, True), (-0.05, False)])
def test_networks_are_compared_by_seed(tmp_path, gain, expected):
    found = study(tmp_path, networks=networks(gain, 0.0001))
    differences = against_classes(found)
    assert len(differences) == 6
    for each in differences.values():
        assert each.mean == pytest.approx(-gain)
        assert less(each) is expected
    sentence = verdict(found)[0]
    assert f"SWWAE layerwise, 5.00 points {'less' if expected else 'more'}" in sentence


def test_known_switches_are_held_against_fixed_ones(tmp_path):
    """Mode by mode, seed by seed; what both share with classes alone is no part of it."""
    better = [
        replace(each, error=each.error - 0.02) if (each.unpooling, each.mode) == ("switches", "all") else each
        for each in networks(0.05, 0.0001)
    ]
    found = study(tmp_path, networks=better)
    differences = known_against_fixed(found)
    assert list(differences) == ["first", "all", "layerwise"]
    assert differences["all"].mean == pytest.approx(-0.02)
    assert less(differences["all"]) is True
    assert less(differences["first"]) is None
    _, told, untold = verdict(found)
    assert told == "By error told from fixed switches: known ones, all, 2.00 points less."
    assert untold.startswith(
        "By error not told from fixed switches: known ones, first; known ones, layerwise:"
    )
    assert tabulate(found)[-1].rows[1][-1] == "less"
    # Of two kinds that share no seed nothing is said.
    apart = [each for each in better if (each.seed == 0) == (each.unpooling == "switches")]
    assert known_against_fixed(study(tmp_path, networks=apart)) == {}


def test_networks_alone_are_asked_another_question(tmp_path):
    found = report_of(study(tmp_path, networks=networks(0.05, 0.0001))).verdict
    assert found.title == "Does a decoder beside a classifier help it?"
    assert not found.quote
    assert "readers" not in found.question


def test_what_could_have_been_seen_is_said(tmp_path):
    sentence = verdict(study(tmp_path, networks=networks(0.0, 0.01)))[0]
    assert sentence.startswith("By error not told from training on classes alone: SAE first; SAE all")
    assert "over 3 seeds" in sentence
    # Three seeds see 5.65 of a mean's own deviations.
    assert f"{100 * 5.653 * 0.01 / 3**0.5:.2f} to {100 * 5.653 * 0.06 / 3**0.5:.2f} points" in sentence
    # One number where all six have it.
    alike = [replace(each, error=0.4 + 0.01 * each.seed * (each.mode is not None)) for each in networks(0, 0)]
    assert "true differences of 3.26 points would" in verdict(study(tmp_path, networks=alike))[0]
    # Errors do not differ by more than 100 points: of what would take more, nothing can be seen.
    sentence = verdict(study(tmp_path, networks=networks(0.0, 0.04, seeds=2)))[0]
    assert sentence.endswith("points would have been seen in four studies of five, and of some of them none.")
    sentence = verdict(study(tmp_path, networks=networks(0.0, 0.3, seeds=2)))[0]
    assert sentence.endswith("over 2 seeds, no difference would have been seen.")
    sentence = verdict(study(tmp_path, networks=networks(0.05, 0.0, seeds=1)))[0]
    assert "with one seed there is no interval" in sentence


def test_page_and_tables_have_every_number(tmp_path):
    rows = [
        row(given, share, share, level, reader)
        for level in (1, 2)
        for reader in ("mirrored", "strong")
        for given, share in (("both", 0.9), ("features", 0.5), ("switches", 0.7))
    ]
    slow = row("both", 0.9, 0.9, 3)
    whole = study(tmp_path, [*rows, slow], networks(0.05, 0.0001), missing=("pool3-features-strong",))
    reconstructions, carried, trained, modes = tabulate(whole)
    assert len(reconstructions.rows) == 13
    assert [line[0] for line in carried.rows] == [
        "pool 1, mirrored", "pool 2, mirrored", "pool 1, strong", "pool 2, strong",
    ]  # fmt: skip
    assert carried.rows[0][-1] == "contradicted"
    assert trained.rows[1][0] == "SAE first"
    assert trained.rows[1][7] == "less"
    assert [line[0] for line in modes.rows] == ["first", "all", "layerwise"]
    page = report_of(whole).page
    assert "Not there yet, as another process is at them: pool3-features-strong." in page
    assert "SWWAE layerwise" in page
    assert "were trained at a lower one: pool 1, both, mirrored" in page


def test_what_is_left_out_follows_what_is_asked_for():
    full, small, vgg = preset("full"), preset("small"), Architecture.parse("vgg16")
    assert left_out(full.settings, full.grid, vgg) == ""
    told = left_out(small.settings, small.grid, vgg, small.limit)
    for words in (
        "photographs of a folder beyond 2,000",
        "1 of 3 seeds",
        "the layers 16-32-64-64",
        "readers' steps after the first 150 of 1,000",
        "the networks' steps after the first 150 of 1,500",
        "16 of a strong reader's 32 channels",
        "photographs to rebuild beyond 200 of 500",
    ):
        assert words in told
    assert "pool" not in told
    # As much as the full study has, asked for by hand, is not left out.
    assert left_out(replace(small.settings, steps=1500), Grid(), vgg).count("steps") == 1
    assert left_out(full.settings, Grid(levels=(1, 2, 3, 4, 5)), vgg) == ""
    assert left_out(full.settings, Grid(levels=(1, 5)), vgg) == "pool 2, 3, 4"
    assert left_out(full.settings, Grid(parts=("depths",)), vgg) == (
        "networks with a decoder beside the classes"
    )
    # What a part that is not asked for would have left out is not listed.
    assert "layers" not in left_out(small.settings, Grid(parts=("depths",)), vgg)
    assert "readers" not in left_out(small.settings, Grid(parts=("networks",)), vgg)


def test_the_title_names_the_encoder_that_was_given(tmp_path):
    """A document may hold the verdicts of several encoders, each below a head of its own."""
    own, given = study(tmp_path), study(tmp_path, facts={"encoder": "vggs/vgg16.safetensors"})
    assert report_of(own).verdict.title == "What activations carry, and what switches"
    assert report_of(given).verdict.title == "What activations carry, and what switches: vgg16"
