"""Published snapshots to networks, one way: the authors' `.caffemodel` files, without Caffe.

A `.caffemodel` is one protobuf message. A message is a row of fields: a tag (field number x 8 +
wire type, as a varint), then a varint, 4 bytes, 8 bytes, or a length and that many bytes. What is
read of them:

| message | as the published files have it | as newer files have it |
|---|---|---|
| net | 2: layer | 100: layer |
| layer | 4: name, 5: type, 6: blob | 1: name, 2: type, 7: blob |
| blob | 1-4: num, channels, height, width; 5: data | 7: shape; 5: data, or 8: data in doubles |
| shape | | 1: dim |

A type is a number in the published files, and a name in newer ones.

Source: `caffe.proto` of Caffe and of the forks that DeconvNet and SegNet were trained with, and the files
themselves.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError, check_file

Blobs = tuple[NDArray[np.float32], ...]

# The wire types; 3 and 4 (groups) are long out of use.
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# Field number -> the wire types it may have. Repeated numbers come packed (LENGTH) or one by one;
# a parser must accept both.
Fields = Mapping[int, tuple[int, ...]]
NET: Fields = {2: (LENGTH,), 100: (LENGTH,)}
# Fields of a layer: name, type, blob.
LAYER: Mapping[int, tuple[int, int, int]] = {2: (4, 5, 6), 100: (1, 2, 7)}
# Of the types that are numbers, those of layers with blobs; 43 is that of DeconvNet's fork.
TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution", 43: "BN"}
SIDES, DATA, SHAPE, DOUBLE_DATA = (1, 2, 3, 4), 5, 7, 8
BLOB: Fields = {
    **dict.fromkeys(SIDES, (VARINT,)),
    DATA: (LENGTH, FIXED32),
    SHAPE: (LENGTH,),
    DOUBLE_DATA: (LENGTH, FIXED64),
}
DIM: Fields = {1: (LENGTH, VARINT)}

# Protobuf's own limits, and Caffe's for the axes of a blob.
MAX_BYTES = 2**31 - 1
MAX_FIELD = 2**29 - 1
MAX_AXES = 32
# An array costs about 300 bytes beside its numbers, so a file of tiny blobs would grow thirtyfold
# in memory. ResNet-152 has about 1200.
MAX_BLOBS = 4096

# ImageNet's, 0..255, in a network's order RGB.
CHANNEL_MEANS = (123.0, 117.0, 104.0)


def read_caffemodel(path: str | Path) -> dict[str, Blobs]:
    """The blobs of every layer that has any, by layer name: float32, finite, of the stated shapes.

    Raises:
        FormatError: the file is missing, damaged, hostile or no `.caffemodel`.
    """
    check_file(path, "a .caffemodel")
    with naming(str(path)):
        return _parse(_read(Path(path)))


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """A layer of a file.

    Attributes:
        kind: its type as Caffe names it; the number where none is known for it; "" where the file says none.
        blobs: its numbers.
    """

    kind: str
    blobs: Blobs


def read_layers(path: str | Path) -> dict[str, CaffeLayer]:
    """The layers of a file that have blobs, by name and in their order; FormatError as `read_caffemodel`."""
    check_file(path, "a .caffemodel")
    with naming(str(path)):
        return _layers(_read(Path(path)))


def load_caffemodel(path: str | Path, mean: Float[Tensor, "3 h w"] | None = None) -> TunnelNetwork:
    """The network of a snapshot, turned from Caffe's BGR to RGB.

    Args:
        path: a file with layers conv{b}_{1,2} and deconv{b}_{1,2} for blocks b = 1..B, and
            bias{B+1}. Other layers (data, loss, classifier) are ignored.
        mean: the training images' mean, RGB in [0, 1], which snapshots do not hold. None takes
            ImageNet's channel means, which cost 5-9 % in RMSE.

    Raises:
        FormatError: as `read_caffemodel`; a layer is missing; its shapes do not fit the widths;
            or bias{B+1} has weights, and so would let features pass.
    """
    layers = read_caffemodel(path)
    with naming(str(path)):
        return _network(layers, mean)


def _network(layers: Mapping[str, Blobs], mean: Float[Tensor, "3 h w"] | None) -> TunnelNetwork:
    blocks = 1
    while f"conv{blocks + 1}_1" in layers:
        blocks += 1
    up, down = range(1, blocks + 1), range(blocks, 0, -1)
    architecture = Architecture(tuple(_pair(layers, f"conv{block}_1")[1].size for block in up))
    encoder = [
        _tensors(layers, name, (b, a, 3, 3), b)
        for name, (a, b) in zip(_names("conv", up), chain(*architecture.encoder_channels()), strict=True)
    ]
    # A deconvolution's weights are (in, out, 3, 3) in Caffe.
    decoder = [
        _tensors(layers, name, (a, b, 3, 3), b)
        for name, (a, b) in zip(_names("deconv", down), chain(*architecture.decoder_channels()), strict=True)
    ]
    code_layer, deepest = f"bias{blocks + 1}", architecture.widths[-1]
    passing, bias_code = _tensors(layers, code_layer, (deepest, deepest, 1, 1), deepest)
    if passing.any():
        raise FormatError(f"layer {code_layer!r} lets features pass: expected weights of zero")

    decoder = [(weight.transpose(0, 1).flip(2, 3), bias) for weight, bias in decoder]
    encoder[0] = encoder[0][0].flip(1), encoder[0][1]
    decoder[-1] = decoder[-1][0].flip(0), decoder[-1][1].flip(0)

    if mean is None:
        mean = torch.tensor(CHANNEL_MEANS)[:, None, None] / 255
    network = TunnelNetwork(architecture, mean)
    convs = [*network.encoder.convs, *network.mirrored.convs]
    for conv, (weight, bias) in zip(convs, encoder + decoder, strict=True):
        conv.load_state_dict({"weight": weight, "bias": bias})
    network.mirrored.bias_code.data.copy_(bias_code)
    return network


def _names(kind: str, blocks: range) -> list[str]:
    return [f"{kind}{block}_{index}" for block in blocks for index in (1, 2)]


def _tensors(
    layers: Mapping[str, Blobs],
    name: str,
    shape: tuple[int, ...],
    biases: int,
) -> tuple[Tensor, Tensor]:
    """Weights of `shape` and biases (biases,) of a layer; the published biases are (1, 1, 1, n)."""
    weight, bias = _pair(layers, name)
    if weight.shape != shape or bias.shape not in ((biases,), (1, 1, 1, biases)):
        raise FormatError(
            f"layer {name!r} has weights {weight.shape} and biases {bias.shape}: "
            f"expected {shape} and ({biases},) to fit the biases of conv1_1, conv2_1, ..."
        )
    return torch.from_numpy(weight), torch.from_numpy(bias).flatten()


def _pair(layers: Mapping[str, Blobs], name: str) -> Blobs:
    if name not in layers:
        raise FormatError(
            f"no layer {name!r} with weights: expected conv and deconv layers 1_1, 1_2, 2_1, ... "
            "for every block and a bias layer numbered one higher than the last block"
        )
    if len(layers[name]) != 2:
        raise FormatError(f"layer {name!r} has {len(layers[name])} blobs: expected weights and biases")
    return layers[name]


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise FormatError("is no ordinary file: expected a .caffemodel")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(f"the file has {size} bytes: expected at most {MAX_BYTES}")
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}") from None


def _parse(data: bytes) -> dict[str, Blobs]:
    return {name: layer.blobs for name, layer in _layers(data).items()}


def _layers(data: bytes) -> dict[str, CaffeLayer]:
    layers: dict[str, CaffeLayer] = {}
    room = MAX_BLOBS
    for number, message in _fields(memoryview(data), NET):
        name, layer = _layer(message, *LAYER[number], room)
        room -= len(layer.blobs)
        if layer.blobs and name in layers:
            raise FormatError(f"layer {name[:60]!r} comes twice: expected each name once")
        if layer.blobs:
            layers[name] = layer
    return layers


def _layer(
    message: memoryview, name_field: int, kind_field: int, blob_field: int, room: int
) -> tuple[str, CaffeLayer]:
    raw_name, raw_kind = memoryview(b""), memoryview(b"")
    blobs: list[memoryview] = []
    numbered = kind_field == LAYER[2][1]
    known = {name_field: (LENGTH,), kind_field: (VARINT if numbered else LENGTH,), blob_field: (LENGTH,)}
    for number, content in _fields(message, known):
        if number == name_field:
            raw_name = content
        elif number == kind_field:
            raw_kind = content
        elif len(blobs) < room:
            blobs.append(content)
        else:
            raise FormatError(f"more than {MAX_BLOBS} blobs: expected at most that in a file")
    try:
        name = str(raw_name, "utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"a layer name is {bytes(raw_name[:60])!r}: expected UTF-8") from None
    with naming(f"layer {name[:60]!r}"):
        return name, CaffeLayer(_kind(raw_kind, numbered), tuple(map(_blob, blobs)))


def _kind(raw: memoryview, numbered: bool) -> str:
    """The type of a layer by its name; what no layer here is called where the bytes say nothing known."""
    if not numbered:
        return str(raw[:60], "utf-8", "replace")
    number = next(_integers(raw), None)
    return "" if number is None else TYPES.get(number, str(number))


def _blob(message: memoryview) -> NDArray[np.float32]:
    sides: dict[int, int] = {}
    dims: list[int] = []
    data = {DATA: bytearray(), DOUBLE_DATA: bytearray()}
    for number, content in _fields(message, BLOB):
        if number in data:
            data[number] += content
        elif number == SHAPE:
            for _, packed in _fields(content, DIM):
                _extend(dims, packed)
        else:
            (sides[number],) = _integers(content)
    # Where a blob has both shapes, or numbers of both precisions, the choice is Caffe's.
    shape = tuple(sides.get(number, 0) for number in SIDES) if sides else tuple(dims)
    field, dtype = (DOUBLE_DATA, "<f8") if data[DOUBLE_DATA] else (DATA, "<f4")
    size = np.dtype(dtype).itemsize
    # Python's integers: the product of hostile sides overflows no other way.
    if min(shape, default=1) < 1 or len(data[field]) != math.prod(shape) * size:
        raise FormatError(
            f"a blob of shape {shape} has {len(data[field])} bytes of numbers: "
            f"expected sides above 0 and {size} bytes a cell"
        )
    # What a cast would warn of, NaN and doubles beyond float32, is refused right after it.
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.frombuffer(data[field], dtype).astype(np.float32, copy=False).reshape(shape)
    if not np.isfinite(array).all():
        raise FormatError(f"a blob of shape {shape} holds NaN or infinity: expected finite numbers")
    return array


def _extend(dims: list[int], packed: memoryview) -> None:
    for dim in _integers(packed):
        if len(dims) == MAX_AXES:
            raise FormatError(f"a blob has more than {MAX_AXES} axes: expected at most that")
        dims.append(dim)


def _integers(packed: memoryview) -> Iterator[int]:
    """The signed integers of varints that lie one behind another."""
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value - (value >> 63 << 64)


def _fields(message: memoryview, known: Fields) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each known field in order; others are skipped by their wire type."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if not 1 <= number <= MAX_FIELD:
            raise FormatError(f"a field has number {number}: expected 1..{MAX_FIELD}")
        if wire == VARINT:
            size = _varint(message, at)[1] - at
        elif wire == LENGTH:
            size, at = _varint(message, at)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise FormatError(f"field {number} has wire type {wire}: expected 0, 1, 2 or 5")
        left = len(message) - at
        if size > left:
            raise FormatError(f"field {number} claims {size} bytes: expected at most {left}")
        if number in known:
            if wire not in known[number]:
                expected = " or ".join(map(str, known[number]))
                raise FormatError(f"field {number} has wire type {wire}: expected {expected}")
            yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at `at`, 0..2^64-1, and where it ends."""
    value = 0
    for index, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << 7 * index
        if byte < 128 and value < 2**64:
            return value, at + index + 1
    if len(message) - at < 10:
        raise FormatError("the bytes end inside a number: expected more of them")
    raise FormatError("a number has more than 64 bits: expected a varint of at most 10 bytes")


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Put `what` before the message of a FormatError."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{what}: {error}") from None
