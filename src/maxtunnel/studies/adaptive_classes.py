"""A linear classifier on the features of an adaptive deconvolutional network; scikit-learn does it."""

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from maxtunnel.models.adaptive_deconv import AdaptiveDeconv, Inferred
from maxtunnel.models.adaptive_pooling import unpool_boxes
from maxtunnel.studies.adaptive_reading import see_batches

_GRIDS = (1, 2, 4)  # of the pyramid: the whole plane, its quarters, its sixteenths


def check_installed() -> None:
    """Refuse to begin without scikit-learn, which is asked for only when a network has been learnt.

    Raises:
        ValueError: it is not installed.
    """
    if find_spec("sklearn") is None:
        raise ValueError("the linear classifier is scikit-learn's: pip install scikit-learn")


def pyramids(network: AdaptiveDeconv, images: Float[Tensor, "n 1 h w"]) -> list[Float[Tensor, "n _"]]:
    """For each layer the largest magnitude of every map in each part of a spatial pyramid."""
    parts = [
        [_pyramid(network, layer, number, images) for number, layer in enumerate(see_batches(network, some))]
        for some in images.split(64)
    ]
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def _pyramid(network: AdaptiveDeconv, layer: Inferred, number: int, images: Tensor) -> Tensor:
    shape = network.settings.planes((images.shape[2], images.shape[3]))[number]
    planes = unpool_boxes(layer.what, layer.where, network.settings.box, shape).abs()
    return torch.cat([F.adaptive_max_pool2d(planes, grid).flatten(1) for grid in _GRIDS], 1)


def accuracy(
    trained: Sequence[Tensor],
    labels: Int64[Tensor, " n"],
    tested: Sequence[Tensor],
    truth: Int64[Tensor, " m"],
) -> float:
    """The mean over classes of the share of test images that a linear support vector machine gets right.

    Args:
        trained: features of the labelled images, of one layer or several.
        labels: their classes.
        tested: the same features of the test images.
        truth: their classes.
    """
    from sklearn.svm import LinearSVC

    deviations = [features.std(0).clamp_min(1e-6) for features in trained]
    rows, others = (
        torch.cat([features / deviation for features, deviation in zip(part, deviations, strict=True)], 1)
        for part in (trained, tested)
    )
    # Length 1 an image, as usual before a linear machine: then its one setting hardly matters.
    machine = LinearSVC(C=1.0, random_state=0)
    machine.fit(F.normalize(rows).numpy(), labels.numpy())
    right = machine.predict(F.normalize(others).numpy()) == truth.numpy()
    return float(np.mean([right[truth.numpy() == label].mean() for label in truth.unique().tolist()]))
