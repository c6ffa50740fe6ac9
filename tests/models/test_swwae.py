"""The what-where autoencoder against the same layers of PyTorch's own, and what reaches its decoder."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from maxtunnel.models.layout import Layout
from maxtunnel.models.swwae import Swwae
from maxtunnel.models.swwae_file import FORMAT
from maxtunnel.support.files import FormatError

LAYOUT = "(4)5c-2p-(6)3c-(6)3c-3p"
UNPOOLINGS = ["switches", "fixed", "average"]


def small(layout=LAYOUT, channels=1, size=(13, 14), classes=3, **settings):
    return Swwae(Layout.parse(layout), channels, size, classes, **settings)


def images(count=4, channels=1, size=(13, 14), seed=0):
    return torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(seed))


def plain(network, x):
    """Planes, indices, image and what was made of the planes, by PyTorch's own layers."""
    layers, planes, pooled = network.layout.convolutions, [], []
    for own, layer in zip(network.encoder.layers, layers, strict=True):
        x = F.relu(F.conv2d(x, own.weight, own.bias, padding=layer.kernel // 2))
        if layer.pool:
            size = x.shape[-2:]
            x, indices = F.max_pool2d(x, layer.pool, return_indices=True)
            pooled.append((indices, size))
        planes.append(x)
    indices, drawn = [index for index, _ in pooled], []
    for own, layer in zip(network.decoder.layers, layers[::-1], strict=True):
        if layer.pool:
            index, size = pooled.pop()
            x = F.max_unpool2d(x, index, layer.pool, output_size=size)
        image = F.conv2d(x, own.weight, own.bias, padding=layer.kernel // 2)
        x = F.relu(image)
        drawn.append(x)
    return planes, indices, image, drawn[:-1][::-1]


@pytest.mark.parametrize(("layout", "channels"), [(LAYOUT, 1), ("(4)3c-(6)3c-2p-(5)5c", 3), ("(3)1c-2p", 3)])
def test_it_is_what_pytorchs_own_layers_give(layout, channels):
    network = small(layout, channels)
    x = network.normalise(images(channels=channels))
    seen = network.encoder(x)
    drawn = network.decoder(seen.what, seen.where)
    planes, indices, image, made = plain(network, x)
    for found, expected in ((seen.planes, planes), (drawn.planes, made), ([drawn.image], [image])):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    code = network.encode(images(channels=channels))
    for level, expected in zip(code.levels, indices, strict=True):
        assert torch.equal(level.indices(), expected)


def test_gradients_are_those_of_pytorchs_own_layers():
    network = small()
    x = network.normalise(images())
    seen = network.encoder(x)
    drawn = network.decoder(seen.what, seen.where)
    planes, _, image, made = plain(network, x)
    losses = []
    for way in ((seen.planes, drawn.image, drawn.planes), (planes, image, made)):
        loss = F.cross_entropy(network.classifier(way[0][-1]), torch.tensor([0, 1, 2, 0]))
        loss = loss + F.mse_loss(way[1], x)
        for one, other in zip(way[0][:-1], way[2], strict=True):
            loss = loss + F.mse_loss(one, other)
        network.zero_grad()
        loss.backward()
        gradients = [p.grad.clone() for p in network.parameters() if p is not network.decoder.constant]
        losses.append([loss.detach(), *gradients])
    for found, expected in zip(*losses, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("unpooling", UNPOOLINGS)
@pytest.mark.parametrize("beta", [None, 100.0])
def test_either_both_or_neither_reach_the_image(unpooling, beta):
    network = small(unpooling=unpooling, beta=beta)
    with torch.no_grad():
        network.decoder.constant.fill_(0.5)
    one, other = (network.encoder(network.normalise(images(seed=seed))) for seed in (0, 1))

    def drawn(what, where):
        return network.decoder(what, where).image.detach()

    # Features change, switches stay.
    assert not torch.equal(drawn(one.what, one.where), drawn(other.what, one.where))
    assert torch.equal(drawn(None, one.where), drawn(None, one.where))
    if unpooling == "switches":
        assert not torch.equal(drawn(None, one.where), drawn(None, other.where))
        assert not torch.equal(drawn(one.what, one.where), drawn(one.what, other.where))
    else:
        assert torch.equal(drawn(one.what, one.where), drawn(one.what, other.where))
    # The constant alone: one image, the same for all.
    assert drawn(None, None).shape == (1, 1, 13, 14)
    if unpooling != "switches":
        torch.testing.assert_close(drawn(None, None).expand(4, -1, -1, -1), drawn(None, one.where))


def test_without_the_what_no_feature_reaches_the_image():
    network = small()
    seen = network.encoder(network.normalise(images()))
    expected = network.decoder(None, seen.where).image
    with torch.no_grad():
        # Larger features behind the same switches.
        for layer in network.encoder.layers:
            layer.weight.mul_(2)
            layer.bias.mul_(2)
    again = network.encoder(network.normalise(images()))
    assert not torch.equal(again.what, seen.what)
    assert all(torch.equal(a, b) for a, b in zip(again.where, seen.where, strict=True))
    assert torch.equal(network.decoder(None, again.where).image, expected)


def test_without_the_where_known_switches_become_fixed_ones():
    known, fixed = small(seed=3), small(seed=3, unpooling="fixed")
    what = known.encoder(known.normalise(images())).what
    assert torch.equal(known.decoder(what).image, fixed.decoder(what).image)


def test_rebuilt_images_are_on_the_images_scale():
    network = small()
    network.mean.fill_(0.3)
    network.deviation.fill_(0.2)
    x = images()
    seen = network.encoder((x - 0.3) / 0.2)
    torch.testing.assert_close(network.rebuild(x), network.decoder(seen.what, seen.where).image * 0.2 + 0.3)
    assert network.rebuild(x, what=False, where=False).shape == x.shape


def test_measuring_changes_no_statistics_and_puts_modes_back():
    network = small(batch_norm=True)
    network.decoder.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.rebuild(images())
    network.encode(images())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.encoder.training
    assert not network.decoder.training


def test_batch_normalisation_stands_between_convolution_and_relu():
    network = small(batch_norm=True)
    seen = network.encoder(network.normalise(images(32)))
    # The last layer is pooled behind its ReLU; the one before it is not.
    assert seen.planes[1].min() == 0
    network.encoder.layers[1].relu = False
    bare = network.encoder(network.normalise(images(32))).planes[1]
    torch.testing.assert_close(bare.mean((0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
    assert network.decoder.layers[-1].norm is None
    assert all(layer.norm is not None for layer in network.decoder.layers[:-1])


def test_the_constant_follows_the_mean_of_the_features():
    network = small()
    what = torch.randn(8, 6, 2, 2)
    for _ in range(600):
        network.decoder.follow(what)
    torch.testing.assert_close(network.decoder.constant.detach(), what.mean((0, 2, 3)), atol=1e-4, rtol=0)


def test_dropout_multiplies_the_inputs_of_each_layer():
    network = small(LAYOUT + "-5fc-3fc", dropout=0.5)
    what = torch.randn(2, 6, 2, 2)
    ones = [torch.ones(2, width) for width in network.classifier.widths]
    assert torch.equal(network.classifier(what, ones), network.classifier(what))
    nothing = [ones[0], torch.zeros_like(ones[1])]
    bias = network.classifier.layers[1].bias
    torch.testing.assert_close(network.classifier(what, nothing), bias.expand(2, 3))


def test_weights_are_those_of_the_seed_and_nobody_elses():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, same, other = small(seed=1), small(seed=1), small(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
    assert not torch.equal(one.encoder.layers[0].weight, other.encoder.layers[0].weight)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "(4)3c-2p-10fc"}, "ends in 10fc: expected 3fc for the classes"),
        ({"dropout": 1.0}, "`dropout` is 1.0"),
        ({"beta": 0.0}, "`beta` is 0.0"),
        ({"size": (2, 1)}, "would be pooled to nothing by 2p"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_what_is_given_to_a_decoder_must_fit_it():
    network = small()
    seen = network.encoder(network.normalise(images()))
    with pytest.raises(ValueError, match=r"`what` is \(4, 6, 2, 3\): expected \(n, 6, 2, 2\)"):
        network.decoder(torch.zeros(4, 6, 2, 3), seen.where)
    with pytest.raises(ValueError, match="`where` has 1 levels"):
        network.decoder(seen.what, seen.where[:1])
    with pytest.raises(ValueError, match=r"images are \(1, 3, 13, 14\): expected \(n, 1, 13, 14\)"):
        network.normalise(images(1, 3))
    with pytest.raises(ValueError, match="a code is 9"):
        network.decoder(
            None, [torch.zeros(1, 4, 6, 7, dtype=torch.uint8), torch.full((1, 6, 2, 2), 9).byte()]
        )
    with pytest.raises(ValueError, match="take one without `beta`"):
        small(beta=100.0).encode(images())


@pytest.mark.parametrize("settings", [{}, {"batch_norm": True, "dropout": 0.5}, {"beta": 100.0}])
@pytest.mark.parametrize("unpooling", UNPOOLINGS)
def test_a_saved_network_is_the_same_again(tmp_path, settings, unpooling):
    network = small(LAYOUT + "-7fc-3fc", 3, unpooling=unpooling, **settings)
    network.encoder(images(channels=3))
    network.deviation.fill_(0.25)
    network.save(tmp_path / "it.safetensors")
    again = Swwae.load(tmp_path / "it.safetensors")
    assert (str(again.layout), again.size, again.classes) == (LAYOUT + "-7fc-3fc", (13, 14), 3)
    assert (again.dropout, again.beta, again.unpooling) == (network.dropout, network.beta, unpooling)
    assert all(p.requires_grad for p in again.parameters())
    assert torch.equal(again.rebuild(images(channels=3)), network.rebuild(images(channels=3)))


def damage(path, change_settings=None, change_tensors=None, kind=FORMAT):
    with safe_open(path, framework="pt") as file:
        settings = json.loads(file.metadata()["settings"])
    tensors = load_file(path)
    (change_settings or (lambda given: None))(settings)
    (change_tensors or (lambda given: None))(tensors)
    save_file(tensors, path, {"format": kind, "settings": json.dumps(settings)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "maxtunnel network 1"}, "is no what-where autoencoder"),
        ({"change_settings": lambda s: s.update(layout="(4)5c")}, "is a damaged what-where autoencoder"),
        (
            {"change_settings": lambda s: s.update(layout="(99999)5cx90-2p")},
            "is a damaged what-where autoenc",
        ),
        ({"change_settings": lambda s: s.update(layout=5)}, "is a damaged what-where autoencoder"),
        ({"change_settings": lambda s: s.update(size=[13])}, "is a damaged what-where autoencoder"),
        ({"change_settings": lambda s: s.update(size=[1e9, 1e9])}, "is a damaged what-where autoencoder"),
        ({"change_settings": lambda s: s.update(classes="3")}, "is a damaged what-where autoencoder"),
        ({"change_settings": lambda s: s.update(unpooling="nowhere")}, "unpooling is 'nowhere'"),
        ({"change_settings": lambda s: s.update(classes=0)}, "expected 1 to 65535"),
        ({"change_settings": lambda s: s.update(size=[13, 1 << 40])}, "expected 1 to 65535"),
        ({"change_settings": lambda s: s.pop("beta")}, "Settings.beta is missing"),
        ({"change_settings": lambda s: s.update(extra=1)}, "a Settings has no 'extra'"),
        ({"change_tensors": lambda t: t.pop("mean")}, "is a damaged what-where autoencoder"),
        ({"change_tensors": lambda t: t["mean"].fill_(float("nan"))}, "mean holds torch.float32, or values"),
        ({"change_tensors": lambda t: t.update(mean=t["mean"].half())}, "mean holds torch.float16"),
        ({"change_tensors": lambda t: t.update(deviation=torch.zeros(1))}, "a deviation is not above 0"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    path = tmp_path / "it.safetensors"
    small().save(path)
    damage(path, **change)
    with pytest.raises(FormatError, match=message):
        Swwae.load(path)


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "it.safetensors"
    small().save(path)
    path.write_bytes(path.read_bytes()[:-5])
    for file in (path, tmp_path / "nothing"):
        with pytest.raises(FormatError, match="cannot be read as a safetensors file"):
            Swwae.load(file)
