"""All-convolutional networks on a GPU: steps are replayed, and readers are given what lies there."""

from dataclasses import replace

import pytest
import torch

from maxtunnel.data.labelled import LabelledSet
from maxtunnel.studies.all_conv_config import NetworkRun, ReadingRun, preset
from maxtunnel.studies.all_conv_run import capture, run_network, run_reading
from maxtunnel.studies.swwae_run import Parts

pytestmark = pytest.mark.gpu


@pytest.fixture
def parts():
    """Two classes, which a bar that lies or stands tells apart."""
    pixels = torch.randint(0, 60, (64, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(64) % 2
    pixels[labels == 0, :, 12:18] = 220
    pixels[labels == 1, :, :, 12:18] = 220
    images = LabelledSet(pixels.to(torch.uint8), labels, ("lies", "stands"), "train")
    return Parts(images, images.part(torch.arange(32)), images.pixels)


@pytest.mark.parametrize("variant", ["convpool", "all"])
def test_networks_learn_and_are_read_where_they_lie(device, parts, variant):
    settings = replace(
        preset("toy").settings, width=8, steps=60, batch=16, learning_rate=3e-3, reader_steps=10, held=16
    )
    row, network = run_network(settings, NetworkRun("C", variant, 0), parts)
    assert network.mean.device.type == device.type
    assert row.error < 0.1
    again, _ = run_network(settings, NetworkRun("C", variant, 0), parts)
    assert again.accuracy == pytest.approx(row.accuracy, abs=0.1)
    dropped, _ = run_network(
        replace(settings, dropout=True, augment=True), NetworkRun("C", variant, 0), parts
    )
    assert 0 <= dropped.error <= 1
    seen = capture(settings, network, 2, parts)
    given = "both" if variant == "convpool" else "features"
    reading, _ = run_reading(settings, ReadingRun("C", variant, 0, True, 2, given), seen)
    assert len(reading.mse) == 16
    behind = network.places(network.normalise(seen.held.pixels.to(device) / 255))[1].detach().cpu()
    torch.testing.assert_close(
        seen.held.features.float() * seen.held.rms[:, None, None], behind, rtol=0.02, atol=0.02
    )
