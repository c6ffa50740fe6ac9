"""Thinning by strengths: a wide contour becomes its middle line, whatever its direction."""

import math

import pytest
import torch

from maxtunnel.evaluation.contours import count, score
from maxtunnel.evaluation.ridges import thin


def _line(degrees: float, size: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """A contour some pixels wide through the middle, and how far each pixel is from its middle line."""
    y, x = torch.meshgrid(torch.arange(size).double(), torch.arange(size).double(), indexing="ij")
    angle, middle = math.radians(degrees), (size - 1) / 2
    far = (y - middle) * math.cos(angle) - (x - middle) * math.sin(angle)
    return torch.exp(-far.square() / 18), far.abs()


@pytest.mark.parametrize("degrees", range(0, 180, 15))
def test_the_middle_of_a_line_stays(degrees: float) -> None:
    strength, far = _line(degrees)
    thinned = thin(strength)
    inside = (slice(6, -6), slice(6, -6))
    kept = thinned[inside] > 0
    assert far[inside][kept].max() <= 1
    assert bool(kept[far[inside] < 0.4].all())
    # What stays keeps its strength.
    assert torch.equal(thinned[thinned > 0], strength[thinned > 0])


def test_two_lines_stay_apart_where_a_threshold_joins_them() -> None:
    """Two wide contours, eight pixels apart: cut low and thinned they are one, by their strengths two."""
    y = torch.arange(40).double()[:, None].expand(40, 50)
    strength = (torch.exp(-(y - 15).square() / 18) + torch.exp(-(y - 23).square() / 18)).clamp(max=1)
    truth = torch.zeros(1, 40, 50, dtype=torch.bool)
    truth[0, 15] = truth[0, 23] = True
    wide, narrow = (count(each, truth, 1, tolerance=0.02) for each in (strength * 0.9, thin(strength) * 0.9))
    assert score(narrow[None]).ods > 0.98
    assert score(wide[None]).ods < 0.5


def test_the_border_is_no_contour_and_a_flat_plane_stays() -> None:
    flat = torch.full((9, 7), 0.5)
    assert torch.equal(thin(flat), flat)
    assert thin(torch.zeros(1, 1)).tolist() == [[0.0]]
    ramp = torch.arange(30.0).expand(20, 30)
    assert not thin(ramp)[:, 1:-1].any()
