"""Tensors as pictures: exact inside a page, side by side, and as heat maps."""

import base64
import io
import re

import numpy as np
import pytest
import torch

from maxtunnel.data.images import read_image
from maxtunnel.report.pictures import dots, heat, inline, jpeg, picture, png, strip
from maxtunnel.report.sheet import CAPTION, GAP, MARGIN, Row, sheet


def noise(*shape):
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_picture_in_a_page_is_exact():
    pixels = noise(3, 5, 7)
    html = picture(pixels, 'a "cat"', "mt-soft")
    data = re.search(r'src="data:image/png;base64,([^"]+)"', html)[1]
    assert torch.equal(read_image(io.BytesIO(base64.b64decode(data))), pixels)
    assert 'class="mt-soft"' in html
    assert 'alt="a &quot;cat&quot;" width="7" height="5"' in html
    assert inline(png(pixels), "image/png", "a").startswith('<img src="data:image/png;base64,')


@pytest.mark.parametrize(
    ("size", "times"), [((5, 7), 4), ((16, 28), 1), ((28, 3), 1), ((1, 1), 28), ((14, 9), 2)]
)
def test_dots_take_a_whole_number_of_the_pages_pixels(size, times):
    pixels = noise(3, *size)
    html = dots(pixels, "a", 28)
    data = re.search(r'src="data:image/png;base64,([^"]+)"', html)[1]
    assert torch.equal(read_image(io.BytesIO(base64.b64decode(data))), pixels)
    assert f'width="{times * size[1]}" height="{times * size[0]}"' in html
    assert ("mt-pixels" in html) == (times > 1)


def test_dots_without_room_are_an_error():
    with pytest.raises(ValueError, match="`room` is 28: the picture has 29x3 pixels"):
        dots(noise(3, 3, 29), "a", 28)


def test_jpeg_is_near_and_smaller():
    smooth = torch.linspace(0, 255, 64).to(torch.uint8).expand(3, 48, 64).contiguous()
    data = jpeg(smooth)
    assert data.startswith(b"\xff\xd8")
    assert (read_image(io.BytesIO(data)).int() - smooth.int()).abs().max() <= 4


def test_a_strip_holds_pictures_side_by_side_with_white_between():
    images = noise(3, 3, 4, 6)
    row = strip(images, gap=2)
    assert row.shape == (3, 4, 22)
    for number in range(3):
        assert torch.equal(row[:, :, 8 * number : 8 * number + 6], images[number])
    assert (row[:, :, 6:8] == 255).all()


def test_error_maps_go_from_black_to_white():
    drawn = heat(torch.tensor([[0.0, 0.25, 0.5, 9.0]]), 0.5)
    assert drawn[:, 0, 0].max() < 10
    assert drawn[:, 0, 2].equal(drawn[:, 0, 3])
    brightness = np.asarray(drawn).astype(int).sum(0)[0]
    assert brightness[0] < brightness[1] < brightness[2]


def test_a_sheet_shows_every_picture_pixel_for_pixel():
    first, second = noise(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    whole = np.asarray(sheet([Row("originals", "as they came", first), Row("rebuilt", "", second)]))
    assert whole.shape[:2] == (2 * MARGIN + 2 * (16 + CAPTION), 2 * MARGIN + 2 * 16 + GAP)
    left = MARGIN + 16 + GAP
    assert np.array_equal(whole[MARGIN : MARGIN + 16, left : left + 16], first[1].permute(1, 2, 0).numpy())
    top = MARGIN + 16 + CAPTION
    shown = torch.from_numpy(whole[top : top + 16, MARGIN : MARGIN + 16].copy())
    assert torch.equal(shown, (second[0] * 255).round().to(torch.uint8).permute(1, 2, 0))
