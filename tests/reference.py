"""Reference arrays in the original software's layout, as networks and steps of ours."""

from dataclasses import replace

import numpy as np
import torch

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.provenance import PhaseRecord
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.training.config import TrainingConfig
from maxtunnel.training.loop import Session
from maxtunnel.training.phases import Reconstruction
from maxtunnel.training.recipes import PAPER


def record(**changes):
    """How a phase of training came about, of a network that never was."""
    fields = {
        "recipe": {"name": "fast", "steps": 3000, "batch": 16},
        "seed": 1, "encoder": "random", "data": "cats/train", "images": 1234, "size": 8,
        "resize": "bilinear", "seconds": 1.5, "torch": "2.13.0",
    }  # fmt: skip
    return PhaseRecord(**fields | changes)


def fill(network, blob):
    """Set all weights; `blob(layer, kind)` gives them in Caffe's layout, kind `weight` or `bias`."""
    names = [f"conv{b}_{i}" for b in range(1, len(network.architecture.widths) + 1) for i in (1, 2)]
    with torch.no_grad():
        for name, conv in zip(names, network.encoder.convs, strict=True):
            conv.weight.copy_(blob(name, "weight"))
            conv.bias.copy_(blob(name, "bias").flatten())
        for name, conv in zip(decoder_layers(network), network.decoder.convs, strict=True):
            conv.weight.copy_(to_convolution(blob(name, "weight")))
            conv.bias.copy_(blob(name, "bias").flatten())
        network.decoder.bias_code.copy_(blob("bias_code", "").flatten())
    return network


def decoder_layers(network):
    return [f"deconv{b}_{i}" for b in range(len(network.architecture.widths), 0, -1) for i in (1, 2)]


def to_convolution(weight):
    """A stride-1 deconvolution's weight (in, out, 3, 3) as the equal convolution's."""
    return weight.transpose(0, 1).flip(2, 3)


def network_of(widths, mean, scale=255.0, dtype=torch.float64):
    return TunnelNetwork(Architecture(widths), torch.as_tensor(mean, dtype=torch.float32), scale).to(dtype)


def reference_losses(network, batches, count, run):
    """Losses of `count` steps of the paper's recipe; `batches(step)` gives normalised images."""
    recipe = replace(PAPER, batch=len(batches(0)), steps=count)
    task = Reconstruction(network.decoder, network.scale)
    session = Session(network, task, run, TrainingConfig(recipe=recipe))
    losses = []
    for step in range(count):
        x = batches(step)
        _, codes = network.encoder(x)
        # The step's own record is float32.
        losses.append(session.task(list(codes), x)[0].item())
        session.step(step, (list(codes), x))
    return np.array(losses)
