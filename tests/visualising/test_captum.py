"""Equal to captum's where the two agree, and right where captum is not."""

import warnings

import pytest
import torch
from ways_by_hand import Functions, Modules, deconvolved, images, one_hot, strongest

from maxtunnel.auditing.targets import Target
from maxtunnel.visualising.passes import way_to

attr = pytest.importorskip("captum.attr", reason="captum is not installed")


def captums(kind, model, layer, x):
    """The gradient of one activation at the pixels by captum's rules; it begins with 1."""
    unit = strongest(model(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(model, layer).attribute(x.clone().requires_grad_(), unit).detach()


def ours(model, layer, x, rule, overlap="sum", value=False):
    way = way_to(Target(model, "model"), x, layer)
    start = one_hot(way.output, *strongest(way.output))
    return way.back(start if value else (start != 0).to(start), rule, overlap), start


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("deconvnet", "NeuronDeconvolution"),
        ("guided", "NeuronGuidedBackprop"),
        ("gradient", "NeuronGradient"),
    ],
)
def test_the_same_where_relus_are_modules_and_no_windows_overlap(rule, kind):
    model, x = Modules(), images()
    found, _ = ours(model, "pool2", x, rule)
    assert found.abs().sum() > 0
    torch.testing.assert_close(found, captums(getattr(attr, kind), model, model.pool2, x))


def test_saliency_is_the_gradient_of_a_last_layer():
    class Scores(Modules):
        def forward(self, x):
            return super().forward(x).mean((2, 3))

    model, x = Scores(), images()
    way = way_to(Target(model, "model"), x, "mean")
    start = torch.zeros_like(way.output)
    start[:, 3] = 1
    saliency = attr.Saliency(model).attribute(x.clone().requires_grad_(), target=3, abs=False)
    torch.testing.assert_close(way.back(start, "gradient", "sum"), saliency)


def test_captum_misses_relus_that_are_functions():
    class Wrapped(Functions):
        """With a module around it all that captum can look at."""

        def __init__(self):
            super().__init__()
            self.whole = torch.nn.Identity()

        def forward(self, x):
            return self.whole(super().forward(x))

    model, x = Wrapped(), images()
    found, start = ours(model, "whole", x, "deconvnet", value=True)
    torch.testing.assert_close(found, deconvolved(model, x, start))
    gradient, _ = ours(model, "whole", x, "gradient")
    theirs = captums(attr.NeuronDeconvolution, model, model.whole, x)
    # It rectifies nothing, and calls the plain gradient a deconvolution.
    torch.testing.assert_close(theirs, gradient)
    assert not torch.allclose(theirs * start.sum((1, 2, 3)).view(-1, 1, 1, 1), found, atol=1e-4)


def test_captum_begins_with_1_in_the_place_of_the_activation():
    model, x = Modules(), images()
    found, start = ours(model, "pool2", x, "deconvnet", value=True)
    theirs = captums(attr.NeuronDeconvolution, model, model.pool2, x)
    strengths = start.sum((1, 2, 3)).view(-1, 1, 1, 1)
    assert bool((strengths > 0).all())
    assert not torch.allclose(theirs, found)
    torch.testing.assert_close(theirs * strengths, found)


def test_captum_sums_where_windows_overlap():
    model, x = Modules(3, 1), images(side=20)
    found, start = ours(model, "pool2", x, "deconvnet", "last", value=True)
    torch.testing.assert_close(found, deconvolved(model, x, start))
    theirs = captums(attr.NeuronDeconvolution, model, model.pool2, x) * start.sum((1, 2, 3)).view(-1, 1, 1, 1)
    assert not torch.allclose(theirs, found, atol=1e-6)
    summed, _ = ours(model, "pool2", x, "deconvnet", "sum", value=True)
    torch.testing.assert_close(theirs, summed)
