"""A writer of `.caffemodel` files of the tests' own, in every style that a reader must take."""

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from maxtunnel.zoo.caffe import _network, _parse

Layers = dict[str, list[np.ndarray]]

# How the writer below may write: net field, name field, blob field, then how shape and numbers are.
STYLES = {
    "V1": (2, 4, 6, "sides", "packed"),
    "V1, shape message": (2, 4, 6, "dims", "packed"),
    "new": (100, 1, 7, "packed dims", "packed"),
    "new, one by one": (100, 1, 7, "dims", "unpacked"),
    "new, doubles": (100, 1, 7, "packed dims", "doubles"),
    "new, doubles one by one": (100, 1, 7, "packed dims", "unpacked doubles"),
}


def varint(number: int) -> bytes:
    number %= 2**64
    septets = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([septet | 128 for septet in septets[:-1]] + septets[-1:])


def integer(field: int, number: int) -> bytes:
    return varint(field * 8) + varint(number)


def message(field: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return varint(field * 8 + 2) + varint(len(content)) + content


def encode_blob(array: np.ndarray, shape: str, numbers: str) -> bytes:
    if shape == "sides":
        sides = (1,) * (4 - array.ndim) + array.shape
        head = b"".join(integer(i, side) for i, side in enumerate(sides, 1))
    elif shape == "dims":
        head = message(7, *(integer(1, side) for side in array.shape))
    else:
        head = message(7, message(1, *map(varint, array.shape)))
    if numbers == "packed":
        return head + message(5, array.astype("<f4").tobytes())
    if numbers == "doubles":
        return head + message(8, array.astype("<f8").tobytes())
    tag, code = (b"\x2d", "<f") if numbers == "unpacked" else (b"\x41", "<d")
    return head + b"".join(tag + struct.pack(code, x) for x in array.ravel())


def untouched(content: bytes) -> bytes:
    return content


def encode_layer(
    name: str,
    blobs: list[np.ndarray],
    style: str = "V1",
    noise: bytes = b"",
    touch: Callable[[bytes], bytes] = untouched,
    kind: str | int = "",
) -> bytes:
    """A layer; its type is a number in style V1, a name in the others, and left out where it is empty."""
    net, name_field, blob_field, shape, numbers = STYLES[style]
    encoded = [touch(noise + encode_blob(blob, shape, numbers) + noise) for blob in blobs]
    named = message(name_field, name.encode())
    if kind != "":
        named += integer(5, kind) if isinstance(kind, int) else message(2, kind.encode())
    content = noise.join((b"", named, *(message(blob_field, blob) for blob in encoded), b""))
    return message(net, touch(content))


def encode(
    layers: Layers, style: str = "V1", noise: bytes = b"", touch: Callable[[bytes], bytes] = untouched
) -> bytes:
    """A file; `touch` may change the content of every blob, of every layer and of the whole."""
    encoded = [encode_layer(name, blobs, style, noise, touch) for name, blobs in layers.items()]
    return touch(noise + b"".join(encoded))


def snapshot(*widths: int, seed: int = 0) -> Layers:
    """The blobs of a random network, in Caffe's names, shapes and order."""
    rng = np.random.default_rng(seed)

    def blobs(biases: int, *shape: int) -> list[np.ndarray]:
        return [rng.standard_normal(side).astype(np.float32) for side in (shape, (biases,))]

    layers = {}
    for block, (a, b) in enumerate(pairwise((3, *widths)), 1):
        layers[f"conv{block}_1"] = blobs(b, b, a, 3, 3)
        layers[f"conv{block}_2"] = blobs(b, b, b, 3, 3)
    n = widths[-1]
    layers[f"bias{len(widths) + 1}"] = [np.zeros((n, n, 1, 1), np.float32), blobs(n)[1]]
    for block, (a, b) in reversed(list(enumerate(pairwise((3, *widths)), 1))):
        layers[f"deconv{block}_1"] = blobs(b, b, b, 3, 3)
        layers[f"deconv{block}_2"] = blobs(a, b, a, 3, 3)
    return layers


def write(folder: Path, data: bytes) -> Path:
    path = folder / "net.caffemodel"
    path.write_bytes(data)
    return path


def network(data: bytes):
    return _network(_parse(data), None)


def layer(*contents: bytes) -> bytes:
    return message(2, message(4, b"x"), *contents)


def blob(*sides: int, data: bytes = bytes(4)) -> bytes:
    return message(6, *(integer(i, side) for i, side in enumerate(sides, 1)), message(5, data))


def shaped(*dims: int) -> bytes:
    return message(6, message(7, *(integer(1, dim) for dim in dims)), message(5, bytes(4)))


GOOD = encode(snapshot(2, 2))
SCALAR = message(6, message(7), message(5, bytes(4)))
