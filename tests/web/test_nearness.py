"""How near pictures come, and that what is said of it follows from the numbers."""

import re

import pytest
import torch

from maxtunnel.data.images import to_float
from maxtunnel.evaluation.metrics import rmse
from maxtunnel.web import inside, lab, reconstruct
from maxtunnel.web.nearness import Nearness, explain, mean_picture, mean_rmse, nearness
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.usefixtures("one_thread")
BESIDE = r"RMSE ([\d.]+) \(mean image ([\d.]+)\)"


def near(colour=0.0, contrast=0.0, drawing=0.0, factor=1.0):
    return Nearness(colour**2, contrast**2, drawing**2, factor)


def test_the_parts_of_an_error_add_up_to_it():
    true = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    noise = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    painted = 0.3 + 1.7 * true + 0.2 * noise
    found = nearness(painted, true)
    assert found.rmse == pytest.approx(rmse(painted, true), rel=1e-6)
    # With mean colour and contrasts set right, the drawing is left.
    centre = painted - painted.mean((2, 3), keepdim=True)
    right = found.best_contrast * centre + true.mean((2, 3), keepdim=True)
    assert rmse(right, true) == pytest.approx(found.drawing**0.5, rel=1e-5)
    twice = nearness(2 * true - true.mean((2, 3), keepdim=True), true)
    assert twice.best_contrast == pytest.approx(0.5, rel=1e-5)
    assert twice.drawing == pytest.approx(0, abs=1e-9)
    flat = nearness(torch.full_like(true, 0.5), true)
    assert (flat.contrast, flat.best_contrast) == (0, 0)


def test_the_mean_image_is_that_of_the_network(cat):
    net = load("8-8-8")
    images = to_float(cat)[None, :, :50, :61]
    assert torch.allclose(mean_picture(net, images)[0], net.mean_at((56, 64))[:, :50, :61], atol=1e-6)
    assert mean_rmse(net, images) == rmse(mean_picture(net, images), images)


ALL = (1, 2, 3)
CASES = {
    "all levels": (
        {(3,): near(drawing=0.3), ALL: near(drawing=0.1), (1,): near(drawing=0.2)},
        0.25,
        [
            "All levels together come nearest to this photograph (RMSE 0.100).",
            "Next is level 1 alone (0.200).",
            "No nearer than the mean image (0.250): level 3 alone.",
        ],
        ["Most of"],
    ),
    "contrast": (
        {ALL: near(contrast=0.1, drawing=0.1, factor=0.5), (1,): near(drawing=0.12)},
        0.3,
        [
            "Level 1 alone comes nearer to this photograph (RMSE 0.120) than all levels together (0.141).",
            "those of all levels together would come nearest multiplied by 0.50",
            "those of level 1 alone by 1.00",
            "all levels together would come to 0.100 and level 1 alone to 0.120: the other levels do tell",
        ],
        ["No nearer", "add nothing"],
    ),
    "colour": (
        {ALL: near(colour=0.2, drawing=0.1), (1,): near(colour=0.05, drawing=0.1)},
        0.3,
        [
            "in the mean colour, which all levels together miss by 0.200 and level 1 alone by 0.050",
            "to 0.100 and level 1 alone to 0.100: here the other levels add nothing",
        ],
        ["tell something"],
    ),
    "drawing": (
        {(2, 3): near(drawing=0.1), ALL: near(drawing=0.2)},
        0.15,
        [
            "Levels 3, 2 without the rest come nearer to this photograph (RMSE 0.100)",
            "in what is drawn, not in the mean colour",
            "add nothing",
            "No nearer than the mean image (0.150): levels 3, 2, 1.",
        ],
        [],
    ),
    "equal as shown": (
        {ALL: near(drawing=0.10004), (1,): near(drawing=0.1)},
        0.2,
        ["All levels together come nearest"],
        ["nearer to"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_the_levels_follows_from_the_numbers(case):
    found, mean, said, not_said = CASES[case]
    text = explain(found, mean)
    for part in said:
        assert part in text
    for part in not_said:
        assert part not in text


def test_the_mean_image_stands_beside_every_error(cat, cup):
    net, image = load("8-8-8"), to_float(cat)[None]
    shown = inside.show(net, cat, 0)
    mean = mean_rmse(net, image)
    decoded = inside.from_levels(net, net.encode(image))
    assert re.findall(BESIDE, shown) == [
        (f"{rmse(output, image):.3f}", f"{mean:.3f}") for _, output in decoded
    ]
    assert f"mean image</b><br>RMSE {mean:.3f}" in shown
    assert explain({levels: nearness(output, image) for levels, output in decoded}, mean) in shown
    rebuilt = reconstruct.show_rebuilt(reconstruct.rebuild(net, cat), "8-8-8", "a.png")
    assert f"<small>mean image {mean:.4f}</small>" in rebuilt
    done = lab.alter(net, cat, cup, [lab.Choice()] * 3)
    other = mean_rmse(net, to_float(done.second)[None])
    told = [(f"{done.rmse:.3f}", f"{mean:.3f}"), (f"{done.rmse_other:.3f}", f"{other:.3f}")]
    assert re.findall(BESIDE, lab.show(done)) == told


def test_the_lab_says_which_photograph_came_out(cat, cup):
    net = load("16-16-16")
    for change, said in (("keep", "it resembles A."), ("B", "it resembles B.")):
        assert said in lab.show(lab.alter(net, cat, cup, [lab.Choice(change)] * 3))


@pytest.mark.parametrize(
    ("errors", "means", "said"),
    [
        ((0.1, 0.3), (0.2, 0.3), "That is 0.50 and 1.00 times the error of the mean image: it resembles A."),
        # Nearer to A, as grey is; of B it tells more.
        (
            (0.2, 0.25),
            (0.16, 0.28),
            "That is 1.25 and 0.89 times the error of the mean image: it resembles B.",
        ),
        ((0.2, 0.3), (0.2, 0.25), "it resembles neither."),
        ((0.1, 0.1), (0.2, 0.2), "it resembles both alike."),
        ((0.1, 0.1), (0.0, 0.2), "it resembles B."),
    ],
)
def test_what_the_lab_says_follows_from_the_numbers(cat, errors, means, said):
    done = lab.Altered(cat, cat, cat, *errors, *means, changed=(0.0,))
    assert said in lab.show(done)
