"""The networks of `study contours`: CEDN's layers, narrower, or CEDN's decoder on an encoder that was given.

Both differ from CEDN where a short training asks for it: batches are normalised behind every layer, and
nothing is left out in training; and they may end behind an earlier pooling than the fifth. A given encoder is
VGG16's, as it is; the decoder begins at its last pooling, without CEDN's 7x7 layer, whose weights VGG's
convolutions do not have.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from maxtunnel.models.dense import DenseNetwork
from maxtunnel.models.dense_shape import VGG_MEAN, DenseLayer, DenseShape, Stages, vgg_stages
from maxtunnel.support.choices import DenseUnpooling, VggInputs
from maxtunnel.zoo.dense import take_vgg
from maxtunnel.zoo.vgg import load_vgg

POOLINGS = 5  # of VGG16, and so of CEDN
_DEVIATION = 58.0  # of photographs, in grey levels


def narrow(
    width: int,
    unpooling: DenseUnpooling = "switches",
    seed: int = 0,
    side: int = 3,
    poolings: int = POOLINGS,
) -> DenseNetwork:
    """CEDN's layers with few filters, drawn anew.

    Args:
        width: filters of the first stage; those of all others go with it, at most 512 in the deepest.
        unpooling: where the decoder puts values.
        seed: draws the weights.
        side: cells of the side of the deepest stage's filters, odd; CEDN has 7.
        poolings: how many there are; with fewer than CEDN's five the decoder begins behind the last of these.
    """
    stages = vgg_stages(width, norm=True)[:poolings]
    if poolings < POOLINGS:
        shape = DenseShape(stages, _decoder(stages), poolings)
        return DenseNetwork(shape, unpooling, seed).with_inputs(VGG_MEAN, _DEVIATION)
    deepest = stages[-1][-1].filters
    encoder = (*stages, (DenseLayer(min(512, 8 * deepest), side),))
    decoder = ((DenseLayer(deepest, 1),), *_decoder(stages))
    shape = DenseShape(encoder, decoder, len(stages))
    return DenseNetwork(shape, unpooling, seed).with_inputs(VGG_MEAN, _DEVIATION)


def on_vgg(
    file: str | Path,
    unpooling: DenseUnpooling = "switches",
    seed: int = 0,
    inputs: VggInputs | None = None,
    blank: bool = False,
    poolings: int = POOLINGS,
) -> DenseNetwork:
    """CEDN's decoder, drawn anew, on the convolutions of a VGG16.

    Args:
        file: of the VGG, as `zoo.vgg` reads it.
        unpooling: where the decoder puts values.
        seed: draws what is drawn.
        inputs: what the VGG was trained on; by default as usual for such files.
        blank: draw the convolutions anew as well: as many, without what they have learnt.
        poolings: how many there are, as for `narrow`.

    Raises:
        FormatError: the file is damaged, or no VGG16.
    """
    stages = vgg_stages(load_vgg(file, inputs).architecture.widths[0], norm=False)[:poolings]
    network = DenseNetwork(DenseShape(stages, _decoder(stages), len(stages)), unpooling, seed)
    return network.with_inputs(VGG_MEAN, _DEVIATION) if blank else take_vgg(network, file, inputs)


def _decoder(stages: Stages) -> Stages:
    """CEDN's stages behind an unpooling: one 5x5 layer each, and one more that gives the answers."""
    widths = [stage[-1].filters for stage in stages]
    found: list[tuple[DenseLayer, ...]] = [
        (DenseLayer(filters, 5),) for filters in (*widths[-2::-1], (widths[0] + 1) // 2)
    ]
    found[-1] += (DenseLayer(1, 5, norm=False, relu=False),)
    return tuple(found)


def identity(tensors: Mapping[str, Tensor]) -> str:
    """A short hash of weights and the like, by which runs of another encoder are told apart."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
