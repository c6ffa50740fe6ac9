"""A model and a reader, trained in turns."""

import copy

import pytest
import torch
from small_models import build, photographs, target

from maxtunnel.auditing.attacker import Attacker
from maxtunnel.auditing.ledger import KNOWN
from maxtunnel.auditing.samples import sample
from maxtunnel.data.images import to_float
from maxtunnel.data.mean import mean_image
from maxtunnel.protection.adversary import Adversary
from maxtunnel.protection.config import ProtectionConfig
from maxtunnel.protection.duel import Duel, rate
from maxtunnel.protection.outputs import Distillation
from maxtunnel.protection.student import Student

pytestmark = pytest.mark.usefixtures("one_thread")
PIXELS = photographs(24)


def duel_of(model, stop=lambda: False, **settings):
    student = Student(target(model))
    kept = Distillation.of([student.original(to_float(PIXELS))])
    return Duel(student, PIXELS, kept, ProtectionConfig(batch=8, **settings), stop)


def adversary_of(model, steps=80):
    samples = sample(target(model), PIXELS)
    attacker = Attacker(samples, samples, mean_image(PIXELS), 8, 0, 8)
    return Adversary(attacker.train(KNOWN, steps), attacker.mean, attacker.reader.recipe)


def test_without_a_reader_nothing_changes():
    model = build()
    before = copy.deepcopy(model.state_dict())
    done = duel_of(model).run(0.0, None, 3, "control")
    assert (done.steps, done.complete) == (3, True)
    assert done.curve == ((1, 0.0, 0.0), (2, 0.0, 0.0), (3, 0.0, 0.0))
    # The gradient of no error is 0, and so is AdamW's step.
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_penalty_makes_the_reader_read_less_at_a_loss_of_outputs():
    model = build()
    found = adversary_of(model, 40)
    done = duel_of(model, learning_rate=5e-3).run(3.0, found, 10, "duel")
    (_, lost, first), (_, lost_at_last, last) = done.curve[0], done.curve[-1]
    assert last < 0.8 * first
    assert lost == 0 < lost_at_last


def test_distillation_brings_lost_outputs_back():
    model = build()
    duel = duel_of(model, learning_rate=5e-3)
    with torch.no_grad():
        model.head.bias += 0.05
    curve = duel.run(0.0, None, 12, "back").curve
    assert curve[-1][1] < 0.5 * curve[0][1]


def test_it_ends_when_it_is_asked_to():
    asked = iter([False, False, True, True])
    done = duel_of(build(), stop=lambda: next(asked)).run(0.0, None, 9, "short")
    assert (done.steps, done.complete) == (3, False)


def test_only_what_is_trained_changes():
    model = build()
    found, duel = adversary_of(model, 5), duel_of(model, trained="before-pooling")
    duel.student.restrict("before-pooling", to_float(PIXELS[:2]))
    before = copy.deepcopy(model.state_dict())
    duel.run(1.0, found, 2, "part")
    changed = {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}
    assert changed == {
        f"{part}.{name}" for part in ("first", "second", "norm") for name in ("weight", "bias")
    }


def test_an_infinite_loss_is_an_error():
    model = build()
    duel = duel_of(model)
    with torch.no_grad():
        model.head.bias += float("inf")
    with pytest.raises(ValueError, match="the loss of high became infinite in step 1: give a lower `learn"):
        duel.run(0.0, None, 3, "high")


def test_the_rate_rises_and_falls_to_nothing():
    rates = [rate(1.0, step, 100) for step in range(100)]
    assert rates.index(max(rates)) in (4, 5)
    assert max(rates) == 1.0
    assert rates[0] == 0.2
    assert rates[-1] < 0.001
    assert rate(1.0, 0, 1) == 1.0
