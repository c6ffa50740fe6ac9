"""Studies on a GPU: their networks and readers are trained there, and measured where they lie."""

from dataclasses import replace

import pytest
import torch

from maxtunnel.data.labelled import LabelledSet
from maxtunnel.studies import recon_dec_config, swwae_presets
from maxtunnel.studies.recon_dec_config import GIVEN, READERS, DepthRun, NetworkRun
from maxtunnel.studies.recon_dec_depths import capture, run_reader
from maxtunnel.studies.recon_dec_networks import as_tunnel
from maxtunnel.studies.recon_dec_networks import run_network as run_classifier
from maxtunnel.studies.swwae_config import Run
from maxtunnel.studies.swwae_run import Parts, make_network, run_network
from maxtunnel.training.engine import place
from maxtunnel.training.what_where import WhatWhereFeed, wrong_answers

pytestmark = pytest.mark.gpu
STEPS = 8  # of which a GPU replays the last ones


def labelled(count, channels, side, seed=0, classes=2):
    """Images whose classes are told apart by their brightness."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    noise = torch.randint(0, 60, (count, channels, side, side), generator=generator)
    pixels = (noise + 150 * labels[:, None, None, None] // (classes - 1)).to(torch.uint8)
    return LabelledSet(pixels, labels, tuple(map(str, range(classes))), "train")


def digits():
    """Settings of the study of what-where autoencoders, and images for it."""
    settings = replace(swwae_presets.preset("mnist", "toy").settings, steps=STEPS)
    images = labelled(60, 1, 28)
    return settings, Parts(images, labelled(20, 1, 28, seed=1), images.pixels)


@pytest.mark.parametrize(
    ("method", "unpooling"),
    [("supervised", None), ("both", "switches"), ("both", "fixed"), ("intermediate", "average")],
)
def test_a_what_where_network_is_trained_read_and_measured(device, method, unpooling):
    settings, parts = digits()
    row, picture = run_network(settings, Run(method, unpooling, 20, 0), parts)
    assert 0 <= row.error <= 1
    assert all(0 < value < 1 for value in row.rebuilt.values())
    assert picture.device.type == "cpu"


def test_batches_lie_where_the_network_does_and_are_the_same(device):
    settings, parts = digits()
    settings = replace(settings, dropout=0.0)
    run, found = Run("both", "switches", 20, 0), []
    for place_of in (torch.device("cpu"), device):
        network = make_network(settings, run, parts.trained)
        place(network, place_of)
        images = parts.trained
        feed = WhatWhereFeed(network, images.pixels, images.labels, images.pixels, settings.recipe, 0, 16)
        batch = feed.at(1)
        assert {part.device.type for part in batch[:2]} == {place_of.type}
        found.append((batch[0].cpu(), batch[1].cpu(), wrong_answers(network, images.pixels, images.labels)))
    (images, labels, wrong), (others, same, also_wrong) = found
    torch.testing.assert_close(images, others)
    assert torch.equal(labels, same)
    # An untrained network may waver between two classes.
    assert (wrong != also_wrong).float().mean() <= 0.1


def test_depths_are_captured_and_read(device):
    settings = replace(recon_dec_config.preset("toy").settings, reader_steps=STEPS)
    seen, held = (labelled(count, 3, 16, seed).pixels for count, seed in ((12, 0), (6, 1)))
    images = labelled(12, 3, 16)
    row, network = run_classifier(
        replace(settings, steps=STEPS), NetworkRun("switches", "all", 0), images, images
    )
    assert 0 <= row.error <= 1
    encoder = as_tunnel(network)
    expected = capture(encoder, seen)
    place(encoder, device)
    captured = capture(encoder, seen)
    for before, after in zip(expected.features, captured.features, strict=True):
        assert after.device.type == "cpu"
        torch.testing.assert_close(before, after, rtol=0.02, atol=0.02)
    measured = capture(encoder, held, captured)
    for kind in READERS:
        for given in GIVEN:
            read, picture = run_reader(
                settings, DepthRun(2, given, kind), encoder.architecture, captured, measured
            )
            assert len(read.mse) == len(held)
            assert torch.isfinite(torch.tensor(read.mse)).all()
            assert picture.device.type == "cpu"


def test_an_encoder_that_lies_on_a_gpu_is_saved_and_loaded(device, tmp_path):
    settings, images = recon_dec_config.preset("toy").settings, labelled(12, 3, 16)
    _, network = run_classifier(settings, NetworkRun(None, None, 0), images, images)
    network.save(tmp_path / "encoder.safetensors")
    loaded = as_tunnel(type(network).load(tmp_path / "encoder.safetensors"))
    assert loaded.device.type == "cpu"
    assert loaded.identity() == as_tunnel(network).identity()
