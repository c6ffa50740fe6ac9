"""Read-outs and replaced switches; NumPy's least squares is the oracle of the read-outs."""

import numpy as np
import pytest
import torch

from maxtunnel.data.images import to_float
from maxtunnel.evaluation.evaluate import evaluate
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper import measurements

pytestmark = pytest.mark.usefixtures("one_thread")


def network(width=None, layers=()):
    architecture = Architecture((4, 6), layers=layers)
    return TunnelNetwork(architecture, torch.full((3, 8, 8), 0.45), 4.0, strong_width=width)


@pytest.mark.parametrize("layers", [(2, 2), (1, 3)])
def test_the_last_activation_is_the_output(photographs, layers):
    net, images = network(layers=layers), to_float(photographs)
    found = measurements._blocks(net, images)
    assert [x.shape[-1] for x in found] == [8, 16, 32]
    # Two ways of doing the same sums, so not to the last bit.
    assert torch.allclose(net.denormalise(found[-1], (32, 32)), net.reconstruct(images), atol=1e-5)


def test_read_outs_are_least_squares(photographs):
    net = network()
    x, target = measurements._blocks(net, to_float(photographs))[1], net.normalise(to_float(photographs))
    rows = torch.cat([x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), torch.ones(x[:, :1].numel(), 1)], 1)
    small = torch.nn.functional.avg_pool2d(target, 2).permute(0, 2, 3, 1).reshape(-1, 3)
    expected = np.linalg.lstsq(rows.detach().double().numpy(), small.double().numpy(), rcond=1e-12)[0]
    ours = measurements._fit(net, photographs)[1].numpy()
    values = rows.detach().double().numpy()
    assert values @ ours == pytest.approx(values @ expected, abs=1e-6)
    layers = measurements.read_out(net, photographs)
    assert [found.known for found in layers] == [0, 1, 2]
    # Nothing beats the original at that size, and the original at full size is itself.
    assert all(found.rmse >= found.floor for found in layers)
    assert layers[-1].floor == 0


@pytest.mark.parametrize("width", [None, 4])
def test_what_the_coarsest_levels_tell(photographs, width):
    net = network(width)
    nothing, coarsest, every = measurements.from_coarsest(net, photographs)
    second = photographs[len(photographs) // 2 :]
    images = to_float(second)
    assert nothing.rmse == pytest.approx((images - 0.45).square().mean().sqrt().item(), rel=1e-5)
    rebuilt = net.decode(net.encode(images), {2})
    assert coarsest.rmse == pytest.approx((rebuilt - images).square().mean().sqrt().item(), rel=1e-5)
    assert every.rmse == pytest.approx(evaluate(net, second).rmse, rel=1e-5)
    # The coarsest level's planes unpool to half of the image's side.
    shrunk = torch.nn.functional.avg_pool2d(images, 2).repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert coarsest.floor == pytest.approx((shrunk - images).square().mean().sqrt().item(), rel=1e-5)
    assert every.floor == 0


def test_replaced_switches(photographs):
    net = network()
    found = measurements.replace_switches(net, photographs)
    assert found.known == pytest.approx(evaluate(net, photographs).rmse, rel=1e-5)
    mean = (to_float(photographs) - 0.45).square().mean().sqrt().item()
    assert found.mean == pytest.approx(mean, rel=1e-5)
    assert found.retrained == pytest.approx(mean, rel=0.02)
    low, high = found.zeros_times
    assert low < found.zeros / found.known < high
    assert len({found.known, found.zeros, found.retrained, found.random, found.other}) == 5


def test_no_decoder_of_fixed_switches_beats_the_bound_of_a_strong_one(photographs):
    found = measurements.replace_switches(network(width=4), photographs)
    images = to_float(photographs)
    assert found.retrained == pytest.approx((images - images.mean(0)).square().mean().sqrt().item(), rel=1e-5)
    assert found.retrained < measurements.replace_switches(network(), photographs).retrained
    assert found.known == pytest.approx(evaluate(network(width=4), photographs).rmse, rel=1e-5)
