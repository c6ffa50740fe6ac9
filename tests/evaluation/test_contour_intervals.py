"""Intervals of the measures of contours: over images, and paired where two ways draw the same ones."""

import pytest
import torch

from maxtunnel.evaluation.contour_intervals import resample
from maxtunnel.evaluation.contours import score


def _counts(good: float, images: int = 30, thresholds: int = 5, seed: int = 0) -> torch.Tensor:
    """Counts of images in which about this share of contour pixels is found rightly, some images harder."""
    generator = torch.Generator().manual_seed(seed)
    hard = torch.rand(images, 1, generator=generator) * 0.4
    share = (good - hard).clamp(0.05, 1) * torch.linspace(1, 0.5, thresholds)
    right = (share * 1000).long()
    all_true, found = (
        torch.full_like(right, 1000),
        (torch.linspace(1500, 600, thresholds).long()).expand_as(right),
    )
    return torch.stack([right, all_true, right, torch.maximum(right, found)], -1)


def test_an_interval_is_round_the_value_and_shrinks_with_images() -> None:
    for images in (30, 300):
        counts = _counts(0.8, images)
        found = resample([[counts]], 200)
        whole = score(counts)
        assert found.values[0].tolist() == [whole.ods, whole.ois, whole.average_precision]
        low, high = found.interval(0)
        assert low < found.values[0, 0] < high
        if images == 30:
            wide = high - low
    assert high - low < 0.6 * wide


def test_a_draw_is_what_the_measure_gives_of_the_images_drawn() -> None:
    counts = _counts(0.7, images=12)
    found = resample([[counts]], 8, seed=5).draws[:, 0]
    numbers = torch.randint(12, (8, 12), generator=torch.Generator().manual_seed(5))
    for draw, chosen in zip(found, numbers, strict=True):
        one = score(counts[chosen])
        assert draw.tolist() == [one.ods, one.ois, one.average_precision]


def test_differences_are_paired() -> None:
    """Two ways that differ by the same in every image differ surely, however much images differ."""
    first, second = _counts(0.8), _counts(0.78)
    found = resample([[first], [second]], 200)
    value, (low, high) = found.difference(0, 1)
    assert 0 < low < value < high
    ends = found.interval(0), found.interval(1)
    assert ends[1][1] > ends[0][0], "unpaired, the intervals overlap"
    assert resample([[first], [first]], 50).difference(0, 1) == (0.0, (0.0, 0.0))


def test_a_share_goes_from_nothing_to_all() -> None:
    found = resample([[_counts(0.5)], [_counts(0.9)], [_counts(0.7)]], 100)
    assert found.share(0, none=0, whole=1) == (0.0, (0.0, 0.0))
    assert found.share(1, none=0, whole=1) == (1.0, (1.0, 1.0))
    third = resample([[_counts(0.5)], [_counts(0.9)], [_counts(0.7, seed=1)]], 100)
    value, (low, high) = third.share(2, none=0, whole=1)
    assert 0 < low < value < high < 1


def test_the_measures_of_several_networks_are_averaged() -> None:
    first, second = _counts(0.8), _counts(0.6, seed=1)
    both = resample([[first, second]], 20).values
    alone = [resample([[each]], 20).values for each in (first, second)]
    assert torch.allclose(both, (alone[0] + alone[1]) / 2)
    assert resample([[first]], 20, seed=3).draws.tolist() == resample([[first]], 20, seed=3).draws.tolist()
    assert float(both[0, 0]) == pytest.approx(float((alone[0] + alone[1])[0, 0] / 2))
