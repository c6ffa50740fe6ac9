import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from ways_by_hand import Modules, placing

from maxtunnel.data.images import to_float
from maxtunnel.visualising import VisualisingConfig, evolve, write_evolution
from maxtunnel.visualising.evolution import PARTS, LayerEvolution, StepPicture, UnitEvolution
from maxtunnel.visualising.evolution_page import _settled

PIXELS = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
UNIT = 3


def network(seed):
    """The same layers, with weights that a seed draws."""
    made = Modules()
    torch.manual_seed(seed)
    for layer in (made.conv1, made.conv2):
        layer.reset_parameters()
    return made


STEPS = {0: network(1), 5: network(2), 20: Modules()}


def evolution(steps=STEPS, layers="pool2", units=(UNIT,), **changes):
    return evolve(list(steps), steps.__getitem__, PIXELS, layers, units, VisualisingConfig(**changes))


def parted(filters, switches, x, unit, place):
    """Back through `Modules` by the filters of one network, placed by the switches of another."""
    with torch.no_grad():
        one = switches.relu1(switches.conv1(x))
        pooled, where1 = F.max_pool2d(one, 2, return_indices=True)
        two = switches.relu2(switches.conv2(pooled))
        last, where2 = F.max_pool2d(two, 2, return_indices=True)
        start = torch.zeros_like(last)
        start[(0, unit, *place)] = 1.0
        back = placing(start, where2, 2, 2, two.shape).clamp(min=0)
        back = F.conv_transpose2d(back, filters.conv2.weight, padding=1)
        back = placing(back, where1, 2, 2, one.shape).clamp(min=0)
        return F.conv_transpose2d(back, filters.conv1.weight, None, 2, 1, 1, 3)[0]


def cosine_squared(a, b):
    return float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(min=0) ** 2)


def test_switches_and_filters_of_a_step_are_taken_apart():
    last = STEPS[20]
    with torch.no_grad():
        maps = last(to_float(PIXELS))[:, UNIT]
    photograph = int(maps.amax((1, 2)).argmax())
    place = tuple(int(part) for part in torch.unravel_index(maps[photograph].argmax(), maps.shape[1:]))
    x = to_float(PIXELS[photograph : photograph + 1])
    final = parted(last, last, x, UNIT, place)
    (layer,) = evolution().layers
    (unit,) = layer.units
    assert (unit.photograph, layer.poolings, layer.channels) == (photograph, 2, 5)
    for step in unit.steps:
        then = STEPS[step.step]
        expected = {
            "own": parted(then, then, x, UNIT, place),
            "switches": parted(last, then, x, UNIT, place),
            "filters": parted(then, last, x, UNIT, place),
        }
        for part, picture in expected.items():
            torch.testing.assert_close(step.made[part], picture)
            assert step.shares[part] == pytest.approx(cosine_squared(final, picture), abs=1e-6)
    assert list(unit.steps[-1].shares.values()) == pytest.approx([1, 1, 1])
    assert max(unit.steps[0].shares.values()) < 0.9
    assert 0 <= unit.random < 0.9


def test_at_each_step_it_is_the_strongest_photograph_of_that_step():
    (layer,) = evolution().layers
    found = []
    for step in layer.units[0].steps:
        then = STEPS[step.step]
        with torch.no_grad():
            maps = then(to_float(PIXELS))[:, UNIT]
        best = int(maps.amax((1, 2)).argmax())
        assert (step.photograph, step.strength) == (best, pytest.approx(float(maps.max())))
        place = [int(part) for part in torch.unravel_index(maps[best].argmax(), maps.shape[1:])]
        x = to_float(PIXELS[best : best + 1])
        torch.testing.assert_close(step.picture, parted(then, then, x, UNIT, place))
        found.append(best)
    assert [layer.same_photograph(n) for n in range(3)] == [float(best == found[-1]) for best in found]


def test_a_layer_before_the_first_pooling_has_no_parts():
    (layer,) = evolution(layers="conv1", units="top").layers
    assert layer.poolings == 0
    assert layer.units[0].steps[0].shares.keys() == {"own"}
    assert (layer.share("switches", 0), layer.settled("switches"), layer.random) == (None, None, None)


def test_a_unit_that_is_still_silent_has_parts_and_no_photograph(tmp_path):
    silent = network(1)
    nn.init.constant_(silent.conv2.bias, -1e6)
    found = evolution({0: silent, 20: STEPS[20]})
    first = found.layers[0].units[0].steps[0]
    assert (first.photograph, first.strength) == (None, 0)
    assert not first.picture.any()
    assert first.made["own"].any()
    assert write_evolution(found, PIXELS, tmp_path).exists()


def shares(*steps):
    """A layer of units whose shares at each step these are, of each part."""
    blank = torch.zeros(3, 1, 1)
    box = (0, 0, 1, 1)
    units = [
        UnitEvolution(
            number, 0, box, 0.1,
            tuple(
                StepPicture(10 * n, 0, 1.0, blank, box, {}, {"own": step[number], "switches": 1.0})
                for n, step in enumerate(steps)
            ),
        )
        for number in range(len(steps[0]))
    ]  # fmt: skip
    return LayerEvolution("pool", 2, 1, tuple(units))


def test_it_has_settled_where_half_is_there_from_then_on():
    layer = shares((0.9, 0.9), (0.4, 0.4), (0.9, 0.2), (1.0, 1.0))
    assert layer.settled("own") == 20
    assert layer.settled("switches") == 0
    assert layer.settled("filters") is None
    assert layer.share("own", 2).mean == pytest.approx(0.55)
    assert layer.random.mean == pytest.approx(0.1)


def test_a_unit_that_leaves_nothing_at_the_pixels_has_settled_nowhere():
    empty = shares((math.nan,), (math.nan,))
    nowhere = replace(empty, units=tuple(replace(unit, steps=_empty(unit.steps)) for unit in empty.units))
    assert nowhere.settled("own") is None
    assert _settled(nowhere) == "Nothing of the last step's pictures comes back to the pixels."


def _empty(steps):
    return tuple(replace(step, shares=dict.fromkeys(PARTS, math.nan)) for step in steps)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="`steps` is empty: expected steps of a training"):
        evolution({})
    with pytest.raises(ValueError, match="`method` is guided: an evolution exchanges switches, which"):
        evolution(method="guided")
    other = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(4))
    named = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(2))
    with pytest.raises(ValueError, match="the network of step 0 has another shape than the last"):
        evolution({0: other, 1: named}, layers="2")
    silent = Modules()
    nn.init.constant_(silent.conv2.bias, -1e6)
    with pytest.raises(ValueError, match="`units` names 3, which is silent in pool2 at the last step"):
        evolution({0: STEPS[0], 1: silent})
    with pytest.raises(ValueError, match="`units` names 9, but pool2 has 5"):
        evolution(units=(9,))


def test_the_page_holds_sheets_and_numbers(tmp_path):
    found = evolution(layers=["conv1", "pool2"], units="top")
    text = write_evolution(found, PIXELS, tmp_path).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        "evolution.html", "evolution.json", "conv1-evolution.png", "pool2-evolution.png", "pool2-parts.png",
    }  # fmt: skip
    assert text.count("data:image/png") == 3
    assert "Random switches with the last filters make" in text
    kept = json.loads((tmp_path / "evolution.json").read_text())
    unit = kept["layers"][1]["units"][0]
    assert [step["step"] for step in unit["steps"]] == [0, 5, 20]
    assert unit["steps"][-1]["shares"]["switches"] == pytest.approx(1)
    assert kept["layers"][1]["settled"].keys() == {"own", "switches", "filters"}
