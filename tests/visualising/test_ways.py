import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from ways_by_hand import Functions, Modules, adding, deconvolved, images, one_hot, strongest

import maxtunnel
from maxtunnel import Window
from maxtunnel.auditing.targets import Target
from maxtunnel.visualising.passes import outputs, way_to
from maxtunnel.visualising.ways import placed


def way(model, layer, x=None):
    return way_to(Target(model, "model"), images() if x is None else x, layer)


@pytest.mark.parametrize(("kind", "layer"), [(Modules, "pool2"), (Functions, "max_pool2d#2")])
def test_it_unpools_rectifies_and_transposes_filters(kind, layer):
    model, x = kind(), images()
    found = way(model, layer, x)
    start = one_hot(found.output, *strongest(found.output))
    assert float(start.max()) > 0
    found.check()
    torch.testing.assert_close(found.back(start, "deconvnet"), deconvolved(model, x, start))


def test_a_layer_before_its_relu_begins_with_the_filters():
    model, x = Modules(), images()
    found = way(model, "conv2", x)
    start = one_hot(found.output, *strongest(found.output))
    after = way(model, "relu2", x)
    torch.testing.assert_close(found.back(start, "deconvnet"), after.back(start, "deconvnet"))
    assert len(found.poolings) == 1


def test_overlapping_windows_overwrite_or_sum():
    model, x = Modules(3, 1), images(side=20)
    found = way(model, "pool2", x)
    # All activations, so that windows meet.
    start = found.output.detach()
    last, summed = (found.back(start, "deconvnet", overlap) for overlap in ("last", "sum"))
    torch.testing.assert_close(last, deconvolved(model, x, start))
    torch.testing.assert_close(summed, deconvolved(model, x, start, adding))
    assert not torch.allclose(last, summed)


def test_values_are_placed_as_unpooling_places_them():
    window, generator = Window(3, 2, 1), torch.Generator().manual_seed(0)
    planes = torch.rand(2, 3, 9, 11, generator=generator)
    values, codes = maxtunnel.pool(planes, window)
    for overlap in ("sum", "last"):
        expected = maxtunnel.unpool(values, codes, window, (9, 11), overlap)
        torch.testing.assert_close(placed(values, codes, window, (9, 11), overlap), expected)


def test_a_silent_window_does_not_overwrite():
    # Both windows have the maximum in common.
    planes = torch.zeros(1, 1, 3, 5)
    planes[0, 0, 1, 2] = 2.0
    window = Window(3, 2)
    values, codes = maxtunnel.pool(planes, window)
    assert values.flatten().tolist() == [2, 2]
    one = values * torch.tensor([1.0, 0.0])
    assert torch.equal(placed(one, codes, window, (3, 5), "last"), planes)
    assert not maxtunnel.unpool(one, codes, window, (3, 5), "last").any()
    assert torch.equal(placed(values, codes, window, (3, 5), "last"), planes)
    assert torch.equal(placed(values, codes, window, (3, 5), "sum"), 2 * planes)


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.pool = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.MaxPool2d(2)
        nn.init.uniform_(self.norm.weight, -1, 2)
        nn.init.uniform_(self.norm.bias, -1, 1)
        self.norm.running_mean.uniform_(-0.2, 0.2)
        self.norm.running_var.uniform_(0.5, 2)
        self.last = nn.Conv2d(6, 4, 3)

    def forward(self, x):
        return self.last(self.pool(self.norm(self.conv(x)).clamp(min=0)))


def test_batch_normalisation_is_folded_into_the_filters():
    model = Normalised().eval()
    folded = Normalised().eval()
    folded.conv, folded.norm = fuse_conv_bn_eval(folded.conv, folded.norm), nn.Identity()
    own, other = way(model, "last"), way(folded, "last")
    own.check()
    start = one_hot(own.output, 2, 3, 3).abs()
    torch.testing.assert_close(
        own.back(start, "deconvnet"), other.back(start, "deconvnet"), atol=1e-5, rtol=1e-4
    )


