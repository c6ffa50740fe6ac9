import json

import pytest
import torch
from torch import nn
from ways_by_hand import Functions, Modules, deconvolved, one_hot

import maxtunnel
from maxtunnel.auditing.targets import Target
from maxtunnel.data.images import to_float
from maxtunnel.switches.capture import NoSwitches
from maxtunnel.visualising import UnknownLayer, VisualisingConfig, visualise, write_visualisation
from maxtunnel.visualising.loading import load_layers
from maxtunnel.visualising.passes import outputs, shapes_of

# A unit that fires on photographs of noise.
UNIT = 3
PIXELS = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_unit_is_projected_on_the_photographs_where_it_fires_most():
    model = Modules()
    (layer,) = visualise(model, PIXELS, "pool2", [UNIT]).layers
    (unit,) = layer.units
    with torch.no_grad():
        maps = model(to_float(PIXELS))[:, UNIT]
    order = [int(n) for n in maps.amax((1, 2)).argsort(descending=True) if maps[n].max() > 0]
    assert list(unit.photographs) == order
    assert unit.strengths == pytest.approx([float(maps[number].max()) for number in order])
    for number, place, picture in zip(order, unit.places, unit.pictures, strict=True):
        x = to_float(PIXELS[number : number + 1])
        assert float(maps[(number, *place)]) == float(maps[number].max())
        expected = deconvolved(model, x, one_hot(model(x), UNIT, *place))
        torch.testing.assert_close(picture, expected[0])
    assert (layer.name, layer.channels, layer.poolings) == ("pool2", 5, 2)
    assert unit.shares.keys() == {"other", "random", "constant"}


def test_modules_and_functions_are_seen_alike():
    (one,), (other,) = (
        visualise(model, PIXELS, layer).layers
        for model, layer in ((Modules(), "pool2"), (Functions(), "max_pool2d#2"))
    )
    assert [unit.unit for unit in one.units] == [unit.unit for unit in other.units]
    assert one.tunnel == other.tunnel
    # The strongest unit comes first.
    firsts = [unit.strengths[0] for unit in one.units]
    assert firsts == sorted(firsts, reverse=True)


def test_the_same_again_and_other_switches_with_another_seed():
    found = [
        visualise(Modules(), PIXELS, "pool2", [UNIT], VisualisingConfig(seed=seed)) for seed in (0, 0, 1)
    ]
    first, again, other = (result.layers[0].tunnel[0] for result in found)
    assert first == again
    assert first.lost_random != other.lost_random
    assert first.lost_other == other.lost_other


class Corner(nn.Module):
    """Its one unit is the mean of the photograph's upper left corner."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        nn.init.ones_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x):
        return self.conv(x[:, :, :8, :8])


def test_a_grey_square_lowers_a_unit_where_it_covers_what_the_unit_sees():
    bright = torch.full((1, 3, 24, 24), 255, dtype=torch.uint8)
    config = VisualisingConfig("occlusion", square=8)
    (layer,) = visualise(Corner(), bright, "conv", config=config).layers
    (picture,) = layer.units[0].pictures
    assert picture[:, 12:].abs().max() < 1e-6
    assert picture[:, :, 12:].abs().max() < 1e-6
    # Grey is half of white.
    assert float(picture[0, 0, 0]) == pytest.approx(0.5)
    assert layer.tunnel == ()


def test_a_network_of_ours_has_layers_by_name():
    target = load_layers("8-8-8-pretrained")
    x = to_float(PIXELS)
    assert list(shapes_of(target, x))[:5] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"]
    network = maxtunnel.load("8-8-8-pretrained")
    what, _ = network.encoder.blocks(network.normalise(x))
    torch.testing.assert_close(outputs(target, x, ["pool3"])["pool3"], what)
    (layer,) = visualise(target, PIXELS, ["pool2"], [0]).layers
    assert layer.poolings == 2


class Scores(Modules):
    def forward(self, x):
        return super().forward(x).mean((2, 3))


def test_units_that_are_numbers_are_projected_too():
    (layer,) = visualise(Scores(), PIXELS, "mean", [0]).layers
    assert layer.units[0].places[0] == (0, 0)
    assert layer.units[0].boxes[0] == (0, 0, 32, 32)


def test_a_program_of_one_photograph_at_a_time():
    program = torch.export.export(Functions().eval(), (torch.rand(1, 3, 32, 32),)).module()
    target = Target(program, "program", batch=1)
    (layer,) = visualise(target, PIXELS, "max_pool2d#2", [UNIT]).layers
    (own,) = visualise(Functions(), PIXELS, "max_pool2d#2", [UNIT]).layers
    assert layer.units[0].photographs == own.units[0].photographs[:1]
    torch.testing.assert_close(layer.units[0].pictures, own.units[0].pictures[:1])
    assert layer.tunnel[0].lost_other is None
    assert layer.tunnel[0].lost_random is not None


def test_errors_say_what_there_is():
    with pytest.raises(UnknownLayer, match=r"no layer 'pol2' \(is pool2 meant\?\): there are conv1, .*pool2"):
        visualise(Modules(), PIXELS, "pol2")
    with pytest.raises(ValueError, match="`units` names 5, but pool2 has 5, numbered from 0 to 4"):
        visualise(Modules(), PIXELS, "pool2", [1, 5])
    with pytest.raises(NoSwitches, match=r"no max pooling.*`method` deconvnet .*give guided"):
        visualise(Corner(), PIXELS, "conv")
    with pytest.raises(ValueError, match=r"fails on photographs of 4x4 pixels.*`size` and `preprocess`"):
        visualise(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 3, 5)), PIXELS[..., :4, :4], "1")
    with pytest.raises(ValueError, match="`layers` names none: give some of conv1, "):
        visualise(Modules(), PIXELS, [])
    silent = Modules()
    nn.init.constant_(silent.conv2.bias, -1e6)
    with pytest.raises(ValueError, match="no unit of pool2 fires"):
        visualise(silent, PIXELS, "pool2")
    assert visualise(silent, PIXELS, "pool2", [0]).layers[0].units[0].photographs == ()
    guided = VisualisingConfig("guided")
    assert visualise(Corner(), PIXELS, "conv", config=guided).layers[0].tunnel[0].lost_other is None


@pytest.mark.parametrize("method", ["deconvnet", "occlusion"])
def test_the_page_holds_sheets_and_numbers(tmp_path, method):
    found = visualise(Modules(), PIXELS, ["conv1", "pool2"], [0, 1], VisualisingConfig(method, square=16))
    page = write_visualisation(found, PIXELS, tmp_path)
    text = page.read_text()
    assert "conv1: 2 of 6 units" in text
    assert ("switches drew" in text) == (method == "deconvnet")
    assert text.count("data:image/png") == (3 if method == "deconvnet" else 2)
    kept = json.loads((tmp_path / "visualise.json").read_text())
    assert [layer["name"] for layer in kept["layers"]] == ["conv1", "pool2"]
    names = {path.name for path in tmp_path.iterdir()}
    sheets = {"conv1.png", "pool2.png"} | ({"pool2-controls.png"} if method == "deconvnet" else set())
    assert names == {"visualise.html", "visualise.json"} | sheets
    # A unit that is silent has no pictures, and no part of the sheet is missing for it.
    assert kept["layers"][1]["units"][0]["unit"] == 0
