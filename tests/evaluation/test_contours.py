"""Contours: counts equal those of SciPy and scikit-image, scores those of BSDS500's own software."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from maxtunnel import native
from maxtunnel.evaluation.contours import count, count_plainly, score, thresholds_of


def _drawn(seed: int, annotators: int = 3, size: tuple[int, int] = (60, 80)) -> tuple:
    """A noisy map of contours, and annotators who draw nearly the same ones."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 1, 12, 16, generator=generator, dtype=torch.float64)
    field = torch.nn.functional.interpolate(noise, size, mode="bicubic", align_corners=False)[0, 0]
    strength = (1 - 12 * (field - 0.5).abs()).clamp(0, 1)
    drawn = [
        ((field - 0.5 + 0.04 * k).abs() < 0.02) & (torch.rand(size, generator=generator) < 0.8)
        for k in range(annotators)
    ]
    return strength, torch.stack(drawn)


@pytest.mark.parametrize("thin", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_scipy_and_scikit_image(seed: int, thin: bool) -> None:
    strength, annotations = _drawn(seed)
    radius = 0.03 * math.hypot(*strength.shape)
    plain = count_plainly(strength, thresholds_of(9), annotations, radius, thin)
    assert torch.equal(count(strength, annotations, 9, 0.03, thin), plain)
    assert (plain[:, 2] < plain[:, 3]).any(), "every pixel was matched: the maps are too easy"


def test_without_a_compiler_the_counts_are_the_same() -> None:
    strength, annotations = _drawn(7, size=(30, 40))
    compiled = count(strength, annotations, 5)
    with native.disabled():
        assert torch.equal(count(strength, annotations, 5), compiled)


def test_a_pixel_is_matched_once() -> None:
    """Two lines near one: only one of them can be it, and the nearer one is."""
    strength, truth = torch.zeros(20, 20, dtype=torch.float64), torch.zeros(1, 20, 20, dtype=torch.bool)
    strength[5, :] = strength[8, :] = 1.0
    truth[0, 6, :] = True
    counts = count(strength, truth, 1, tolerance=0.1)
    assert counts.tolist() == [[20, 20, 20, 40]]
    assert score(counts[None]).precision == 0.5
    assert count(strength, truth, 1, tolerance=0.0).tolist() == [[0, 20, 0, 40]]


def test_the_score_of_what_annotators_drew_is_one() -> None:
    _, annotations = _drawn(1, annotators=1)
    found = score(count(annotations[0].double(), annotations, thin=False)[None])
    assert found.ods == found.ois == 1
    assert found.per_image == (1.0,)


def test_thresholds_are_chosen_for_all_images_or_for_each() -> None:
    """Two images, each perfect at another threshold: one for both is worse than one for each."""
    truth = torch.zeros(1, 16, 16, dtype=torch.bool)
    truth[0, 8] = True
    strong, weak = truth[0].double() * 0.9, truth[0].double() * 0.4
    strong[2] = 0.5
    found = score(torch.stack([count(image, truth, 9) for image in (strong, weak)]))
    assert found.ois == 1
    assert found.ods < 1


def test_bad_maps_are_refused() -> None:
    annotations = torch.zeros(1, 4, 4, dtype=torch.bool)
    for bad in (2.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="outside 0 to 1"):
            count(torch.full((4, 4), bad, dtype=torch.float64), annotations)
    with pytest.raises(ValueError, match="no annotation"):
        count(torch.zeros(4, 4, dtype=torch.float64), annotations[:0])
    with pytest.raises(ValueError, match="no image"):
        score(torch.zeros(0, 99, 4, dtype=torch.int64))


def test_nothing_found_is_no_division_by_zero() -> None:
    empty = torch.zeros(1, 8, 8, dtype=torch.bool)
    assert score(count(torch.zeros(8, 8, dtype=torch.float64), empty)[None]).ods == 0


@pytest.mark.skipif("MAXTUNNEL_BSDS" not in os.environ, reason="set MAXTUNNEL_BSDS to a copy of BSDS500")
def test_scores_are_those_of_the_original_software() -> None:
    """The examples that come with it (bench/data): to the third decimal."""
    from scipy.io import loadmat

    data = Path(os.environ["MAXTUNNEL_BSDS"]) / "bench" / "data"
    counts = []
    for path in sorted((data / "ucm2").glob("*.mat"), key=lambda path: int(path.stem)):
        strength = torch.tensor(loadmat(path)["ucm2"].astype(float)[2::2, 2::2])
        drawn = loadmat(data / "groundTruth" / path.name)["groundTruth"][0]
        annotations = torch.tensor(np.array([each["Boundaries"][0, 0] for each in drawn])).bool()
        counts.append(count(strength, annotations, 5))
    found = score(torch.stack(counts))
    published = [float(value) for value in (data / "test_1" / "eval_bdry.txt").read_text().split()]
    ours = [found.threshold, found.recall, found.precision, found.ods]
    assert ours == pytest.approx(published[:4], abs=5e-4)
    assert [found.ois, found.average_precision] == pytest.approx(published[6:], abs=5e-4)
    each = [line.split() for line in (data / "test_1" / "eval_bdry_img.txt").read_text().splitlines()]
    # Its matching is drawn anew in every run, by which single images differ in the third decimal.
    assert found.per_image == pytest.approx([float(row[4]) for row in each], abs=1.5e-3)
