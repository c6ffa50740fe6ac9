"""VGG encoders of other programs: what PyTorch gives with their weights, ours gives."""

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from caffe_writer import encode
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.zoo import vgg
from maxtunnel.zoo.names import import_network, load
from maxtunnel.zoo.vgg import INPUTS, fold, load_vgg
from tools.command_line import call

# Filters of a tiny VGG as torchvision writes configurations: M is a pooling.
TINY = [2, 2, "M", 3, 3, 3, "M", 4, "M"]
TEXT = "2-3x3-4x1"


def features(normed=False, seed=0):
    """As torchvision's `make_layers` lays them out, with weights and statistics that none is neutral in."""
    torch.manual_seed(seed)
    layers, channels = [], 3
    for filters in TINY:
        if filters == "M":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers.append(nn.Conv2d(channels, filters, 3, padding=1))
        layers += [nn.BatchNorm2d(filters)] if normed else []
        layers.append(nn.ReLU(inplace=True))
        channels = filters
    model = nn.Sequential(*layers)
    for layer in model:
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                tensor.normal_()
            layer.running_var.uniform_(0.3, 3)
    return model.eval()


def saved(model, path, prefix="", **wrapping):
    """The state dict of a whole classifier, whose convolutions these are."""
    state = {f"{prefix}features.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    state[f"{prefix}classifier.0.weight"] = torch.zeros(5, 4)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if wrapping else state, path)
    return path


def given(images, name):
    """What the other program makes of photographs: written out here from its documentation."""
    if name == "imagenet":
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        return (images - mean[:, None, None]) / deviation[:, None, None]
    return images.flip(1) * 255 - torch.tensor([104.007, 116.669, 122.679])[:, None, None]


@torch.no_grad()
def check_same(network, model, inputs):
    """Features and switches are those of the other program."""
    assert str(network.architecture) == TEXT
    images = torch.rand(3, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    x, indices = given(images, inputs), []
    for layer in model:
        if isinstance(layer, nn.MaxPool2d):
            x, where = F.max_pool2d(x, 2, return_indices=True)
            indices.append(where)
        else:
            x = layer(x)
    what, _ = network.encoder(network.normalise(images))
    torch.testing.assert_close(what, x, rtol=1e-4, atol=1e-4 * float(x.abs().max()))
    for level, where in zip(network.encode(images).levels, indices, strict=True):
        assert torch.equal(level.indices(), where)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("normed", [False, True])
def test_a_state_dict_gives_its_features_and_switches(tmp_path, suffix, normed):
    model = features(normed)
    path = saved(model, tmp_path / f"vgg{suffix}")
    check_same(load_vgg(path), model, "imagenet")
    check_same(load_vgg(path, "caffe"), model, "caffe")


def test_a_state_dict_may_be_wrapped_and_prefixed(tmp_path):
    model = features()
    path = saved(model, tmp_path / "run.pth", "module.", wrapped=True)
    check_same(load_vgg(path), model, "imagenet")


def keras_file(path, model, form):
    """As Keras 3 names layers in an attribute, or as its files of VGG16 do in the groups."""
    convs, filters = iter(m for m in model if isinstance(m, nn.Conv2d)), iter(TINY)
    with h5py.File(path, "w") as file:
        for block in (1, 2, 3):
            index = 0
            while next(filters) != "M":
                conv, index = next(convs), index + 1
                name = f"block{block}_conv{index}"
                group = file.create_group(f"block{block}/layers/conv2d_{index}/vars" if form == 3 else name)
                if form == 3:
                    group.attrs["name"] = name
                # A name sorts the bias first or last.
                for key, array in (("1", conv.bias), ("0", conv.weight.permute(2, 3, 1, 0))):
                    group[key if form == 3 else f"{name}_{'W' if key == '0' else 'b'}_1:0"] = (
                        array.detach().numpy()
                    )
        file.create_group("dsn1/vars")["0"] = np.zeros((1, 1, 2, 1), np.float32)
    return path


@pytest.mark.parametrize("form", [3, 2])
def test_hdf5_of_keras_gives_its_features_and_switches(tmp_path, form):
    model = features()
    check_same(load_vgg(keras_file(tmp_path / "vgg.weights.h5", model, form)), model, "caffe")


def test_a_caffemodel_of_a_vgg_is_imported_by_its_encoder(tmp_path):
    model = features()
    names = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv2_3", "conv3_1"]
    convs = [m for m in model if isinstance(m, nn.Conv2d)]
    layers = {
        name: [conv.weight.detach().numpy(), conv.bias.detach().numpy()]
        for name, conv in zip(names, convs, strict=True)
    }
    layers["fc6"] = [np.zeros((5, 4), np.float32)]
    path = tmp_path / "VGG.caffemodel"
    path.write_bytes(encode(layers, "V1"))
    check_same(import_network(path, tmp_path / "vgg.safetensors"), model, "caffe")
    with pytest.raises(ValueError, match="`mean` is for a snapshot"):
        import_network(path, tmp_path / "vgg.safetensors", mean=tmp_path)


def test_the_fold_is_what_pytorch_gives_in_evaluation():
    generator = torch.Generator().manual_seed(0)
    conv, norm = nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5)
    for tensor in (*norm.parameters(), norm.running_mean):
        tensor.data.normal_(generator=generator)
    norm.running_var.uniform_(1e-5, 2, generator=generator)
    x = torch.randn(2, 2, 7, 6, generator=generator)
    weight, bias = fold(conv.weight.detach(), conv.bias.detach(), norm.state_dict())
    torch.testing.assert_close(F.conv2d(x, weight, bias, padding=1), norm.eval()(conv(x)).detach())


def test_the_command_says_where_the_encoder_is_from(tmp_path, monkeypatch):
    model = features()
    path, target = saved(model, tmp_path / "vgg.pth"), tmp_path / "vgg.safetensors"
    monkeypatch.setitem(vgg.KNOWN, vgg._hash(vgg._read(path)[0])[:16], "fine-tuned for edges")
    output = call("import", path, target)
    assert f"{target}: {TEXT}" in output
    assert "from vgg.pth, fine-tuned for edges; inputs as imagenet" in output
    assert f"maxtunnel train {TEXT} --encoder {target}" in output
    network = load(target)
    check_same(network, model, "imagenet")
    assert network.provenance.encoder == "imported"
    assert dict(network.provenance.facts())["encoder's weights"].startswith("vgg.pth, fine-tuned for edges")
    assert network.provenance.of_encoder() == network.provenance
    # A constant mean image: the channel means.
    assert network.mean.flatten().tolist() == pytest.approx(INPUTS["imagenet"].mean)


def altered(change):
    state = {f"features.{name}": tensor for name, tensor in features(normed=True).state_dict().items()}
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.clear(), r"no features\.0\.weight"),
        (lambda s: s.pop("features.0.weight"), r"no features\.0\.weight"),
        (lambda s: s.pop("features.1.running_mean"), r"features\.1 does not fit"),
        (lambda s: s.update({"features.1.running_var": torch.ones(7)}), r"features\.1 does not fit"),
        (lambda s: s.update({"features.0.bias": torch.ones(7)}), r"features\.1 does not fit"),
        (lambda s: s.update({"features.0.weight": torch.ones(2, 4, 3, 3)}), "convolution 1 of block 1"),
        (lambda s: s.update({"features.0.weight": torch.ones(2, 3, 5, 5)}), "convolution 1 of block 1"),
        (lambda s: s.update({"features.7.weight": torch.full((3, 2, 3, 3), torch.nan)}), "NaN"),
        (lambda s: s.update({"features.40.weight": torch.ones(2, 4, 3, 3)}), r"features\.40 comes where"),
        (lambda s: s.update({"other.features.0.weight": torch.ones(1)}), "2 networks"),
    ],
)
def test_what_is_no_vgg_is_said(tmp_path, change, message):
    torch.save(altered(change), tmp_path / "a.pth")
    with pytest.raises(FormatError, match=message):
        load_vgg(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pth", b"PK"),
        ("a.pth", b"PK\x03\x04garbage"),
        ("a.safetensors", b"\x08\0\0\0\0\0\0\0{garbage"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(100)),
    ],
)
def test_damaged_files_are_refused_in_a_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match="cannot be read") as error:
        load_vgg(tmp_path / name)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["a.pth", "a.h5", "a.safetensors", "a.caffemodel"])