def test_other_switches_take_the_place_of_its_own():
    model, x = Modules(), images()
    found = way(model, "pool2", x)
    start = one_hot(found.output, *strongest(found.output))
    swapped = found.back(start, "deconvnet", codes=[p.switches.codes.roll(1, 0) for p in found.poolings])
    other = deconvolved(model, x.roll(1, 0), start)
    torch.testing.assert_close(swapped, other)
    # Nothing of them stays.
    torch.testing.assert_close(found.back(start, "deconvnet"), deconvolved(model, x, start))


def test_the_gradient_is_pytorchs_and_the_model_stays_as_it_was():
    model, x = Modules().train(), images().requires_grad_()
    found = way(model, "pool2", x.detach())
    start = torch.ones_like(found.output)
    found.back(start, "deconvnet")
    (expected,) = torch.autograd.grad(model.eval()(x), x, start)
    torch.testing.assert_close(found.back(start, "gradient", "sum"), expected)
    assert way(Modules().train(), "pool2").output.shape == found.output.shape
    fresh = Modules().train()
    way(fresh, "pool2").back(start, "guided", "sum")
    assert fresh.training
    assert all(parameter.grad is None for parameter in fresh.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in fresh.modules())


class Ours(Modules):
    def forward(self, x):
        values, _ = maxtunnel.pool(self.relu1(self.conv1(x)))
        return maxtunnel.pool(self.relu2(self.conv2(values)))[0]


def test_exported_programs_and_our_own_pooling():
    x = images()
    expected = way(Modules(), "pool2", x)
    start = one_hot(expected.output, *strongest(expected.output))
    for model, layer in (
        (torch.export.export(Functions().eval(), (x,)).module(), "max_pool2d#2"),
        (Ours(), "pool#2"),
    ):
        found = way(model, layer, x)
        assert len(found.poolings) == 2
        torch.testing.assert_close(found.back(start, "deconvnet"), expected.back(start, "deconvnet"))


GATES = {
    "ScaledDotProduct": lambda x: F.scaled_dot_product_attention(x, x, x),
    "Sigmoid": lambda x: x * x.sigmoid(),
    "Mul": lambda x: x * x,
    "Gelu": F.gelu,
    "LeakyRelu": F.leaky_relu,
    "NativeBatchNorm": F.instance_norm,
    "AdaptiveMaxPool2D": lambda x: F.adaptive_max_pool2d(x, 4),
    "Amax": lambda x: x.amax((2, 3), keepdim=True),
}


class Gate(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.last = function, nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.last(F.max_pool2d(self.function(x), 1))


@pytest.mark.parametrize("name", GATES)
def test_what_has_no_transpose_is_refused_by_name(name):
    found = way(Gate(GATES[name]), "last")
    with pytest.raises(ValueError, match=f"no way back through .*{name}.*`method` gradient or occlusion"):
        found.check()
    assert found.back(torch.ones_like(found.output), "gradient", "sum").abs().sum() > 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / 2 + 1, lambda x: torch.cat([x, -x], 1)[:, 1:4], lambda x: x.double().float(),
        lambda x: F.interpolate(x, scale_factor=2), lambda x: F.avg_pool2d(x, 3, 1), F.relu6,
        lambda x: F.threshold(x, 0, 0), lambda x: F.dropout(x, 0.5, False), lambda x: x[:, [2, 1, 0]],
        lambda x: F.pad(x, (1, 1, 0, 0), mode="reflect"),
        lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).reshape(x.shape), lambda x: x.clamp_min(0),
    ],
)  # fmt: skip
def test_what_has_one_is_not(function):
    way(Gate(function), "last").check()


class Cut(Modules):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)


def test_a_derivative_that_is_cut_is_said():
    with pytest.raises(ValueError, match="the derivative is cut"):
        way(Cut(), "pool2")


def test_without_the_way_back_the_outputs_are_the_same():
    x = images()
    assert torch.equal(
        outputs(Target(Modules(), "m"), x, ["conv2"])["conv2"], way(Modules(), "conv2", x).output
    )
