"""Files to networks that answer for every pixel."""

import pytest
import torch

from caffe_writer import encode_layer, write
from maxtunnel.models.cedn import cedn
from maxtunnel.models.deconvnet import deconvnet
from maxtunnel.models.segnet import segnet, segnet_basic
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.dense_files import load_dense
from tools.command_line import call, refuse


def caffemodel(folder, network):
    """A file whose convolutions are the network's, BGR as Caffe takes it."""
    layers = []
    for number, layer in enumerate(network.layers):
        weight = layer.weight.detach()
        weight = weight.flip(1) if number == 0 else weight
        blobs = [weight.numpy(), layer.bias.detach().numpy()]
        layers.append(encode_layer(f"layer{number}", blobs, "new", kind="Convolution"))
    return write(folder, b"".join(layers))


@pytest.mark.parametrize(
    "network",
    [segnet(5, 2), segnet_basic(11, 3), deconvnet(4, 2, side=3), cedn(4, side=3)],
    ids=["segnet", "segnet-basic", "deconvnet", "cedn"],
)
def test_the_shapes_of_a_caffe_file_say_which_network_it_is(tmp_path, network):
    found = load_dense(caffemodel(tmp_path, network))
    assert found.shape == network.shape
    for own, other in zip(network.layers, found.layers, strict=True):
        assert torch.equal(own.weight, other.weight)


def test_a_file_of_ours_is_read_as_it_was_saved(tmp_path):
    network = segnet_basic(3, 2, "bilinear")
    network.save(tmp_path / "network.safetensors")
    found = load_dense(tmp_path / "network.safetensors")
    assert (found.shape, found.unpooling) == (network.shape, "bilinear")


def test_other_files_are_refused(tmp_path):
    strange = encode_layer(
        "a", [torch.ones(2, 3, 3, 3).numpy(), torch.ones(2).numpy()], "new", kind="Convolution"
    )
    with pytest.raises(FormatError, match="has other layers than SegNet, SegNet-Basic"):
        load_dense(write(tmp_path, strange))
    with pytest.raises(FormatError, match="is a folder"):
        load_dense(tmp_path)
    with pytest.raises(FormatError, match=r"nothing.pth does not exist"):
        load_dense(tmp_path / "nothing.pth")
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(FormatError, match="is no network that answers for every pixel"):
        load_dense(tmp_path / "text.safetensors")


def test_a_caffe_file_becomes_a_file_of_ours(tmp_path):
    network = segnet_basic(11, 3)
    source, target = caffemodel(tmp_path, network), tmp_path / "segnet.safetensors"
    text = call("import", source, target)
    assert f"maxtunnel segment IMAGE --model {target}" in text
    images = torch.rand(1, 3, 16, 16)
    assert torch.equal(load_dense(target).answer(images), load_dense(source).answer(images))
    assert "--inputs is for other networks" in refuse("import", str(source), str(target), "--inputs", "caffe")
