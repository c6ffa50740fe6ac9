"""Copies with new weights: everything that can be drawn is, and what cannot is named."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from specimens import photographs
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from maxtunnel.auditing import Target
from maxtunnel.auditing.untrained import Drawn, redrawn

pytestmark = pytest.mark.usefixtures("one_thread")


class Halved(nn.Module):
    """A parametrisation that has no right inverse."""

    def forward(self, weight):
        return weight / 2


class NeedsArguments(nn.Conv2d):
    """Cannot be reset without an argument, once it is made."""

    made = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.made = True

    def reset_parameters(self, gain=None):
        if self.made:
            gain + 1
        super().reset_parameters()


class HalfReset(nn.Conv2d):
    """Forgets its weight."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        nn.init.normal_(self.weight)

    def reset_parameters(self):
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Bare(nn.Module):
    """Convolves with plain parameters."""

    def __init__(self, *_, **__):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 3, 3, 3) / 5)
        self.bias = nn.Parameter(torch.randn(6))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, padding=1) * self.scale


class Fixed(nn.Module):
    """Trained numbers in a buffer, as a frozen batch normalisation keeps them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("gain", torch.rand(6, 1, 1) + 1)

    def forward(self, x):
        return x * self.gain


def conv():
    return nn.Conv2d(3, 6, 3, padding=1)


def pruned():
    return prune.random_unstructured(conv(), "weight", 0.3)


def frozen_weight_norm():
    return parametrizations.weight_norm(conv()).requires_grad_(False)


def without_right_inverse():
    layer = conv()
    parametrize.register_parametrization(layer, "weight", Halved())
    return layer


LAYERS = {
    "plain": (conv, (), ()),
    "spectral norm": (lambda: parametrizations.spectral_norm(conv()), (), ()),
    "weight norm": (lambda: parametrizations.weight_norm(conv()), (), ()),
    "frozen weight norm": (frozen_weight_norm, (), ()),
    "orthogonal": (lambda: parametrizations.orthogonal(conv()), (), ()),
    "two parametrisations": (
        lambda: parametrizations.spectral_norm(parametrizations.weight_norm(conv())), (), ()
    ),
    "no right inverse": (without_right_inverse, (), ()),
    "spectral norm by a hook": (lambda: spectral_norm(conv()), (), ()),
    "weight norm by a hook": (lambda: weight_norm(conv()), (), ()),
    "pruned": (pruned, ("0.weight_orig",), ("0.weight_mask",)),
    "needs arguments": (lambda: NeedsArguments(3, 6, 3, padding=1), ("0.weight", "0.bias"), ()),
    "forgets its weight": (lambda: HalfReset(3, 6, 3, padding=1), ("0.weight",), ()),
    "plain parameters": (Bare, ("0.weight", "0.bias"), ("0.scale",)),
    "a buffer": (lambda: nn.Sequential(conv(), Fixed()), (), ("0.1.gain",)),
}  # fmt: skip


def trained(layer):
    """A model with this layer first, after three steps of training."""
    torch.manual_seed(0)
    model = nn.Sequential(layer(), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.rand(4, 3, 16, 16)).square().mean().backward()
        optimiser.step()
    return model.eval()


def first_layer(model):
    """What the first layer makes of two fixed images."""
    with torch.no_grad():
        return model[0](torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_layer_is_drawn_anew(name):
    layer, by_rule, kept = LAYERS[name]
    model = trained(layer)
    before, states = first_layer(model), {k: v.clone() for k, v in model.state_dict().items()}
    target = Target(model, "a model")
    other = target.untrained(0, photographs(4, 16) / 255)
    assert (other.drawn.by_rule, other.drawn.kept, other.drawn.same_levels) == (by_rule, kept, ())
    # No weight of the copy is the trained one, and all are numbers.
    new = other.model.state_dict()
    assert new.keys() == states.keys()
    assert all(bool(tensor.isfinite().all()) for tensor in new.values())
    for weight in dict(model.named_parameters()).keys() - set(kept):
        assert not torch.equal(new[weight], states[weight])
    after = first_layer(other.model)
    assert not torch.allclose(after, before)
    # The trained model is as it was, and still works.
    assert all(torch.equal(states[k], v) for k, v in model.state_dict().items())
    assert torch.equal(first_layer(model), before)
    assert bool(other.drawn.note) == bool(by_rule or kept)


@pytest.mark.parametrize("layer", [parametrizations.spectral_norm, spectral_norm])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_spectral_norm_holds_for_the_new_weights(layer):
    """The largest singular value is 1, as it is for the trained ones."""
    model, _ = redrawn(trained(lambda: layer(conv())), 0)
    weight = model[0].weight.detach().flatten(1)
    assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1, abs=0.02)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.sampled_from([*LAYERS]), min_size=1, max_size=3))
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_whatever_a_model_is_made_of(seed, names):
    """Shares are shares, and a copy of the copy has other weights again."""
    torch.manual_seed(seed)
    model = nn.ModuleList([LAYERS[name][0]() for name in names])
    first, drawn = redrawn(model, seed)
    assert 0 <= drawn.share_kept < 1
    assert (drawn.share_kept > 0) == bool(drawn.kept)
    second, again = redrawn(first, seed, attempt=1)
    assert (again.by_rule, again.kept) == (drawn.by_rule, drawn.kept)
    # Not parameter by parameter: an orthogonal weight may be held in a buffer.
    for before, after in zip(first, second, strict=True):
        layers = [layer[0] if isinstance(layer, nn.Sequential) else layer for layer in (before, after)]
        images = torch.rand(2, 3, 8, 8)
        assert not torch.allclose(*(layer.eval()(images) for layer in layers))


def test_the_same_seed_draws_the_same():
    model = trained(conv)
    states = [redrawn(model, 3)[0].state_dict() for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_is_built_with_the_audits_seed_gets_another(seed):
    def build():
        torch.manual_seed(seed)
        return nn.Sequential(conv(), nn.MaxPool2d(2))

    other = Target(build(), "a model").untrained(seed, photographs(4, 16) / 255)
    assert not torch.equal(other.model[0].weight, build()[0].weight)
    assert other.drawn.same_levels == ()


def test_the_random_states_are_kept():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(2))
    state = torch.get_rng_state()
    Target(model, "a model").untrained(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_switches_that_no_weight_reaches_are_named():
    """The pictures themselves are pooled first."""
    model = nn.Sequential(nn.MaxPool2d(2), conv(), nn.MaxPool2d(2))
    other = Target(model, "a model").untrained(0, photographs(4, 16) / 255)
    assert other.drawn.same_levels == ("0",)
    assert "the switches of 0 are those of the trained model" in other.drawn.note
    alone = Target(nn.Sequential(nn.MaxPool2d(2), conv()), "a model").untrained(0, photographs(4, 16) / 255)
    assert alone.drawn.same_levels == ("0",)


def test_a_copy_that_pools_otherwise_is_refused():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep, self.layer = nn.Parameter(torch.tensor([9.0, 9.1])), conv()

        def forward(self, x):
            x = F.max_pool2d(self.layer(x), 2)
            return F.max_pool2d(x, 2) if self.deep[0] == 9 else x

    with pytest.raises(ValueError, match=r"untrained a model pools .*, the model .*max_pool2d#2"):
        Target(Deep(), "a model").untrained(0, photographs(4, 16) / 255)


class NoCopy(nn.Conv2d):
    def __deepcopy__(self, memo):
        raise TypeError("one of a kind")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: nn.MaxPool2d(2), "a model: none of its 0 weights can be drawn anew"),
        (
            lambda: NoCopy(3, 6, 3),
            r"it cannot be copied with other weights \(TypeError: one of a kind\)",
        ),
        (lambda: nn.ParameterList([torch.ones(4)]), "none of its 4 weights can be drawn anew"),
    ],
)
def test_what_cannot_be_drawn_ends_in_one_line(model, message):
    with pytest.raises(ValueError, match=message):
        Target(model(), "a model").untrained(0)


def test_programs_without_layers_are_drawn_by_the_rule():
    """An exported program has weights and statistics, but no layer that knows how to draw them."""
    model = trained(conv)
    program = torch.export.export(model, (torch.rand(2, 3, 16, 16),)).module()
    other, drawn = redrawn(program, 0)
    assert set(drawn.by_rule) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert drawn.kept == ()
    new = other.state_dict()
    assert new["1.running_mean"].eq(0).all()
    assert new["1.running_var"].eq(1).all()
    before = model[0].weight.detach()
    assert new["0.weight"].std() == pytest.approx(float(before.std()), rel=0.3)


def test_attention_draws_its_own():
    """Its method has another name."""
    layer = nn.MultiheadAttention(8, 2)
    before = copy.deepcopy(layer.state_dict())
    other, drawn = redrawn(layer, 0)
    assert drawn == Drawn()
    assert not torch.equal(other.state_dict()["in_proj_weight"], before["in_proj_weight"])
