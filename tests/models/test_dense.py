"""Networks that answer for every pixel, against PyTorch's own layers, and what reaches their answers."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from maxtunnel.models.cedn import cedn
from maxtunnel.models.deconvnet import deconvnet
from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import DenseLayer, DenseShape
from maxtunnel.models.segnet import segnet, segnet_basic
from maxtunnel.support.files import FormatError
from plain_dense import through

UNPOOLINGS = ["switches", "fixed", "bilinear"]
# Each with an odd side somewhere on the way, where the last window lies half outside.
NARROW = {
    "segnet": (lambda **settings: segnet(3, 2, **settings), (36, 50)),
    "segnet_basic": (lambda **settings: segnet_basic(3, 2, **settings), (18, 20)),
    "deconvnet": (lambda **settings: deconvnet(3, 1, side=3, **settings), (66, 70)),
    "cedn": (lambda **settings: cedn(2, side=3, **settings), (33, 40)),
}
SHAPE = DenseShape(
    ((DenseLayer(3),), (DenseLayer(4),), (DenseLayer(5),)),
    ((DenseLayer(4),), (DenseLayer(3),), (DenseLayer(2), DenseLayer(3, 1, norm=False, relu=False))),
    pooled=2,
)


def small(unpooling="switches", seed=0):
    network = DenseNetwork(SHAPE, unpooling, seed)
    with torch.no_grad():
        network.decoder.constant.fill_(0.5)
    return network


def images(count=2, size=(11, 14), seed=0):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def stir(network):
    """Statistics and biases that change something."""
    generator = torch.Generator().manual_seed(5)
    for layer in network.layers:
        if layer.norm is not None:
            layer.norm.running_mean.normal_(generator=generator)
            layer.norm.running_var.uniform_(0.5, 2, generator=generator)
        with torch.no_grad():
            layer.bias.normal_(generator=generator)
    return network.eval()


def plain(network, x):
    """The answers by PyTorch's own layers, a deconvolution where DeconvNet has one."""
    layers = iter(network.layers)

    def stage(x, kinds):
        for kind in kinds:
            own = next(layers)
            if kind.padding > kind.kernel // 2:
                weight = own.weight.flip(2, 3).transpose(0, 1)
                x = F.conv_transpose2d(x, weight, own.bias, padding=kind.kernel - 1 - kind.padding)
            else:
                x = F.conv2d(x, own.weight, own.bias, padding=kind.padding)
            if kind.norm:
                norm = own.norm
                x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            x = F.relu(x) if kind.relu else x
        return x

    return through(network.shape, (x - network.mean[:, None, None]) / network.deviation[:, None, None], stage)


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        # Counted in the authors' prototxt files, layer by layer: weights, biases, scales and shifts.
        (segnet, 29_449_355),
        (segnet_basic, 1_416_587),
        (deconvnet, 251_805_653),
        (cedn, 130_484_289),
    ],
)
def test_published_shapes_have_the_published_parameters(make, parameters):
    with torch.device("meta"):
        network = make()
    # The constant is ours.
    ours = network.decoder.constant.numel()
    assert sum(parameter.numel() for parameter in network.parameters()) - ours == parameters


def test_published_planes_are_those_of_the_authors():
    with torch.device("meta"):
        found = segnet().shape.sizes((360, 480)), deconvnet().shape.sizes((224, 224))
    # SegNet's prototxt states 45x60 and 23x30 for its unpooling, DeconvNet's 14, 28, 56, 112 and 224.
    assert found[0] == ((360, 480), (180, 240), (90, 120), (45, 60), (23, 30), (12, 15))
    assert found[1] == ((224, 224), (112, 112), (56, 56), (28, 28), (14, 14), (1, 1))


