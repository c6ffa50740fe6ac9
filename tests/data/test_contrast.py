"""Local contrast, normalised."""

import pytest
import torch

from maxtunnel.data.contrast import SPREAD, fit_square, normalise_contrast, to_grey


def noise(height, width):
    return torch.rand(height, width, generator=torch.Generator().manual_seed(0))


def test_brightness_and_strength_do_not_matter():
    image = noise(40, 50)
    found = normalise_contrast(image)
    torch.testing.assert_close(normalise_contrast(0.3 * image + 0.2), found, rtol=1e-3, atol=1e-3)
    assert abs(float(found.mean())) < 0.02
    assert 0.7 < float(found.std()) < 1.1


def test_weak_and_strong_regions_come_out_alike_but_flat_ones_stay_flat():
    image = noise(60, 60)
    image[:, 30:] = 0.5 + 0.5 * (image[:, 30:] - 0.5)
    image[:20] = 0.4
    found = normalise_contrast(image)
    before = image[35:, 5:20].std() / image[35:, 40:55].std()
    after = found[35:, 5:20].std() / found[35:, 40:55].std()
    assert before > 1.8
    assert after < 1.3
    assert found[:5].abs().max() < 1e-4


def test_an_image_of_one_brightness_is_zeros():
    assert normalise_contrast(torch.full((9, 9), 0.3)).abs().max() < 1e-4


def test_the_neighbourhood_is_a_gaussian_of_what_lies_inside():
    image = torch.zeros(31, 31)
    image[15, 15] = 0.01
    found = normalise_contrast(image)
    weight = torch.exp(-torch.arange(-7, 8).square() / (2 * SPREAD**2))
    weight /= weight.sum()
    # It is so weak that one number divides all.
    ratio = found[15, 20] / found[15, 21]
    torch.testing.assert_close(ratio, weight[12] / weight[13], rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("height", "width", "box"), [(60, 30, (24, 12)), (30, 60, (12, 24)), (7, 7, (24, 24))]
)
def test_photographs_keep_their_shape_in_the_middle_of_zeros(height, width, box):
    pixels = (255 * noise(height, width)).byte().expand(3, -1, -1)
    found = fit_square(pixels, 24)
    assert found.shape == (1, 24, 24)
    top, left = (24 - box[0]) // 2, (24 - box[1]) // 2
    inside = found[0, top : top + box[0], left : left + box[1]]
    assert torch.equal(found.square().sum(), inside.square().sum())
    assert (inside != 0).all()


def test_grey_is_what_is_seen():
    pixels = (
        torch.tensor([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]).view(4, 3).T.reshape(3, 1, 4).byte()
    )
    torch.testing.assert_close(to_grey(pixels)[0], torch.tensor([0.299, 0.587, 0.114, 1.0]))
