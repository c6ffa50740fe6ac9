"""Image files as a yardstick: their bits are those of the files, their errors those of what comes back."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from maxtunnel.evaluation.compression import QUALITIES, compress


@pytest.fixture(scope="module")
def kinds():
    across, down = torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
    ramp = torch.stack([4 * across, 5 * down, across + down]).to(torch.uint8)
    noise = torch.randint(256, (3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = torch.stack([ramp, noise])
    return pixels, {(kind.format, kind.quality): kind for kind in compress(pixels)}


def test_every_quality_of_both_formats_and_one_without_loss(kinds):
    _, found = kinds
    assert set(found) == {(name, q) for name in ("JPEG", "WebP") for q in QUALITIES} | {("WebP", None)}
    assert found["WebP", None].name == "WebP, lossless"
    assert found["WebP", None].squared_errors.tolist() == [0, 0]


@pytest.mark.parametrize("name", ["JPEG", "WebP"])
def test_more_bits_less_error(kinds, name):
    _, found = kinds
    coarse, fine = found[name, QUALITIES[0]], found[name, QUALITIES[-1]]
    assert (coarse.bits < fine.bits).all()
    assert (coarse.squared_errors > fine.squared_errors).all()
    assert (fine.squared_errors > 0).all()


def test_bits_and_errors_are_those_of_the_file(kinds):
    pixels, found = kinds
    image = pixels[1].permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=50, optimize=True)
    assert found["JPEG", 50].bits[1] == 8 * len(file.getvalue()) / (3 * 32 * 48)
    back = np.asarray(Image.open(file)).astype(float)
    assert found["JPEG", 50].squared_errors[1].item() == pytest.approx(np.mean((back - image) ** 2) / 255**2)


def test_noise_costs_more_than_a_ramp(kinds):
    _, found = kinds
    assert found["WebP", None].bits[1] > 7  # eight bits of noise cannot be told in fewer
    assert found["WebP", None].bits[0] < 4
