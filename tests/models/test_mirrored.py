"""The mirrored decoder: the paper's for the paper's network, and one for every other code."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.mirrored import levels_of, mirror, mirrored_decoder
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.capture import capture
from maxtunnel.switches.codes import SwitchCode

pytestmark = pytest.mark.usefixtures("one_thread")


def test_that_of_the_papers_network_is_the_papers():
    network = TunnelNetwork(Architecture((4, 6)), torch.full((3, 8, 8), 0.5))
    code = network.encode(torch.rand(2, 3, 16, 16))
    captured, papers = mirror(levels_of(code), (16, 16), slope=0.0), mirrored_decoder(Architecture((4, 6)))
    assert [p.shape for p in captured.parameters()] == [p.shape for p in papers.parameters()]
    papers.load_state_dict(captured.state_dict())
    codes = [level.codes for level in code.levels]
    torch.testing.assert_close(captured(codes), papers(codes), rtol=0, atol=1e-5)


def test_a_deep_one_passes_on_what_it_is_given():
    """Of fifteen layers; from the paper's draw it is 0.00005, and unpooling alone leaves a half a block."""
    network = TunnelNetwork(Architecture.parse("16x3-16x3-16x3-16x3-16x3"), torch.full((3, 1, 1), 0.5), 1.0)
    nn.init.constant_(network.mirrored.bias_code, 1.0)
    found = dict(network.activations(network.encode(torch.rand(1, 3, 64, 64))))
    assert len(network.mirrored.convs) == 15
    assert 0.002 < float(found["deconv1_2"].detach().square().mean().sqrt()) < 5


def test_activations_lead_to_the_result():
    network = TunnelNetwork(Architecture((3, 4)), torch.zeros(3, 8, 8), 1.0)
    code = network.encode(torch.rand(2, 3, 16, 12))
    found = dict(network.activations(code))
    names = ["bias code", "unpool2", "deconv2_1", "deconv2_2", "unpool1", "deconv1_1", "deconv1_2"]
    assert list(found) == names
    assert [x.shape[1] for x in found.values()] == [4, 4, 4, 3, 3, 3, 3]
    assert torch.equal(found["bias code"][0, :, 0, 0], network.decoder.bias_code.detach())
    # Unpooling puts each value at its switch and nothing anywhere else.
    assert int((found["unpool2"] != 0).sum()) == code.levels[1].codes.numel()
    rebuilt = network.denormalise(found["deconv1_2"], (16, 12))
    torch.testing.assert_close(rebuilt, network.decode(code), rtol=0, atol=1e-5)


def test_features_take_the_place_of_the_bias_code():
    network = TunnelNetwork(Architecture((3, 4)), torch.zeros(3, 8, 8), 1.0)
    codes = [level.codes for level in network.encode(torch.rand(2, 3, 16, 16)).levels]
    what = torch.rand(2, 4, 4, 4)
    name, first = next(network.decoder.layers(codes, what))
    assert (name, first is what) == ("what", True)
    constant = network.decoder.bias_code.detach()[:, None, None].expand(2, -1, 4, 4)
    torch.testing.assert_close(network.decoder(codes, constant), network.decoder(codes), rtol=0, atol=1e-5)


def test_a_missing_level_is_not_looked_at():
    network = TunnelNetwork(Architecture((3, 4)), torch.zeros(3, 8, 8), 1.0)
    code = network.encode(torch.rand(2, 3, 16, 16))
    codes = [level.codes for level in code.levels]
    for number in (1, 2):
        other = [(c + 1) % 4 if n == number else c for n, c in enumerate(codes, 1)]
        assert torch.equal(network.decoder(other, missing={number}), network.decoder(codes, missing={number}))
        assert not torch.equal(network.decoder(other), network.decoder(codes))


