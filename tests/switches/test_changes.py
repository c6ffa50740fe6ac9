"""What is done to switches, against windows worked out cell by cell."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maxtunnel.switches.capture import capture
from maxtunnel.switches.changes import (
    changed,
    fixed,
    flipped,
    halved,
    known,
    only,
    rows_only,
    shuffled,
    uniform,
)
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.window import Window
from plain_windows import WINDOWS, cells_inside

SIZE = (9, 11)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def level(window, seed=0):
    x = torch.rand(2, 3, *SIZE, generator=generator(seed))
    args = window.kernel, window.stride, window.padding, window.dilation, window.ceil_mode
    model = nn.Module()
    model.forward = lambda x: F.max_pool2d(x, *args)
    return capture(model, x).levels[0]


def codes_of(code, change, seed=0):
    """The changed codes of the only level: one list for each window, over images and channels."""
    codes = changed(code, change, generator(seed)).levels[0].codes
    return codes.flatten(2).permute(2, 0, 1).flatten(1).tolist()


@pytest.mark.parametrize("window", WINDOWS)
def test_each_change_does_what_it_says(window):
    code = SwitchCode((level(window),), SIZE)
    columns = window.kernel[1]
    old, cells = codes_of(code, known), cells_inside(window, SIZE)
    changes = {change: codes_of(code, change) for change in (fixed, rows_only, halved)}
    assert len(cells) == len(old)
    assert old == level(window).codes.flatten(2).permute(2, 0, 1).flatten(1).tolist()
    for place, inside in enumerate(cells):
        first = min(inside)
        assert set(changes[fixed][place]) == {first}
        for before, row, half in zip(
            old[place], changes[rows_only][place], changes[halved][place], strict=True
        ):
            assert (row // columns, row % columns) == (before // columns, first % columns)
            for new, was, least in zip(*(divmod(c, columns) for c in (half, before, first)), strict=True):
                assert 0 <= was - new <= 1
                assert new % 2 == 0 or new == least
            assert {row, half} <= set(inside)


@pytest.mark.parametrize("window", WINDOWS)
def test_random_codes_are_uniform_over_what_lies_inside(window):
    code, draws = SwitchCode((level(window),), SIZE), 100
    found = [codes_of(code, uniform, seed) for seed in range(draws)]
    for place, inside in enumerate(cells_inside(window, SIZE)):
        drawn = torch.tensor([codes[place] for codes in found]).flatten()
        values, counts = drawn.unique(return_counts=True)
        # Every cell inside the plane is drawn, no other, and each about as often.
        assert values.tolist() == sorted(inside)
        expected = len(drawn) / len(inside)
        assert (counts - expected).abs().max() < 6 * math.sqrt(expected)


@pytest.mark.parametrize("window", WINDOWS)
def test_flipped_codes_stay_inside_the_plane(window):
    found = codes_of(SwitchCode((level(window),), SIZE), flipped(0.5))
    assert all(
        set(codes) <= set(inside) for codes, inside in zip(found, cells_inside(window, SIZE), strict=True)
    )


def test_flips_happen_as_often_as_they_say():
    zeros = torch.zeros(4, 8, 32, 32, dtype=torch.uint8)
    code = SwitchCode((SwitchLevel(zeros, Window(), (64, 64)),), (64, 64))
    share = (changed(code, flipped(0.4), generator()).levels[0].codes != 0).double().mean()
    assert float(share) == pytest.approx(0.4 * 3 / 4, abs=0.01)


def test_shuffled_codes_are_each_channels_own():
    old = level(Window())
    new = changed(SwitchCode((old,), SIZE), shuffled, generator()).levels[0]
    assert not torch.equal(new.codes, old.codes)
    assert torch.equal(new.codes.flatten(2).sort(2).values, old.codes.flatten(2).sort(2).values)


def three_levels():
    model = nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2))
    return capture(model, torch.rand(2, 3, 32, 32, generator=generator()))


@pytest.mark.parametrize("kept", [{1}, {2}, {3}, {1, 3}, set()])
def test_levels_that_are_kept_are_numbered_from_1(kept):
    code = three_levels()
    found = changed(code, only(kept), generator())
    for number, (old, new) in enumerate(zip(code.levels, found.levels, strict=True), 1):
        assert int(old.codes.max()) > 0
        assert torch.equal(new.codes, old.codes) == (number in kept)
        assert (int(new.codes.max()) == 0) == (number not in kept)


def test_levels_of_a_part_of_a_code_keep_their_numbers():
    code = three_levels()
    part = SwitchCode(code.levels[1:], code.image_size)
    found = changed(part, only({3}), generator(), numbers=(2, 3))
    assert int(found.levels[0].codes.max()) == 0
    assert torch.equal(found.levels[1].codes, code.levels[2].codes)
    with pytest.raises(ValueError, match="zip"):
        changed(part, known, generator(), numbers=(1, 2, 3))


def test_a_change_is_told_the_numbers_in_call_order():
    told = []

    def note(level, number, generator):
        told.append(number)
        return level.codes

    assert changed(three_levels(), note, generator()) == three_levels()
    assert told == [1, 2, 3]
