"""Models by the names that a person gives them, with layers that have names."""

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from maxtunnel.auditing.loading import ShippedEncoder, load_target
from maxtunnel.auditing.targets import Target
from maxtunnel.models.encoder import Encoder
from maxtunnel.models.layers import Conv3x3


def load_layers(text: str, preprocess: str | None = None) -> Target:
    """As `load_target`; of a network of ours the encoder, its layers conv1_1, relu1_1, conv1_2, ..."""
    target = load_target(text, preprocess)
    if not isinstance(target.model, ShippedEncoder):
        return target
    network = target.model.network
    return replace(target, model=layer_by_layer(network.encoder), preprocess=network.normalise)


def layer_by_layer(encoder: Encoder) -> nn.Sequential:
    """The encoder in PyTorch's own layers, with the same weights: its own do two steps in one."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    convs = iter(encoder.convs)
    for block, count in enumerate(encoder.counts, 1):
        for index in range(1, count + 1):
            conv = next(convs)
            assert isinstance(conv, Conv3x3)
            layers[f"conv{block}_{index}"] = _plain(conv)
            if conv.slope is not None:
                layers[f"relu{block}_{index}"] = nn.LeakyReLU(conv.slope) if conv.slope else nn.ReLU()
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


def _plain(conv: Conv3x3) -> nn.Conv2d:
    plain = nn.Conv2d(conv.weight.shape[1], conv.weight.shape[0], 3, padding=1, device="meta")
    plain.weight, plain.bias = conv.weight, conv.bias
    return plain
