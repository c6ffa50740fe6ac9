"""Refined pictures: what is brought down is what the docstring says, and the photograph comes nearer."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

import maxtunnel
from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models import refine as module
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.refine import MARGIN, Tiles, Windows, refine
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchLevel
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window


def network(text="4-3", seed=0):
    return TunnelNetwork(Architecture.parse(text), torch.full((3, 1, 1), 0.5), scale=4.0, seed=seed)


def images(count=2, size=(24, 20), seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    return F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def agreement(network, pictures, code):
    """The share of the switches of pictures that are those of the code, level by level."""
    found = network.encode(pictures)
    return [
        float((a.codes == b.codes).float().mean()) for a, b in zip(found.levels, code.levels, strict=True)
    ]


def written_out(plane, codes, rectified=False):
    """The docstring's sum and values of one level, window by window."""
    _, channels, height, width = plane.shape
    values = torch.zeros(1, channels, height // 2, width // 2, dtype=plane.dtype)
    broken = torch.zeros((), dtype=plane.dtype)
    for c in range(channels):
        windows = F.pixel_unshuffle(plane[:, c : c + 1], 2)[0]
        scale = (windows - windows.mean(0)).square().mean().sqrt()
        for i, j in itertools.product(range(height // 2), range(width // 2)):
            cells = [float(v) for v in windows[:, i, j]]
            if rectified:
                cells[0] = max(0.0, cells[0])
            k = int(codes[0, c, i, j])
            others = max(v for n, v in enumerate(cells) if n != k)
            broken += max(0.0, (others - cells[k]) / scale + MARGIN) ** 2
            values[0, c, i, j] = max(0.0, cells[k]) if rectified else cells[k]
    return values, broken


@pytest.mark.parametrize("rectified", [False, True])
def test_what_a_level_asks_is_what_the_docstring_says(rectified):
    generator = torch.Generator().manual_seed(3)
    plane = torch.randn(1, 3, 6, 8, dtype=torch.float64, generator=generator)
    codes = torch.randint(4, (1, 3, 3, 4), generator=generator, dtype=torch.uint8)
    values, broken = Tiles(codes, rectified)(plane)
    expected_values, expected_broken = written_out(plane, codes, rectified)
    torch.testing.assert_close(values, expected_values)
    torch.testing.assert_close(broken, expected_broken)


@pytest.mark.parametrize("rectified", [False, True])
def test_the_gradient_is_that_of_finite_differences(rectified):
    generator = torch.Generator().manual_seed(4)
    plane = torch.randn(1, 2, 4, 6, dtype=torch.float64, generator=generator)
    codes = torch.randint(4, (1, 2, 2, 3), generator=generator, dtype=torch.uint8)
    constraint = Tiles(codes, rectified)
    constraint(plane)  # fixes the scales
    assert torch.autograd.gradcheck(constraint, plane.clone().requires_grad_())


WINDOWS = [
    Window(),
    Window(3, 2, 1),
    Window(3, 2, ceil_mode=True),
    Window((2, 3), (1, 2), (1, 0), (2, 1)),
]


def drawn(window, size, seed=6, dtype=torch.float64):
    """A plane, and the switches of another one."""
    generator = torch.Generator().manual_seed(seed)
    plane, other = torch.randn(2, 1, 3, *size, dtype=dtype, generator=generator)
    return plane, SwitchLevel(pool(other.float(), window)[1], window, size)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", [(8, 10), (7, 9)])
def test_other_windows_are_asked_for_the_same(window, size, monkeypatch):
    plane, level = drawn(window, size)
    values, broken = Windows(level)(plane)
    cells = {}  # by channel and window, the values of its cells that lie inside
    for c in range(3):
        for i, j in itertools.product(*map(range, level.codes.shape[-2:])):
            top, left = i * window.stride[0] - window.padding[0], j * window.stride[1] - window.padding[1]
            cells[c, i, j] = {
                code: float(plane[0, c, top + down, left + right])
                for code, down, right in window.cell_offsets()
                if 0 <= top + down < size[0] and 0 <= left + right < size[1]
            }
    expected = 0.0
    for c in range(3):
        windows = [torch.tensor([*of.values()]) for (channel, *_), of in cells.items() if channel == c]
        total = sum(float((of - of.mean()).square().sum()) for of in windows)
        scale = math.sqrt(total / sum(map(len, windows)))
        for (channel, i, j), of in cells.items():
            k = int(level.codes[0, c, i, j])
            others = [value for code, value in of.items() if code != k]
            if channel == c and others:
                expected += max(0.0, (max(others) - of[k]) / scale + MARGIN) ** 2
                assert float(values[0, c, i, j]) == of[k]
    assert float(broken) == pytest.approx(expected, rel=1e-5)
    if window.tiles(size):
        for found, wanted in zip(Tiles(level.codes)(plane), (values, broken), strict=True):
            torch.testing.assert_close(found, wanted)
    constraint = Windows(level)
    constraint(plane)
    assert torch.autograd.gradcheck(constraint, plane.clone().requires_grad_())
    monkeypatch.setattr(module, "MARGIN", 0.0)
    own = SwitchLevel(pool(plane, window)[1], window, size)
    assert float(Windows(own)(plane)[1]) == 0


@pytest.mark.parametrize("rectified", [False, True])
def test_a_plane_with_those_switches_breaks_nothing(rectified, monkeypatch):
    monkeypatch.setattr(module, "MARGIN", 0.0)
    plane = torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(5)) - 0.7
    pooled, codes = pool(plane.relu() if rectified else plane)
    assert not rectified or (pooled == 0).any()  # dark windows among them
    values, broken = Tiles(codes, rectified)(plane)
    assert float(broken) == 0
    torch.testing.assert_close(values, pooled)


@pytest.mark.parametrize("text", ["12-4", "12-4+linear+inside8", "12-4x3-2"])
def test_more_switches_agree_and_the_photograph_is_nearer(text):
    one, photographs = network(text), images(1)
    code = one.encode(photographs)
    start = photographs + 0.1 * torch.randn(photographs.shape, generator=torch.Generator().manual_seed(1))
    moved = refine(one, code, start, rounds=20)
    before, after = agreement(one, start, code), agreement(one, moved, code)
    assert all(b < a for b, a in zip(before, after, strict=True))
    assert (moved - photographs).square().mean() < 0.75 * (start - photographs).square().mean()
    assert moved.shape == photographs.shape
    assert moved.dtype == torch.float32
    assert not moved.requires_grad


@pytest.mark.parametrize(("name", "share"), [("8-8-8", 0.98), ("8-8-8-learned", 0.96)])
def test_what_ships_reads_more(name, share):
    one = maxtunnel.load(name)
    photograph = to_float(next(iter(demo_photographs().values())))[None, :, 64:128, 64:128]
    code = one.encode(photograph)
    start = one.decode(code)
    moved = refine(one, code, start)
    assert (moved - photograph).square().mean().sqrt() < share * (start - photograph).square().mean().sqrt()


def test_a_picture_does_not_depend_on_those_beside_it():
    one, photographs = network(), images(3)
    code = one.encode(photographs)
    start = one.decode(code)
    together = refine(one, code, start, rounds=8)
    for n in range(3):
        assert torch.equal(refine(one, code[n], start[n : n + 1], rounds=8), together[n : n + 1])
    assert refine(one, code[:0], start[:0]).shape == (0, 3, 24, 20)


def test_levels_that_are_not_given_ask_nothing():
    one, photographs = network(), images()
    code, other = one.encode(photographs), one.encode(images(seed=8))
    start = photographs.flip(-1)
    # With level 2 alone, what level 1 says makes no difference.
    mixed = type(code)((other.levels[0], code.levels[1]), code.image_size)
    found = refine(one, mixed, start, levels=[2], rounds=8)
    assert torch.equal(found, refine(one, code, start, levels=[2], rounds=8))
    assert agreement(one, found, code)[1] > agreement(one, start, code)[1]
    assert not torch.equal(found, refine(one, code, start, rounds=8))


def test_dead_channels_and_flat_pictures_are_left_alone():
    one, photographs = network(), images()
    with torch.no_grad():
        for layer in one.encoder.convs:
            layer.weight.zero_()
    code = one.encode(photographs)
    assert torch.equal(refine(one, code, photographs), photographs)
    # Nor has what is asked of a plane without a scale a gradient that is not finite.
    plane = torch.zeros(1, 3, 4, 4, requires_grad=True)
    for constraint in (
        Tiles(code.levels[0].codes[:1, :3, :2, :2]),
        Windows(SwitchLevel(code.levels[0].codes[:1, :3, :2, :2], Window(), (4, 4))),
    ):
        _, broken = constraint(plane)
        assert torch.equal(torch.autograd.grad(broken, plane)[0], torch.zeros_like(plane))


@pytest.mark.parametrize("size", [(24, 24), (21, 19)])
def test_the_padding_of_odd_sizes_is_that_of_the_picture(size):
    one, photographs = network("12-4"), images(1, size)
    code = one.encode(photographs)
    start = photographs + 0.1 * torch.randn(photographs.shape, generator=torch.Generator().manual_seed(1))
    moved = refine(one, code, start)
    assert min(agreement(one, moved, code)) > 0.97


def test_nothing_of_the_network_is_changed_and_any_mode_will_do():
    one, photographs = network(), images(1)
    code = one.encode(photographs)
    start, weights = one.decode(code), [p.clone() for p in one.parameters()]
    one.encoder.requires_grad_(True)
    plain = refine(one, code, start, rounds=5)
    assert all(p.grad is None and torch.equal(p, w) for p, w in zip(one.parameters(), weights, strict=True))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert torch.equal(refine(one, one.encode(photographs), one.decode(code), rounds=5), plain)


def test_no_rounds_are_no_change_and_bad_input_is_refused(monkeypatch):
    one, photographs = network(), images()
    code = one.encode(photographs)
    assert refine(one, code, photographs, rounds=0) is photographs
    assert refine(one, code, photographs.half(), rounds=0).dtype == torch.float32
    with pytest.raises(ValueError, match="`rounds` is -1"):
        refine(one, code, photographs, rounds=-1)
    with pytest.raises(ValueError, match=r"images are \(1, 3, 24, 20\): the code is of \(2, 3, 24, 20\)"):
        refine(one, code, photographs[:1])
    with pytest.raises(ValueError, match="does not fit the network 5-3"):
        refine(network("5-3"), code, photographs)
    monkeypatch.setattr(module, "MOST_PIXELS", 24 * 19)
    with pytest.raises(FormatError, match=r"the code is of 24x20 pixels: .* at most 456 pixels"):
        refine(one, code, photographs)