@pytest.mark.parametrize("name", NARROW)
def test_it_is_what_pytorchs_own_layers_give(name):
    make, size = NARROW[name]
    network, x = stir(make()), images(size=size)
    with torch.no_grad():
        expected = plain(network, x)
        assert expected.shape == (2, network.shape.classes, *size)
        torch.testing.assert_close(network(x), expected, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(network.answer(x), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("unpooling", UNPOOLINGS)
@pytest.mark.parametrize("name", NARROW)
def test_all_unpoolings_have_equal_parameters_and_all_of_them_learn(name, unpooling):
    make, size = NARROW[name]
    network = make(unpooling=unpooling)
    assert [p.shape for p in network.parameters()] == [p.shape for p in make().parameters()]
    network(images(size=size)).square().mean().backward()
    for own, parameter in network.named_parameters():
        assert (parameter.grad is None) == (own == "decoder.constant"), own
    assert network.layers[0].weight.grad.any()


def test_a_narrow_network_learns_where_a_square_is():
    network = segnet_basic(2, 4, seed=1)
    x, labels = images(4, (16, 16)) / 4, torch.zeros(4, 16, 16, dtype=torch.long)
    x[:, :, 4:10, 5:12] += 0.7
    labels[:, 4:10, 5:12] = 1
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(network(x), labels)
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for layer in network.layers:
                layer.weight.sub_(layer.weight.grad, alpha=0.3)
                layer.bias.sub_(layer.bias.grad, alpha=0.3)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("unpooling", UNPOOLINGS)
def test_features_and_switches_reach_the_answers_as_asked(unpooling):
    network, one, other = small(unpooling), images(seed=0), images(seed=1)
    whole = network.answer(one)
    alone = network.answer(one, what=False)
    swapped = network.answer(one, switches_of=other)
    features = network.answer(one, where=False)
    assert not torch.equal(whole, alone)
    if unpooling == "switches":
        assert not torch.equal(whole, swapped)
        assert not torch.equal(whole, features)
        assert not torch.equal(alone, network.answer(other, what=False))
        assert torch.equal(
            network.answer(one, what=False, switches_of=other), network.answer(other, what=False)
        )
        assert torch.equal(features, small("fixed").answer(one))
    else:
        assert torch.equal(whole, swapped)
        assert torch.equal(whole, features)
        torch.testing.assert_close(alone, network.answer(other, what=False))
    nothing = network.answer(one, what=False, where=False)
    assert nothing.shape == whole.shape
    assert torch.equal(nothing[0], nothing[1])


def test_without_the_what_no_feature_reaches_the_answers():
    network = small()
    expected = network.answer(images(), what=False)
    with torch.no_grad():
        # Larger features behind the same switches: by its norm's scale and shift, a layer's values double.
        for layer in (layer for stage in network.encoder.stages for layer in stage):
            layer.norm.weight.mul_(2)
            layer.norm.bias.mul_(2)
        network.encoder.stages[1][0].weight.div_(2)
        network.encoder.stages[2][0].weight.div_(2)
    assert torch.equal(network.answer(images(), what=False), expected)
    assert not torch.equal(network.answer(images()), small().answer(images()))


def test_what_was_made_of_each_plane_has_its_shape():
    network = small()
    seen = network.encoder(network.normalise(images()))
    drawn = network.decoder((11, 14), seen.what, seen.where)
    assert [plane.shape for plane in drawn.planes] == [plane.shape for plane in seen.planes[:-1]]
    assert [plane.shape[1:] for plane in seen.planes] == [(3, 6, 7), (4, 3, 4), (5, 3, 4)]


def test_bilinear_planes_are_widened_by_interpolation():
    network = small("bilinear").eval()
    seen = network.encoder(network.normalise(images()))
    first = network.decoder.stages[0](seen.what)
    second = network.decoder.stages[1](F.interpolate(first, (6, 7), mode="bilinear"))
    drawn = network.decoder((11, 14), seen.what)
    torch.testing.assert_close(drawn.planes[1], first)
    torch.testing.assert_close(drawn.planes[0], second)


def test_the_constant_follows_the_mean_of_the_features():
    network = small()
    what = torch.randn(8, 5, 2, 2)
    for _ in range(600):
        network.decoder.follow(what)
    torch.testing.assert_close(network.decoder.constant.detach(), what.mean((0, 2, 3)), atol=1e-4, rtol=0)


def test_dropout_leaves_out_what_it_is_told_and_draws_nothing_itself():
    network, x = cedn(2, side=3), images(size=(33, 40))
    before = torch.get_rng_state()
    assert torch.equal(network.eval()(x), network.train()(x))
    assert torch.equal(network.answer(x), network(x))
    kept = network.draw_kept(2, (33, 40), torch.Generator().manual_seed(0))
    # CEDN's layer that no pooling follows, and all of the decoder's but the last.
    assert len(kept) == 7
    assert torch.equal(network(x, kept), network.eval()(x, kept))
    assert not torch.equal(network(x, kept), network(x))
    torch.testing.assert_close(network(x, [torch.ones_like(each) for each in kept]), network(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_measuring_changes_no_statistics_and_puts_modes_back():
    network = small()
    network.decoder.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.answer(images())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.encoder.training
    assert not network.decoder.training


def test_weights_are_those_of_the_seed_and_nobody_elses():
    before = torch.get_rng_state()
    one, same, other = small(seed=1), small(seed=1), small(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)


def test_what_is_given_must_fit():
    network = small()
    seen = network.encoder(network.normalise(images()))
    with pytest.raises(ValueError, match=r"images are \(2, 1, 11, 14\): expected \(n, 3, height, width\)"):
        network(images()[:, :1])
    with pytest.raises(ValueError, match=r"`switches_of` is \(1, 3, 11, 14\): expected \(2, 3, 11, 14\)"):
        network.answer(images(), switches_of=images(1))
    with pytest.raises(ValueError, match=r"`what` is \(2, 5, 3, 4\): expected \(n, 5, 6, 4\)"):
        network.decoder((22, 14), seen.what, seen.where)
    with pytest.raises(ValueError, match="`where` has 1 levels: this network pools 2 times"):
        network.decoder((11, 14), seen.what, seen.where[:1])
    with pytest.raises(ValueError, match="a code is 9"):
        network.decoder((11, 14), seen.what, [seen.where[0], torch.full_like(seen.where[1], 9)])
    with pytest.raises(
        ValueError, match="height 64, width 64 are too small: nothing is left of them behind st"
    ):
        deconvnet(3, 1, side=3)(images(size=(64, 64)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: DenseLayer(0), "0 filters of side 3"),
        (lambda: DenseLayer(2, 4), "2 filters of side 4"),
        (lambda: DenseLayer(2, dropout=1.0), "dropout 1.0"),
        (lambda: DenseShape(SHAPE.encoder, SHAPE.decoder[1:], 2), "3 stages of an encoder, 2 of them pooled"),
        (lambda: DenseShape(SHAPE.encoder, SHAPE.decoder, 4), "4 of them pooled"),
        (lambda: DenseShape(SHAPE.encoder, SHAPE.decoder[::-1], 2), "makes 3 channels: expected 4"),
        (lambda: DenseShape(SHAPE.encoder, ((), *SHAPE.decoder[1:]), 2), "at least one in every stage"),
    ],
)
def test_layers_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change()


@pytest.mark.parametrize("unpooling", UNPOOLINGS)
def test_a_saved_network_is_the_same_again(tmp_path, unpooling):
    network = stir(small(unpooling)).with_inputs((10.0, 20.0, 30.0), 50.0)
    network.save(tmp_path / "it.safetensors")
    again = DenseNetwork.load(tmp_path / "it.safetensors")
    assert (again.shape, again.unpooling) == (SHAPE, unpooling)
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert torch.equal(again.answer(images()), network.answer(images()))


def test_a_network_in_half_precision_is_half_as_large_and_nearly_the_same(tmp_path):
    network = stir(segnet(3, 8)).with_inputs((122.7, 116.7, 104.0), 58.0)
    for half in (False, True):
        network.save(tmp_path / f"{half}", half=half)
    whole, halved = ((tmp_path / f"{half}").stat().st_size for half in (False, True))
    assert halved < 0.6 * whole
    again = DenseNetwork.load(tmp_path / "True")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert torch.equal(again.mean, network.mean)
    first = images(size=(40, 50))
    expected, found = network.answer(first), again.answer(first)
    # Where two values were nearly equal another switch may be found.
    assert 0 < (found - expected).abs().mean() < 0.05 * expected.std()


def damage(path, change_settings=None, change_tensors=None, kind=None):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    settings, tensors = json.loads(metadata["settings"]), load_file(path)
    (change_settings or (lambda given: None))(settings)
    (change_tensors or (lambda given: None))(tensors)
    save_file(tensors, path, {"format": kind or metadata["format"], "settings": json.dumps(settings)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "maxtunnel what-where autoencoder 1"}, "is no dense network"),
        ({"change_settings": lambda s: s.update(unpooling="average")}, "unpooling is 'average'"),
        ({"change_settings": lambda s: s["shape"].update(pooled=9)}, "is a damaged dense network: 3 stages"),
        (
            {"change_settings": lambda s: s["shape"]["encoder"][0][0].update(kernel=60001)},
            "stages.0.0.weight is .* expected .*60001",
        ),
        ({"change_settings": lambda s: s["shape"]["encoder"].append([])}, "is a damaged dense network"),
        ({"change_tensors": lambda t: t["mean"].fill_(float("nan"))}, "mean holds torch.float32, or values"),
        ({"change_tensors": lambda t: t.update(deviation=torch.zeros(3))}, "a deviation is not above 0"),
        ({"change_tensors": lambda t: t.pop("decoder.constant")}, "decoder.constant is missing"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    path = tmp_path / "it.safetensors"
    small().save(path)
    damage(path, **change)
    with pytest.raises(FormatError, match=message):
        DenseNetwork.load(path)