@pytest.mark.parametrize("size", [(32, 32), (31, 45)])
@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 40, 7, 2), nn.MaxPool2d(3, 2, 1), nn.Conv2d(40, 8, 3, 2), nn.MaxPool2d(2)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2), nn.MaxPool2d((3, 2), 2, ceil_mode=True)),
    ],
)  # fmt: skip
def test_it_fits_any_code(model, size):
    code = capture(model, torch.rand(2, 3, *size))
    decoder = mirror(levels_of(code), size, width=8)
    codes = [level.codes for level in code.levels]
    output = decoder(codes)
    assert output.shape == (2, 3, *size)
    decoder.squared_error(codes, torch.zeros(2, 3, *size)).backward()
    assert all(p.grad.abs().sum() > 0 for p in decoder.parameters() if p.ndim == 4)
    # Every level's switches reach the output.
    for number, level in enumerate(code.levels):
        other = [*codes[:number], torch.zeros_like(level.codes), *codes[number + 1 :]]
        assert not torch.equal(decoder(other), output)


# Networks whose levels would hide one another, were each one fed through the next one's pooled planes.
class GlobalAttention(nn.Module):
    """Channel attention by the global maximum, before a pooling of the same plane."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        x = self.first(x).relu()
        return F.max_pool2d(x * torch.sigmoid(F.max_pool2d(x, x.shape[-2:])), 2)


class Branches(nn.Module):
    """Two branches that pool the same plane, the second one a single channel."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 1, 5, padding=2)

    def forward(self, x):
        return F.max_pool2d(self.second(x).relu(), 4), F.max_pool2d(self.first(x).relu(), 2)


class Pyramid(nn.Module):
    """Poolings of stride 1 with ever larger windows, as in SPP, after one that halves the plane."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        x = F.max_pool2d(self.first(x).relu(), 2)
        return [F.max_pool2d(x, side, 1, side // 2) for side in (3, 5)]


class Unrelated(nn.Module):
    """Planes of unrelated sizes, higher and wider than one another, and larger than the image."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)

    def forward(self, x):
        x = self.first(x).relu()
        windows = {(14, 4): 2, (5, 16): (5, 2), (18, 18): 2}
        return [F.max_pool2d(F.interpolate(x, size), kernel) for size, kernel in windows.items()]


# Networks of whose levels more may not be read as less; with the steps after which a decoder of one level has
# learned something, and how much larger the error of all levels may be.
#
# Draws of a mirrored decoder's weights differ by 0.06 (standard deviation), so the mean of two by 0.04. It
# reads both levels of the attention at 0.50, where squeezed through one another they gave 0.77, no less than
# one of them; those of the branches 0.04 worse than the better one, which now are 0.09 better, and those of
# the pyramid 0.08 worse, which now are 0.01 worse. Levels of unrelated sizes only take more steps: all three
# lay 0.07 above the best two after 80 steps, and 0.02 after 400.
HIDDEN = {
    "mirrored": {
        GlobalAttention: (250, -0.1), Branches: (120, 0.0), Pyramid: (100, 0.04), Unrelated: (100, 0.1)
    },
    # That each of its levels reaches the image, whatever the network, is seen without a training below.
    "strong": {GlobalAttention: (100, 0.08)},
}  # fmt: skip
RATES = {"mirrored": 0.015, "strong": 0.006}


def pictures(count, side=12, seed=0):
    """Coloured rectangles on smooth backgrounds."""
    generator = torch.Generator().manual_seed(seed)
    images = F.interpolate(torch.rand(count, 3, 3, 3, generator=generator), (side, side), mode="bilinear")
    for image in images:
        top, left = torch.randint(0, side - 4, (2,), generator=generator).tolist()
        high, wide = torch.randint(3, side // 2, (2,), generator=generator).tolist()
        image[:, top : top + high, left : left + wide] = torch.rand(3, 1, 1, generator=generator)
    return images


def some(code, numbers):
    return SwitchCode(tuple(code.levels[number - 1] for number in numbers), code.image_size)


def new_decoder(kind, code, seed=0):
    if kind == "strong":
        return StrongDecoder(levels_of(code), code.image_size, width=12, seed=seed)
    return mirror(levels_of(code), code.image_size, width=12, seed=seed)


def error_of(kind, code, images, steps, seed=0):
    """Held-out squared error of a decoder that trained on the first pictures, in units of the mean's."""
    decoder = new_decoder(kind, code, seed)
    optimizer = torch.optim.Adam(decoder.parameters(), 0.015)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATES[kind], steps)
    mean, split = images[:-64].mean(0), len(images) - 64
    for step in range(steps):
        chosen = torch.arange(16).add(16 * step) % split
        loss = decoder.squared_error([level.codes[chosen] for level in code.levels], images[chosen] - mean)
        optimizer.zero_grad()
        loss.div(1000).backward()
        optimizer.step()
        rates.step()
    with torch.no_grad():
        held = decoder([level.codes[split:] for level in code.levels])
    target = images[split:] - mean
    return float((held - target).square().mean() / target.square().mean())


