"""Finding the photograph that was rebuilt; histograms of edges against scikit-image."""

from itertools import product

import numpy as np
import pytest
import torch
from skimage.feature import hog
from specimens import generator, photographs

from maxtunnel.auditing.identification import edges, identify, ranks, share_found

pytestmark = pytest.mark.usefixtures("one_thread")


def test_edges_are_scikit_images_hog():
    images = photographs(3, 64).float() / 255
    for image, found in zip(images, edges(images), strict=True):
        grey = (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0).numpy()
        expected = hog(grey, 9, (8, 8), (1, 1), block_norm="L2").reshape(64, 9).T.ravel()
        assert found.numpy() == pytest.approx(expected, abs=1e-4)


def test_ranks_count_those_that_are_nearer():
    wanted = torch.tensor([[0.0], [1.0], [3.0]])
    assert ranks(torch.tensor([[0.1], [0.2], [0.0]]), wanted).tolist() == [0, 1, 2]
    # If all are alike, nothing was found.
    assert ranks(torch.zeros(3, 1), torch.ones(3, 1)).tolist() == [2, 2, 2]


def test_the_share_found_is_that_of_all_draws():
    rank = torch.tensor([0, 1, 2, 4, 1])
    for found, behind in zip(share_found(rank, 3).tolist(), rank.tolist(), strict=True):
        nearer = set(range(behind))
        draws = [set(pair) for pair in product(range(4), repeat=2) if len(set(pair)) == 2]
        assert found == pytest.approx(np.mean([not nearer & draw for draw in draws]))


def test_identification_of_the_originals_and_of_noise():
    images = photographs(120).float() / 255
    nearly = identify(images + 0.01 * torch.randn(images.shape, generator=generator()), images)
    noise = identify(torch.rand(images.shape, generator=generator()), images)
    assert [(found.by, found.among) for found in noise] == list(product(("pixels", "edges"), (100, 120)))
    assert [found.found for found in nearly] == [1, 1, 1, 1]
    assert all(found.found < 0.1 for found in noise)
    assert noise[0].chance == 0.01
