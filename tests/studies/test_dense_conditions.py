"""What networks that answer for every pixel are given when they are read."""

import pytest
import torch

from maxtunnel.models.segnet import segnet_basic
from maxtunnel.studies.dense_conditions import (
    CONDITIONS,
    answer,
    conditions_of,
    draw_network,
    keep_mean,
    others_of,
)


def draw(unpooling="switches", seed=0):
    return segnet_basic(3, 2, unpooling, seed)


@pytest.fixture
def images():
    return torch.rand(4, 3, 16, 20, generator=torch.Generator().manual_seed(0))


def test_each_condition_is_one_of_a_network_that_is_trained_for_it():
    assert len({condition.key for condition in CONDITIONS}) == len(CONDITIONS) == 8
    assert [condition.key for condition in conditions_of("alone")] == ["alone-constant"]
    # Read so are only conditions of the network with known switches.
    assert {condition.trained for condition in CONDITIONS if not condition.so} == {"switches"}


def test_answers_are_of_what_is_given(images):
    network = draw()
    network.eval()
    with torch.no_grad():
        torch.nn.init.ones_(network.decoder.constant)
        seen, size = network.encoder(network.normalise(images)), (16, 20)
        other = network.encoder(network.normalise(images.flip(0)))
        first = [torch.zeros_like(codes) for codes in seen.where]
        given = {
            "known": (seen.what, seen.where),
            "fixed": (seen.what, first),
            "other": (seen.what, other.where),
            "constant": (torch.ones_like(seen.what), seen.where),
        }
        for name, (what, where) in given.items():
            expected = network.decoder(size, what, where).image
            assert torch.equal(answer(network, images, name, images.flip(0)), expected), name
    with pytest.raises(ValueError, match="`others` is None"):
        answer(network, images, "other")


def test_others_are_no_neighbours():
    for count in (2, 3, 5, 80):
        others = others_of(count)
        assert sorted(others.tolist()) == list(range(count))
        assert all(int(other) != number for number, other in enumerate(others))
    assert others_of(80)[0] == 40


def test_the_mean_of_the_features_is_over_images_and_places(images):
    network, pixels = draw(), (images.repeat(6, 1, 1, 1) * 255).to(torch.uint8)
    pixels[20:] = 7
    keep_mean(network, pixels)
    network.eval()
    with torch.no_grad():
        what = network.encoder(network.normalise(pixels.float() / 255)).what
    assert torch.allclose(network.decoder.constant, what.mean((0, 2, 3)), rtol=1e-4)


def test_switches_alone_are_those_of_a_trained_encoder():
    known = draw(seed=5)
    known.mean.fill_(0.5)
    alone = draw_network("alone", draw, known)
    assert torch.equal(alone.encoder.stages[0][0].weight, known.encoder.stages[0][0].weight)
    assert torch.equal(alone.mean, known.mean)
    assert not torch.equal(alone.decoder.stages[0][0].weight, known.decoder.stages[0][0].weight)
    assert draw_network("bilinear", draw).unpooling == "bilinear"
    untrained = draw_network("untrained", draw, known)
    assert torch.equal(untrained.encoder.stages[0][0].weight, draw().encoder.stages[0][0].weight)
    with pytest.raises(ValueError, match="`known` is None"):
        draw_network("alone", draw)
