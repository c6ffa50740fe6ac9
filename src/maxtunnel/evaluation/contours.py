"""Precision and recall of contours against several annotators: ODS, OIS and average precision.

The measure of BSDS500 (Arbelaez, Maire, Fowlkes, Malik 2011, IEEE TPAMI 33(5), and Martin, Fowlkes, Malik
2004, IEEE TPAMI 26(5)), at each of many thresholds:

    strength >= threshold -> thinned -> matched one to one with each annotator's contours, within a radius
    recall:    matched contour pixels of all annotators / all their contour pixels
    precision: pixels matched with one annotator at least / all pixels found

Of all ways to pair as many pixels as can be paired, the one counts whose distances sum to least; between
equal ones a number drawn from the places of the two pixels decides, so that the counts are the same
everywhere. The original software comes near that with a random graph, and differs from itself in the fourth
digit.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from maxtunnel.native import contours
from maxtunnel.native.build import available

THRESHOLDS = 99
TOLERANCE = 0.0075  # of the image's diagonal: how far apart two pixels of a pair may lie
# Costs are whole numbers, so that sums are exact: of a thousandth of a pixel, and of a draw between equals.
_PER_PIXEL, _DRAWS = 1000, 2**20
_ALONE = 100.0  # times the radius: the cost of a pixel that stays alone, far above what pairs cost

# Of each threshold: contour pixels of all annotators that were matched, all of them, pixels found that were
# matched with any annotator, all pixels found.
Counts = Int64[Tensor, "t 4"]


@dataclass(frozen=True)
class ContourScore:
    """How well contours were found in a set of images.

    Attributes:
        ods: best F-measure with one threshold for all images (optimal data set scale).
        threshold, precision, recall: where that is reached, between thresholds by interpolation.
        ois: F-measure with the best threshold of each image (optimal image scale).
        average_precision: area under precision over recall, in steps of a hundredth.
        per_image: best F-measure of each image, at its own threshold.
    """

    ods: float
    threshold: float
    precision: float
    recall: float
    ois: float
    average_precision: float
    per_image: tuple[float, ...]


def thresholds_of(number: int = THRESHOLDS) -> Float64[Tensor, " t"]:
    """So many thresholds, evenly between 0 and 1, both left out."""
    return torch.linspace(1 / (number + 1), 1 - 1 / (number + 1), number, dtype=torch.float64)


def count(
    strength: Float64[Tensor, "h w"],
    annotations: Bool[Tensor, "a h w"],
    thresholds: int = THRESHOLDS,
    tolerance: float = TOLERANCE,
    thin: bool = True,
) -> Counts:
    """What precision and recall of one image are made of, at every threshold.

    Args:
        strength: of the contour at each pixel, in [0, 1].
        annotations: the contours that each annotator drew.
        thresholds: how many.
        tolerance: by the image's diagonal, how far apart two pixels of a pair may lie.
        thin: make contours one pixel wide before they are matched.

    Raises:
        ValueError: strengths outside [0, 1] or not numbers, or no annotation.
    """
    if not bool(((strength >= 0) & (strength <= 1)).all()):
        raise ValueError("strengths of contours lie outside 0 to 1: divide grey levels by 255")
    if not len(annotations):
        raise ValueError("no annotation: expected the contours of one annotator at least")
    at, radius = thresholds_of(thresholds), tolerance * math.hypot(*strength.shape)
    counting = contours.count if available("contours") else count_plainly
    return counting(strength, at, annotations, radius, thin)


def count_plainly(
    strength: Float64[Tensor, "h w"],
    thresholds: Float64[Tensor, " t"],
    annotations: Bool[Tensor, "a h w"],
    radius: float,
    thin: bool,
) -> Counts:
    """As `count`, by SciPy and scikit-image: what says what is right, 20 times slower; radius in pixels."""
    from skimage.morphology import thin as thinned

    rows = []
    for threshold in thresholds.tolist():
        found = (strength >= threshold).numpy()
        found = thinned(found) if thin else found
        matched, recalled = np.zeros_like(found), 0
        for annotation in annotations.numpy():
            marks = _matched(found, annotation, radius)
            matched |= marks
            recalled += int(marks.sum())
        rows.append([recalled, int(annotations.sum()), int(matched.sum()), int(found.sum())])
    return torch.tensor(rows)


def score(counts: Int64[Tensor, "n t 4"]) -> ContourScore:
    """The measures of a set of images, from the counts of each; ValueError where there are none."""
    if not len(counts):
        raise ValueError("no image: expected the counts of one at least")
    total = measure(counts.sum(0))
    threshold, recall, precision, ods = best_between(total).tolist()
    return ContourScore(
        ods,
        threshold,
        precision,
        recall,
        float(measure(best_of_each(counts).sum(0))[2]),
        float(areas(total[None])),
        tuple(measure(counts)[..., 2].amax(1).tolist()),
    )


def best_of_each(counts: Int64[Tensor, "n t 4"]) -> Int64[Tensor, "n 4"]:
    """The counts of each image at its own best threshold."""
    best = measure(counts)[..., 2].argmax(1)
    return counts[torch.arange(len(counts)), best]


def measure(counts: Int64[Tensor, "... 4"]) -> Float64[Tensor, "... 3"]:
    """Recall, precision and their harmonic mean; 0 where there is nothing to divide by."""
    matched, all_true, right, found = counts.double().unbind(-1)
    return _with_f(matched / all_true.clamp(min=1), right / found.clamp(min=1))


def _with_f(recall: Float64[Tensor, "..."], precision: Float64[Tensor, "..."]) -> Float64[Tensor, "... 3"]:
    f = 2 * recall * precision / (recall + precision).clamp(min=1e-300)
    return torch.stack([recall, precision, f], -1)


def best_between(total: Float64[Tensor, "... t 3"]) -> Float64[Tensor, "... 4"]:
    """Threshold, recall, precision and F where F is largest, in hundred steps from threshold to threshold.

    Args:
        total: recall, precision and F at each threshold.
    """
    at = thresholds_of(total.shape[-2])[:, None].expand(*total.shape[:-1], 1)
    share = torch.linspace(0, 1, 100, dtype=torch.float64)[:, None, None]
    line = torch.cat([at, total[..., :2]], -1)
    before, after = line[..., None, :-1, :], line[..., None, 1:, :]
    between = (after * share + before * (1 - share)).flatten(-3, -2)
    points = torch.cat([line, between], -2)
    points = torch.cat([points, _with_f(points[..., 1], points[..., 2])[..., 2:]], -1)
    best = points[..., 3].argmax(-1)[..., None, None].expand(*points.shape[:-2], 1, 4)
    return points.gather(-2, best)[..., 0, :]


def areas(totals: Float64[Tensor, "d t 3"]) -> Float64[Tensor, " d"]:
    """Area under precision over recall; what lies beyond the recalls that were reached counts as 0.

    Args:
        totals: recall, precision and F at each threshold, of each set of images.
    """
    found = []
    for total in totals.numpy():
        recall, first = np.unique(total[:, 0], return_index=True)
        reached = np.interp(np.arange(101) / 100, recall, total[first, 1], left=0, right=0)
        found.append(float(reached.sum() / 100) if len(recall) > 1 else 0.0)
    return torch.tensor(found, dtype=torch.float64)


def _matched(found: np.ndarray, annotation: np.ndarray, radius: float) -> np.ndarray:
    """Which of the pixels found are in a pair."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching
    from scipy.spatial import cKDTree

    left, right = np.argwhere(found), np.argwhere(annotation)
    marks = np.zeros_like(found)
    if not len(left) or not len(right):
        return marks
    near = cKDTree(left).sparse_distance_matrix(cKDTree(right), radius + 1e-9, output_type="ndarray")
    n, m, a, b = len(left), len(right), near["i"], near["j"]
    # Each pixel may go with a stand-in of its own; those of two pixels that are a pair go together.
    rows = np.concatenate([a, np.arange(n), n + np.arange(m), n + b])
    columns = np.concatenate([b, m + np.arange(n), np.arange(m), m + a])
    first, second = (pixels[:, 0] * found.shape[1] + pixels[:, 1] for pixels in (left[a], right[b]))
    draw = (first * 73_856_093 ^ second * 19_349_663) % _DRAWS
    alone = np.full(n + m, _ALONE * radius)
    costs = np.rint(_PER_PIXEL * np.concatenate([near["v"], alone, np.zeros(len(a))])) * _DRAWS
    costs[: len(a)] += draw
    # As many edges are chosen whatever is chosen, so 1 more on each changes nothing; 0 would be no edge.
    weights = costs + 1
    graph = csr_matrix((weights, (rows, columns)), shape=(n + m, n + m))
    chosen, partners = min_weight_full_bipartite_matching(graph)
    paired = chosen[(chosen < n) & (partners < m)]
    marks[tuple(left[paired].T)] = True
    return marks
