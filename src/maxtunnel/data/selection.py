"""The paper's draw of classes and images from a source."""

import re

import numpy as np
from jaxtyping import Int64

from maxtunnel.data.sources import Listing


def draw(source: Listing, select: str, distinct: bool, seed: int) -> Int64[np.ndarray, " n"]:
    """The numbers of the images that the paper's draw takes, class after class as drawn.

    NumPy's RandomState(seed) first draws among the classes with enough images, in the order of their labels;
    then, for each drawn class in turn, among its images in the order of their paths. Drawn with replacement,
    a class or an image may come more than once, as in the paper.

    Args:
        select: `CLASSESxIMAGES`.
        distinct: draw without replacement.
        seed: of the draw, from 0 to 2**32 - 1, as NumPy's RandomState takes it.

    Raises:
        ValueError: one of these is something else, or the source has not so many classes or images.
    """
    match = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", select)
    if match is None:
        raise ValueError(f"`select` is {select!r}: expected CLASSESxIMAGES, such as 100x400")
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` is {seed}: expected 0 to {2**32 - 1}")
    if source.labels.max(initial=-1) < 0:
        raise ValueError("`select` draws classes, and the source has none: give a folder of class folders")
    classes, images = int(match[1]), int(match[2])
    counts = np.bincount(source.labels[source.labels >= 0], minlength=1)
    eligible = np.flatnonzero(counts >= images)
    if len(eligible) < (classes if distinct else 1):
        raise ValueError(
            f"`select` draws {classes} classes with at least {images} images, but only {len(eligible)} of "
            f"{len(source.class_names)} have so many: select fewer"
        )
    # The generator of the paper's time: another would draw other images.
    random = np.random.RandomState(seed)
    drawn = eligible[random.choice(len(eligible), classes, replace=not distinct)]
    return np.concatenate(
        [
            _by_path(source, label)[random.choice(counts[label], images, replace=not distinct)]
            for label in drawn.tolist()
        ]
    )


def relabel(
    source: Listing, items: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """The labels of the drawn images and the class names, without the classes that were not drawn."""
    labels = source.labels[items]
    if len(items) == len(source.labels) or not source.class_names:
        return labels, source.class_names
    present, labels = np.unique(labels, return_inverse=True)
    return labels, tuple(source.class_names[label] for label in present)


def _by_path(source: Listing, label: int) -> Int64[np.ndarray, " n"]:
    items = np.flatnonzero(source.labels == label)
    keys = source.keys.take(items).to_pylist()
    return items[sorted(range(len(items)), key=keys.__getitem__)]
