"""What mitigations do to switches and to models, against oracles."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from specimens import Pools, generator, photographs, small_result
from torch import nn
from torch.nn import functional as F

from maxtunnel.auditing import AuditConfig, Target, audit
from maxtunnel.auditing.mitigations import MitigatedModel, average, flipped_bits, mitigations_for, strided
from maxtunnel.switches.capture import record
from maxtunnel.switches.window import Window
from plain_windows import WINDOWS, cells_inside

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 9), st.floats(0.01, 1))
def test_flipped_bits_are_the_mutual_information(cells, probability):
    joint = np.full((cells, cells), probability / cells / cells) + np.eye(cells) * (1 - probability) / cells
    independent = np.outer(joint.sum(0), joint.sum(1))
    expected = entropy(joint.ravel(), independent.ravel(), base=2)
    assert flipped_bits(cells, probability) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("window", WINDOWS)
def test_other_poolings_are_those_of_the_cells_inside_the_plane(window):
    x = torch.rand(2, 3, 9, 11, generator=generator())
    args = window.kernel, window.stride, window.padding, window.dilation, window.ceil_mode
    model = nn.Module()
    model.forward = lambda x: F.max_pool2d(x, *args)
    means, firsts = (record(model, x, swap=swap).levels[0].values.flatten(2) for swap in (average, strided))
    inside = cells_inside(window, (9, 11))
    assert means.shape[2] == len(inside)
    for place, cells in enumerate(inside):
        values = torch.stack([x[:, :, row, column] for row, column in cells.values()])
        torch.testing.assert_close(means[:, :, place], values.mean(0))
        assert torch.equal(firsts[:, :, place], values[0])


def test_average_pooling_is_pytorchs():
    x, window = torch.rand(2, 3, 9, 11, generator=generator()), Window(3, 2, 1)
    model = nn.Sequential(nn.MaxPool2d(3, 2, 1))
    (found,) = record(model, x, swap=average).levels
    torch.testing.assert_close(found.values, F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))
    assert found.switches.window == window


def test_what_makes_sense_depends_on_the_windows():
    tiling = [each.name for each in mitigations_for([Window(), Window()], (2, 1))]
    large = [each.name for each in mitigations_for([Window(3, 2)], (1,))]
    flat = [each.name for each in mitigations_for([Window((1, 2))], (4,))]
    assert tiling == [
        "nothing done", "deepest 1 of 2 levels only", "rows only", "flipped with probability 0.1",
        "flipped with probability 0.25", "flipped with probability 0.5", "random positions",
        "fixed positions", "average pooling", "strided convolution",
    ]  # fmt: skip
    assert set(large) - set(tiling) == {"grid half as fine"}
    assert set(tiling) - set(flat) == {"deepest 1 of 2 levels only", "rows only"}


def test_bits_count_the_levels_that_are_left():
    found = {each.name: each.bits for each in mitigations_for([Window(), Window(3, 2), Window()], (7, 2, 5))}
    deepest = found["deepest 2 of 3 levels only"]
    assert [deepest(Window(3, 2), number) for number in (7, 2, 5)] == [math.log2(9), math.log2(9), 0]
    assert found["nothing done"](Window(3, 2), 5) == math.log2(9)
    assert found["rows only"](Window((4, 2)), 5) == 2
    assert found["grid half as fine"](Window(3, 2), 5) == 2


class Unpooling(nn.Module):
    """Switches are all that its output depends on."""

    def forward(self, x):
        values, indices = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(torch.ones_like(values), indices, 2)


def test_a_mitigated_model_unpools_changed_switches():
    def all_last(x, level):
        return level.values, torch.full_like(level.switches.codes, 3)

    x = torch.rand(2, 3, 8, 8)
    output = MitigatedModel(Target(Unpooling(), "m"), all_last)(x)
    assert output[..., 1::2, 1::2].eq(1).all()
    assert output.sum() == 2 * 3 * 16
    assert not torch.equal(Unpooling()(x), output)


def changed_poolings(levels):
    """For each mitigation of some levels, the numbers of the poolings whose indices or values it changes."""
    x = torch.rand(2, 3, 32, 32, generator=generator())
    target = Target(Pools(), "m", levels=levels)
    numbers = levels or (1, 2, 3)
    found = {}
    for each in mitigations_for([Window()] * len(numbers), numbers[::-1]):
        plain, swapped = Pools()(x)[1], MitigatedModel(target, each.swap)(x)[1]
        pairs = zip(plain, swapped, strict=True)
        found[each.name] = {number for number, (a, b) in enumerate(pairs, 1) if not torch.equal(a, b)}
    return found


def test_mitigations_change_the_poolings_that_they_name():
    found = changed_poolings(None)
    assert found["nothing done"] == set()
    assert found["deepest 1 of 3 levels only"] == {1, 2}
    assert found["deepest 2 of 3 levels only"] == {1}
    for name in ("rows only", "flipped with probability 0.5", "random positions", "fixed positions"):
        assert found[name] == {1, 2, 3}


def test_mitigations_leave_alone_what_an_observer_does_not_see():
    found = changed_poolings((2, 3))
    assert found["deepest 1 of 2 levels only"] == {2}
    assert found["random positions"] == {2, 3}
    found = changed_poolings((1, 2))
    assert found["deepest 1 of 2 levels only"] == {1}
    assert found["random positions"] == {1, 2}


def test_mitigations_are_measured_with_the_models_task():
    result = small_result()
    found = {mitigation.name: mitigation for mitigation in result.mitigations}
    nothing, random, averaged = (found[n] for n in ("nothing done", "random positions", "average pooling"))
    assert nothing.bits == sum(level.nominal_bits for level in result.levels)
    assert found["rows only"].bits == nothing.bits / 2
    assert random.bits == averaged.bits == 0
    assert nothing.leak.rmse < random.leak.rmse
    assert averaged.leak is None
    assert averaged.with_features is not None
    assert found["deepest 1 of 2 levels only"].bits == result.levels[1].nominal_bits
    # Positions do not matter to this model, the way of pooling does.
    assert nothing.metric == random.metric != averaged.metric


def test_a_metric_is_refused_before_any_training():
    phases = []
    images = torch.zeros(100, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(ValueError, match="`metric` fails with nothing done"):
        audit(nn.MaxPool2d(2), images, config=AuditConfig(steps=2, mitigations=1.0),
              metric=lambda model: "high", on_progress=lambda phase, *_: phases.append(phase))  # fmt: skip
    assert phases == []


def test_bits_of_a_part_of_the_levels_are_those_of_that_part():
    found = audit(Pools(), photographs(20), holdout=photographs(8, seed=1),
                  config=AuditConfig(steps=1, images=8, mitigations=1.0, levels=(1, 2), width=4,
                                      decoder="mirrored"), metric=lambda model: [0.25, 0.75])  # fmt: skip
    # A metric that tells of each photograph counts as its mean.
    assert {mitigation.metric for mitigation in found.mitigations} == {0.5}
    bits = {mitigation.name: mitigation.bits for mitigation in found.mitigations}
    assert bits["nothing done"] == 2 * 3 * (16 * 16 + 8 * 8)
    assert bits["deepest 1 of 2 levels only"] == 2 * 3 * 8 * 8
