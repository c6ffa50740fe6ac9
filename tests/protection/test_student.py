"""A model seen from outside: its outputs and its planes, with gradients, and afterwards as it was."""

import pytest
import torch
from small_models import Unpools, build, photographs, target
from torch import nn
from torch.nn import functional as F

import maxtunnel
from maxtunnel.data.images import to_float
from maxtunnel.protection.student import Student

IMAGES = to_float(photographs(4))


class Applies(nn.Module):
    """A layer, and what is given does the rest."""

    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Conv2d(3, 4, 3, padding=1), function

    def forward(self, x):
        return self.function(self.layer, x)


def gradients(loss, model):
    return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)


def test_outputs_are_the_models_and_so_are_their_gradients_where_it_does_not_unpool():
    model = build()
    (output,) = Student(target(model))(IMAGES).outputs.values()
    assert torch.equal(output, model(IMAGES))
    model = Applies(lambda layer, x: F.max_pool2d(layer(F.max_pool2d(layer(x), 2)[:, :3]).relu(), 2))
    passed = Student(target(model))(IMAGES)
    (output,), plain = passed.outputs.values(), model(IMAGES)
    assert torch.equal(output, plain)
    pairs = (gradients(x.square().sum(), model) for x in (output, plain))
    for ours, theirs in zip(*pairs, strict=True):
        assert torch.equal(ours, theirs)


def test_planes_are_those_that_are_pooled_with_their_gradient():
    model = build()
    first, second = Student(target(model))(IMAGES).levels
    assert [level.number for level in (first, second)] == [1, 2]
    plane = model.norm(model.first(IMAGES - 0.45))
    assert torch.equal(first.plane, plane)
    assert torch.equal(first.switches.codes, maxtunnel.pool(plane)[1])
    theirs = gradients(plane.square().sum(), model)[0]
    assert torch.equal(gradients(first.plane.square().sum(), model)[0], theirs)
    assert second.plane.shape == (4, 4, 8, 8)
    (alone,) = Student(target(levels=(2,)))(IMAGES).levels
    assert alone.switches.name == second.switches.name


def test_the_functional_pooling_and_ours_are_seen_too():
    def both(layer, x):
        return F.max_pool2d(maxtunnel.pool(layer(x))[0], 2)

    planes = [level.plane for level in Student(target(Applies(both)))(IMAGES).levels]
    assert [plane.requires_grad for plane in planes] == [True, True]


def test_the_original_is_remembered_and_comes_back():
    model = build()
    model.train()
    student, before = Student(target(model)), {k: v.clone() for k, v in model.state_dict().items()}
    student.restrict("before-pooling", IMAGES)
    (plain,) = student.outputs(IMAGES).values()
    with torch.no_grad():
        for tensor in (*model.parameters(), model.norm.running_mean):
            tensor += 0.1
    (original,), (changed,) = student.original(IMAGES).values(), student.outputs(IMAGES).values()
    assert torch.equal(original, plain)
    assert not torch.equal(changed, plain)
    student(IMAGES).levels[0].plane.sum().backward()
    student.release()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(module.training for module in model.modules())


def test_only_the_layers_before_pooling_are_trained_where_that_is_asked_for():
    model = build()
    student = Student(target(model))
    student.restrict("all", IMAGES)
    assert student.counts[0] == student.counts[1]
    student.restrict("before-pooling", IMAGES)
    wanted = [*model.first.parameters(), *model.second.parameters(), *model.norm.parameters()]
    assert {id(weight) for weight in student.parameters} == {id(weight) for weight in wanted}
    assert not model.head.weight.requires_grad
    student.release()
    # Of the finest level alone, less stands before.
    student = Student(target(model, levels=(1,)))
    student.restrict("before-pooling", IMAGES)
    assert id(model.second.weight) not in {id(weight) for weight in student.parameters}


@pytest.mark.parametrize(("batch_norm", "follows"), [("frozen", False), ("updated", True)])
def test_running_statistics_follow_only_where_that_is_asked_for(batch_norm, follows):
    model = build()
    before = model.norm.running_mean.clone()
    Student(target(model), batch_norm)(IMAGES)
    assert torch.equal(model.norm.running_mean, before) != follows
    assert not model.norm.training


def frozen():
    return build().requires_grad_(False)


def frozen_before():
    model = build()
    for part in (model.first, model.second, model.norm):
        part.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (frozen, "m has no weight that may be trained: requires_grad is False for all of them"),
        (lambda: nn.MaxPool2d(2), "m has no weight that may be trained"),
        (frozen_before, "m: no gradient reaches what it pools"),
        (
            lambda: Applies(torch.no_grad()(lambda layer, x: F.max_pool2d(layer(x), 2))),
            "reaches what it pools",
        ),
        (lambda: Applies(lambda layer, x: F.max_pool2d(layer(x), 2).detach()), "reaches its outputs"),
        (lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2))), "m is a TorchScript"),
        (lambda: Applies(lambda layer, x: {}["a"]), "m fails with gradients .KeyError"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_fine_tuned_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        Student(target(model())).restrict("all", IMAGES)


def test_state_has_every_tensor_for_itself():
    model = Unpools()
    model.second.bias = model.first.bias
    state = Student(target(model)).state()
    assert state.keys() == model.state_dict().keys()
    assert state["second.bias"].data_ptr() != state["first.bias"].data_ptr()