def test_a_file_of_no_bytes_is_empty_and_one_that_is_missing_does_not_exist(tmp_path, name):
    with pytest.raises(FormatError, match=f"{name} does not exist: expected a file with a VGG"):
        load_vgg(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(FormatError, match=f"{name} is empty: expected a file with a VGG"):
        load_vgg(tmp_path / name)


def test_an_error_without_words_is_named_by_its_kind(tmp_path, monkeypatch):
    def load(*_, **__):
        raise EOFError

    (tmp_path / "a.pth").write_bytes(b"damaged")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(FormatError, match=r"\(weights_only\): EOFError$"):
        load_vgg(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "hostile",
    [
        # Terabytes, of which a few bytes lie in the file.
        torch.zeros(1).expand(1 << 20, 1 << 20, 3, 3),
        torch.zeros(2, 3, 3, 3, device="meta"),
        torch.zeros(2, 3, 3, 3).to_sparse(),
    ],
    ids=["view", "meta", "sparse"],
)
def test_weights_that_are_not_in_the_file_are_none(tmp_path, hostile):
    state = altered(lambda s: s.update({"features.0.weight": hostile}))
    torch.save(state, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 100_000
    with pytest.raises(FormatError, match=r"no features\.0\.weight"):
        load_vgg(tmp_path / "a.pth")


def test_arrays_of_hdf5_that_say_they_are_huge_are_refused(tmp_path):
    path = keras_file(tmp_path / "a.h5", features(), 2)
    with h5py.File(path, "a") as file:
        del file["block1_conv1"]["block1_conv1_W_1:0"]
        # Of its chunks none is written.
        file["block1_conv1"].create_dataset("W", (3, 3, 1 << 15, 1 << 15), "f4", chunks=(3, 3, 8, 8))
    assert path.stat().st_size < 100_000
    with pytest.raises(FormatError, match="block1_conv1 has an array of more than 256 MB"):
        load_vgg(path)


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a file was unpickled",)


def test_no_code_of_a_file_runs(tmp_path):
    torch.save({"features.0.weight": Trap()}, tmp_path / "a.pth")
    with pytest.raises(FormatError, match="weights_only"):
        load_vgg(tmp_path / "a.pth")


def test_hdf5_without_a_vgg_or_with_gaps(tmp_path):
    path = keras_file(tmp_path / "a.h5", features(), 2)
    with h5py.File(path, "a") as file:
        del file["block2_conv1"]
    with pytest.raises(FormatError, match=r"block 2 has layers \[2, 3\]"):
        load_vgg(path)
    with h5py.File(path, "a") as file:
        del file["block1_conv1"], file["block1_conv2"]
    with pytest.raises(FormatError, match="expected a VGG"):
        load_vgg(path)


def test_a_network_of_an_imported_encoder_trains_and_saves_as_any(tmp_path):
    """Its decoder has as many layers a block, and gradients reach all of them."""
    network = load_vgg(saved(features(), tmp_path / "vgg.pth"))
    images = torch.rand(2, 3, 16, 16)
    codes = [level.codes for level in network.encode(images).levels]
    network.mirrored.squared_error(codes, network.normalise(images)).backward()
    assert len(network.mirrored.convs) == 6
    assert all(float(conv.weight.grad.abs().max()) > 0 for conv in network.mirrored.convs)
    network.save(tmp_path / "own.safetensors")
    again = TunnelNetwork.load(tmp_path / "own.safetensors")
    assert again.identity() == network.identity()
    assert torch.equal(again(images), network(images))
