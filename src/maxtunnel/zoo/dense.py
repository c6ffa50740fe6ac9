"""Weights of other programs for networks that answer for every pixel (`models.dense`), one way.

- **Their own**: SegNet's, DeconvNet's and CEDN's authors publish `.caffemodel` files. `take_caffemodel` goes
  through the layers of a file in their order:

  | type | blobs | what it is |
  |---|---|---|
  | Convolution | weights (out, in, k, k), biases | a layer |
  | Deconvolution | weights (in, out, k, k), biases | a layer whose kernel is turned |
  | BN | scale, shift | what normalises the layer before it at test time: scale x + shift |
  | BatchNorm | mean, variance, a number n | the same: (x - mean / n) / sqrt(variance / n + 1e-5) |
  | Scale | scale, shift | what follows that |

  BN is SegNet's and DeconvNet's, whose files hold scale and shift for test time once their authors' scripts
  have put them there; BatchNorm is Caffe's own.

  Fully connected layers, of which these networks have none, are left out. A file whose normalisation was
  absorbed in its convolutions loads too.
- **VGG16's**: `take_vgg` gives them to the convolutions of an encoder, from any file that `zoo.vgg` reads.
  `take_connected` gives those of its layers fc6 and fc7 to what stands behind the last pooling.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.support.choices import VggInputs
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.caffe import CaffeLayer, naming, read_layers
from maxtunnel.zoo.vgg import load_vgg

EPSILON = 1e-5  # added to variances: Caffe's default, and PyTorch's


@dataclass(eq=False)
class CaffeConvolution:
    """A convolution, and what normalises it at test time: scale (x - mean) / sqrt(variance + 1e-5) + shift.

    Attributes:
        name: of its layer.
        weight: (out, in, k, k), as PyTorch's convolution takes it.
        bias: (out,), as all that follows.
        mean, variance, scale, shift: those that change nothing where nothing normalises it.
    """

    name: str
    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor
    scale: Tensor
    shift: Tensor


def read_convolutions(path: str | Path) -> list[CaffeConvolution]:
    """The convolutions of a `.caffemodel`, in the order in which they are computed.

    Raises:
        FormatError: the file is damaged, a layer is of another type, its blobs do not fit, or a normalisation
            follows no convolution.
    """
    found: list[CaffeConvolution] = []
    for name, layer in read_layers(path).items():
        with naming(f"{path}: layer {name[:60]!r}"):
            if layer.kind in ("Convolution", "Deconvolution"):
                found.append(_convolution(name, layer))
            elif layer.kind in ("BN", "BatchNorm", "Scale"):
                if not found:
                    raise FormatError(f"is a {layer.kind} before any convolution: expected one behind it")
                _normalise(found[-1], layer)
            elif layer.kind != "InnerProduct":
                raise FormatError(
                    f"has the type {layer.kind!r}: expected Convolution, Deconvolution, BN, BatchNorm or "
                    "Scale"
                )
    return found


def take_caffemodel(network: DenseNetwork, path: str | Path) -> DenseNetwork:
    """The network, with the weights of a `.caffemodel`; it takes RGB, and the file's network BGR.

    Args:
        network: has the layers of the file; what its images are normalised by stays, but is made grey levels.
        path: of the file.

    Raises:
        FormatError: as `read_convolutions`, or the file has other layers; the network is left as it was.
    """
    found, layers = read_convolutions(path), network.layers
    if len(found) != len(layers):
        raise FormatError(
            f"{path} has {len(found)} convolutions: expected {len(layers)}, as this network has"
        )
    for given, layer in zip(found, layers, strict=True):
        if given.weight.shape != layer.weight.shape:
            raise FormatError(
                f"{path}: layer {given.name[:60]!r} has weights {tuple(given.weight.shape)}: expected "
                f"{tuple(layer.weight.shape)}, as this network has"
            )
        if layer.norm is None and not _changes_nothing(given):
            raise FormatError(f"{path}: layer {given.name[:60]!r} is normalised, but not in this network")
    found[0].weight = found[0].weight.flip(1)
    for given, layer in zip(found, layers, strict=True):
        _fill(layer.weight, given.weight)
        _fill(layer.bias, given.bias)
        if layer.norm is not None:
            _set_norm(layer.norm, given.mean, given.variance, given.scale, given.shift)
    network.deviation.fill_(1 / 255)
    return network


def take_vgg(network: DenseNetwork, path: str | Path, inputs: VggInputs | None = None) -> DenseNetwork:
    """The network, with VGG's weights in its encoder's pooled stages, behind which nothing is normalised yet.

    Args:
        network: its pooled stages are those of the VGG, or the first of them.
        path: of a file that `load_vgg` reads.
        inputs: what the VGG was trained on, as there.

    Raises:
        FormatError: as `load_vgg`, or the file's convolutions are of another shape than the network's.
    """
    vgg = load_vgg(path, inputs)
    blocks = tuple(map(len, network.shape.encoder[: network.shape.pooled]))
    if vgg.architecture.layers[: len(blocks)] != blocks:
        raise FormatError(
            f"{path} has blocks of {vgg.architecture.layers} convolutions: expected {blocks}, as this "
            "network has"
        )
    given = [(conv.state_dict()["weight"], conv.state_dict()["bias"]) for conv in vgg.encoder.convs]
    layers = network.layers[: sum(blocks)]
    given = given[: len(layers)]
    for number, ((weight, _), layer) in enumerate(zip(given, layers, strict=True), 1):
        if weight.shape != layer.weight.shape:
            raise FormatError(
                f"{path}: convolution {number} has weights {tuple(weight.shape)}: expected "
                f"{tuple(layer.weight.shape)}, as this network has"
            )
    for (weight, bias), layer in zip(given, layers, strict=True):
        _fill(layer.weight, weight)
        _fill(layer.bias, bias)
        if layer.norm is not None:
            _set_norm(layer.norm, *_identity(len(bias)))
    network.mean.copy_(vgg.mean.mean((1, 2)))
    network.deviation.fill_(1 / vgg.scale)
    return network


def take_connected(network: DenseNetwork, path: str | Path) -> DenseNetwork:
    """The network, with the weights of VGG's fc6, fc7 in its encoder's layers that no pooling follows.

    Args:
        network: has such layers: DeconvNet two of them, CEDN one.
        path: of a `.caffemodel`.

    Raises:
        FormatError: as `read_layers`, or fc6 or fc7 is missing, or of another shape.
        ValueError: the network has no such layers.
    """
    first = sum(map(len, network.shape.encoder[: network.shape.pooled]))
    layers = network.layers[first : sum(map(len, network.shape.encoder))]
    if not layers:
        raise ValueError("`network` has no layers behind its last pooling: expected DeconvNet's, or CEDN's")
    found, given = read_layers(path), []
    for name, layer in zip(("fc6", "fc7"), layers, strict=False):
        blobs = found[name].blobs if name in found else ()
        sizes = [blob.size for blob in blobs]
        if sizes != [layer.weight.numel(), layer.bias.numel()]:
            raise FormatError(
                f"{path}: layer {name!r} has blobs of {sizes} numbers: expected {layer.weight.numel()} and "
                f"{layer.bias.numel()}, as this network has"
            )
        given.append([torch.from_numpy(np.array(blob)) for blob in blobs])
    for (weight, bias), layer in zip(given, layers, strict=False):
        # A fully connected layer takes channels, rows and columns in this order, as a convolution does.
        _fill(layer.weight, weight.reshape(layer.weight.shape))
        _fill(layer.bias, bias.flatten())
        if layer.norm is not None:
            _set_norm(layer.norm, *_identity(len(layer.bias)))
    return network


def _convolution(name: str, layer: CaffeLayer) -> CaffeConvolution:
    if len(layer.blobs) != 2 or layer.blobs[0].ndim != 4:
        raise FormatError(f"has {len(layer.blobs)} blobs: expected weights of four axes, and biases")
    weight, bias = (torch.from_numpy(np.array(blob)) for blob in layer.blobs)
    if layer.kind == "Deconvolution":
        weight = weight.transpose(0, 1).flip(2, 3).contiguous()
    if bias.numel() != len(weight):
        raise FormatError(f"has {bias.numel()} biases for {len(weight)} filters: expected as many")
    return CaffeConvolution(name, weight, bias.flatten(), *_identity(len(weight)))


def _normalise(conv: CaffeConvolution, layer: CaffeLayer) -> None:
    """Put what the layer does behind a convolution's own."""
    batch, count = layer.kind == "BatchNorm", len(conv.bias)
    sizes = [blob.size for blob in layer.blobs]
    if sizes != [count, count, 1][: 3 if batch else 2]:
        expected = f"{count}, {count} and 1" if batch else f"{count} and {count}"
        raise FormatError(f"has blobs of {', '.join(map(str, sizes))} numbers: expected {expected}")
    first, second, *factor = (torch.from_numpy(np.array(blob)).flatten() for blob in layer.blobs)
    if not batch:
        conv.scale, conv.shift = conv.scale * first, conv.shift * first + second
        return
    # Caffe's own rule: nothing was summed up where the number is 0.
    share = 1 / float(factor[0]) if float(factor[0]) else 0.0
    conv.mean, conv.variance = first * share, second * share
    if bool((conv.variance < 0).any()):
        raise FormatError("has a variance below 0: expected 0 or more")


def _identity(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, variance, scale and shift that change nothing."""
    ones = torch.ones(count)
    return torch.zeros(count), ones - EPSILON, ones, torch.zeros(count)


def _changes_nothing(conv: CaffeConvolution) -> bool:
    own = (conv.mean, conv.variance, conv.scale, conv.shift)
    return all(map(torch.equal, own, _identity(len(conv.bias))))


@torch.no_grad()
def _fill(parameter: Tensor, values: Tensor) -> None:
    parameter.copy_(values)


def _set_norm(norm: nn.Module, mean: Tensor, variance: Tensor, scale: Tensor, shift: Tensor) -> None:
    state = {"weight": scale, "bias": shift, "running_mean": mean, "running_var": variance}
    norm.load_state_dict(state, strict=False)
