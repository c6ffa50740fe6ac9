"""What a switch says: of an encoder whose switches are known beforehand, the patches are too."""

import pytest
import torch

from maxtunnel.evaluation.triggers import find_triggers, paint
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork


@pytest.fixture
def brightest():
    """A network of one level and two channels: the brightest cell of a window, and none at all."""
    network = TunnelNetwork(Architecture((2,)), torch.zeros(3, 16, 16), 1.0, 0)
    for conv in network.encoder.convs:
        conv.weight.data.zero_()
        conv.bias.data.zero_()
    network.encoder.convs[0].weight.data[0, :, 1, 1] = 1.0
    network.encoder.convs[1].weight.data[0, 0, 1, 1] = 1.0
    return network


@pytest.fixture
def images():
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_the_brightest_cell_stands_out_in_its_own_patch(brightest, images):
    found = find_triggers(brightest, images)
    assert found.patches.shape == (2, 4, 3, 8, 8)
    # The window is in the middle of the patch: pixels 3 and 4 of 0 to 7.
    middle = found.patches[0].mean(1)[:, 3:5, 3:5].flatten(1)
    assert middle.argmax(1).tolist() == [0, 1, 2, 3]
    assert (middle.diagonal() > 0.1).all()
    assert found.share[0].sum() == pytest.approx(1)
    assert found.bits[0] > 1.9


def test_patches_are_plain_means(brightest, images):
    found = find_triggers(brightest, images)
    code = brightest.encode(images).levels[0].codes[:, 0]
    padded = torch.nn.functional.pad(images, (3, 3, 3, 3), mode="reflect")
    windows = [
        (padded[n, :, 2 * i : 2 * i + 8, 2 * j : 2 * j + 8], int(code[n, i, j]))
        for n in range(3) for i in range(8) for j in range(8)
    ]  # fmt: skip
    mean = torch.stack([patch for patch, _ in windows]).mean(0)
    for cell in range(4):
        mine = torch.stack([patch for patch, where in windows if where == cell])
        torch.testing.assert_close(found.patches[0, cell], mine.mean(0) - mean, atol=1e-5, rtol=0)
        assert found.share[0, cell] == pytest.approx(len(mine) / len(windows))


def test_a_channel_that_tells_nothing(brightest, images):
    found = find_triggers(brightest, images)
    assert found.share[1].tolist() == [1, 0, 0, 0]
    assert found.bits[1] == 0
    assert found.patches[1].abs().max() < 1e-6
    assert torch.equal(paint(found, 1)[1], torch.full((3, 8, 8), 0.5))


def test_colour_and_direction_are_those_of_what_is_seen(images):
    network = TunnelNetwork(Architecture((1,)), torch.zeros(3, 16, 16), 1.0, 0)
    for conv in network.encoder.convs:
        conv.weight.data.zero_()
        conv.bias.data.zero_()
    # It sees red alone, and columns rise to the right inside every window.
    network.encoder.convs[0].weight.data[0, 0, 1, 1] = 1.0
    network.encoder.convs[1].weight.data[0, 0, 1, 1] = 1.0
    striped = torch.full_like(images, 0.2)
    left, top = images[0, :2, 0, :8].gt(0.5).long()
    even = torch.arange(2).repeat(8)
    striped[:, 0] += 0.3 * (even == left.repeat_interleave(2))[None, None, :]
    striped[:, 0] += 0.1 * (even == top.repeat_interleave(2))[None, :, None]
    found = find_triggers(network, striped)
    assert found.colourfulness[0] == pytest.approx(2 / 3, abs=1e-4)  # of one colour alone
    across, down, diagonal = found.directions[0].tolist()
    assert across > 5 * down > 25 * diagonal


@pytest.mark.parametrize(
    ("level", "count", "size", "message"),
    [(0, 1, 16, "level"), (2, 1, 16, "level"), (1, 0, 16, "no images"), (1, 1, 15, "multiples of 2")],
)
def test_what_cannot_be_looked_at(brightest, level, count, size, message):
    with pytest.raises(ValueError, match=message):
        find_triggers(brightest, torch.zeros(count, 3, size, size), level)