@pytest.mark.parametrize(
    ("kind", "network", "steps", "more"),
    [(kind, network, *bounds) for kind, networks in HIDDEN.items() for network, bounds in networks.items()],
)
def test_more_switches_never_read_as_less(kind, network, steps, more):
    torch.manual_seed(0)
    images = pictures(320)
    code = capture(network(), images)
    numbers = range(1, len(code.levels) + 1)
    parts = list(combinations(numbers, len(numbers) - 1))
    errors = {part: error_of(kind, some(code, part), images, steps) for part in parts}
    whole = sum(error_of(kind, code, images, steps, seed) for seed in (0, 1)) / 2
    assert whole < min(errors.values()) + more, (whole, errors)


def changes_of(kind, network, moved):
    """For each window of a level, how the image changes with it: one row each, as 64-bit numbers."""
    torch.manual_seed(0)
    code = capture(network(), pictures(1))
    decoder = new_decoder(kind, code).double()
    codes = [level.codes for level in code.levels]
    level = code.levels[moved - 1]
    rows = []
    with torch.no_grad():
        output = decoder(codes)
        for row, column in np.ndindex(*level.codes.shape[-2:]):
            other = level.codes.clone()
            other[..., row, column] = (other[..., row, column] + level.window.cells // 2) % level.window.cells
            rows.append(decoder([*codes[: moved - 1], other, *codes[moved:]]) - output)
    return torch.cat(rows).flatten(1)


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize(
    ("network", "level"),
    [
        (network, level)
        for network, count in ((GlobalAttention, 2), (Branches, 2), (Pyramid, 3), (Unrelated, 3))
        for level in range(1, count + 1)
    ],
)
def test_every_window_of_every_level_reaches_the_image_in_its_own_way(kind, network, level):
    changes = changes_of(kind, network, level)
    assert (changes.norm(dim=1) > 0).all()
    # Squeezed through the pooled planes of another level, they had the rank of that one's channels or so, 8
    # and 10 of 36. Neighbouring windows of stride 1 may change the image alike, as they share their cells.
    assert torch.linalg.matrix_rank(changes, rtol=1e-3) >= 0.8 * len(changes)


def test_marks_belong_to_the_levels_beside_another():
    code = capture(GlobalAttention(), pictures(2))
    levels = levels_of(code)
    # The pooling that halves its plane comes first, as more can be built on it.
    assert [level.number for level in levels] == [2, 1]
    decoder = mirror(levels, (12, 12), width=5)
    assert {name: mark.shape for name, mark in decoder.marks.items()} == {"1": (8,)}
    # One block for both, so two layers in all, the first of which takes the channels of both.
    assert [tuple(conv.weight.shape[:2]) for conv in decoder.convs] == [(5, 16), (3, 5)]
    names = [name for name, _ in decoder.layers([level.codes for level in code.levels])]
    assert names == ["bias code", "unpool2", "unpool1", "deconv2_1", "deconv2_2"]


def test_a_networks_own_chain_has_no_marks():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2),
    )  # fmt: skip
    decoder = mirror(levels_of(capture(model, torch.rand(1, 3, 48, 48))), (48, 48))
    assert len(decoder.blocks) == 3
    assert set(decoder.state_dict()) == {
        "bias_code",
        *(f"convs.{n}.{w}" for n in range(6) for w in ("weight", "bias")),
    }
