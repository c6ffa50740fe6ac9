"""What a target does with a person's model: their state, their exits, their levels, their outputs."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maxtunnel.auditing import Target
from maxtunnel.auditing.targets import evaluating
from maxtunnel.switches.recording import Evidence

pytestmark = pytest.mark.usefixtures("one_thread")


class Model(nn.Module):
    """Runs any function of the images."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def images(n=2, seed=0):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_an_early_exit_ends_in_one_line():
    def forward(x):
        x = F.max_pool2d(x, 2)
        return F.max_pool2d(x, 2) if x.mean() < 0.9 else x

    target = Target(Model(forward), "a model")
    pixels = torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    target.record(pixels)
    message = (
        r"a model: pools max_pool2d \(3 channels, 16x24, width x height\), max_pool2d#2 .* for some "
        r"photographs but max_pool2d \(3 channels, 16x24, width x height\) for others, as with an early "
        r"exit: give `levels` 1, which are the same"
    )
    with pytest.raises(ValueError, match=message):
        target.record(pixels / 10 + 0.9)
    chosen = target.observed((1,))
    for x in (pixels, pixels / 10 + 0.9):
        assert [level.number for level in chosen.record(x).levels] == [1]


def test_a_model_that_fails_is_told_of_with_the_width_before_the_height():
    target = Target(nn.Sequential(nn.MaxPool2d(2), nn.Linear(3, 1)), "a model")
    with pytest.raises(
        ValueError, match=r"fails on photographs of 16x24 pixels, width x height, 2 at a time \(RuntimeError"
    ):
        target.record(torch.rand(2, 3, 24, 16))


def test_photographs_of_another_size_pool_otherwise():
    target = Target(nn.MaxPool2d(2), "a model")
    target.record(torch.rand(2, 3, 16, 16))
    target.record(torch.rand(2, 3, 8, 24))


def test_levels_that_mix_images_can_be_left_out():
    target = Target(Model(lambda x: F.max_pool2d(F.max_pool2d(x, 2).flatten(0, 1)[:, None], 2)), "a model")
    with pytest.raises(ValueError, match=r"a model: max_pool2d#2 \(level 2\) pools a batch of 6"):
        target.record(images())
    assert [level.number for level in target.observed((1,)).record(images()).levels] == [1]
    with pytest.raises(ValueError, match="`levels` is 3: expected numbers of poolings, in call order 1 to 2"):
        target.observed((1, 3)).record(images())


def test_trying_out_tells_what_leaves():
    def forward(x):
        values, indices = F.max_pool2d(x, 2, return_indices=True)
        return {"unpooled": F.max_unpool2d(values, indices, 2), "where": indices.int().numpy()}

    found = Target(Model(forward), "a model").try_out(images())
    assert found.returned == ["max_pool2d"]
    assert found.leaving["max_pool2d"].how == "as indices (int32), in the output['where']"
    assert (found.unpoolings, found.unpooling.evidence) == (1, Evidence.YES)
    assert Target(nn.MaxPool2d(2), "a model").try_out(images()).returning.evidence is Evidence.NONE


@pytest.mark.parametrize("where", ["preprocess", "forward"])
def test_their_code_changes_nothing_of_ours(where):
    def change(x):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(3)
        return x

    state = torch.get_rng_state()
    functions = {"preprocess": lambda x: x, "forward": lambda x: x, where: change}
    model = Model(lambda x: F.max_pool2d(functions["forward"](x), 2))
    target = Target(model, "a model", functions["preprocess"])
    target.try_out(images())
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.get_rng_state(), state)


def test_a_metric_changes_nothing_of_ours():
    model = nn.Dropout().train()
    with evaluating(model):
        torch.set_grad_enabled(False)
        assert not model.training
    assert torch.is_grad_enabled()
    assert model.training


def test_a_fixed_batch_is_filled():
    seen = []
    target = Target(Model(lambda x: F.max_pool2d(x, seen.append(len(x)) or 2)), "a model", batch=5)
    target.try_out(images(2))
    assert set(seen) == {5}
