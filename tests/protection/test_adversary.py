"""A reader whose gradient comes back through the switches."""

from functools import cache

import pytest
import torch
from small_models import build, photographs, target

from maxtunnel.data.images import to_float
from maxtunnel.models.mirrored import Level
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.protection.adversary import Adversary
from maxtunnel.protection.levels import shares_of
from maxtunnel.protection.student import Student
from maxtunnel.training.recipes import STRONG

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES = to_float(photographs(8))
MEAN = IMAGES.mean(0)


def adversary(width=8):
    levels = (Level(2, 4), Level(1, 4))
    reader = StrongDecoder(levels, (16, 16), width)
    return Adversary(reader, MEAN, STRONG)


@cache
def trained(steps=60):
    """One that has learned to read the model of all these tests."""
    found, levels = adversary(), Student(target())(IMAGES).levels
    for _ in range(steps):
        found.learn([level.switches.codes for level in levels], IMAGES)
    return found


def test_what_is_explained_is_what_the_reader_rebuilds_of_the_codes():
    levels = Student(target())(IMAGES).levels
    found = trained()
    explained = found.explained(shares_of(levels, 0.5), IMAGES)
    with torch.no_grad():
        rebuilt = found.reader([level.switches.codes for level in levels]) / STRONG.scale + MEAN
    errors = (rebuilt - IMAGES).square().sum() / (MEAN - IMAGES).square().sum()
    torch.testing.assert_close(explained.detach(), 1 - errors, rtol=1e-4, atol=1e-5)
    assert explained > 0.2


def test_the_gradient_reaches_the_model_and_not_the_reader():
    model = build()
    levels = Student(target(model))(IMAGES).levels
    found = trained()
    before = [weight.grad.clone() for weight in found.reader.parameters()]
    found.explained(shares_of(levels, 0.5), IMAGES).backward()
    assert model.first.weight.grad.abs().sum() > 0
    assert model.second.weight.grad.abs().sum() > 0
    assert all(torch.equal(a, b.grad) for a, b in zip(before, found.reader.parameters(), strict=True))
    assert all(weight.requires_grad for weight in found.reader.parameters())


def test_steps_against_the_gradient_hide_from_this_reader():
    model = build()
    student = Student(target(model))
    found = trained()
    optimizer = torch.optim.Adam(student.parameters, 3e-3)
    read = []
    for _ in range(15):
        explained = found.explained(shares_of(student(IMAGES).levels, 0.5), IMAGES)
        read.append(float(explained.detach()))
        optimizer.zero_grad()
        explained.backward()
        optimizer.step()
    assert read[-1] < 0.7 * read[0]


def test_nothing_is_gained_beyond_the_mean_image():
    model = build()
    levels = Student(target(model))(IMAGES).levels
    found = adversary()
    with torch.no_grad():
        found.reader.head.bias += 100
    explained = found.explained(shares_of(levels, 0.5), IMAGES)
    assert explained == 0
    explained.backward()
    assert model.first.weight.grad.abs().sum() == 0
