import numpy as np
import pytest
import torch

from maxtunnel.data.images import to_float
from maxtunnel.data.mean import mean_image


def test_mean_image_is_numpys():
    pixels = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (100, 3, 128, 128), dtype=np.uint8))
    expected = (pixels.numpy().mean(0, dtype=np.float64) / 255).astype(np.float32)
    assert mean_image(pixels).dtype == torch.float32
    np.testing.assert_allclose(mean_image(pixels).numpy(), expected, rtol=2e-7)
    assert torch.equal(mean_image(pixels[:1]), to_float(pixels[0]))
    with pytest.raises(ValueError, match="no images"):
        mean_image(pixels[:0])
