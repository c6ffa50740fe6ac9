"""Snapshots that are damaged, hostile or no networks, and 8,000 damaged ones."""

import os
import random
import re
import struct
import time
import tracemalloc
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import config

from caffe_writer import (
    GOOD,
    SCALAR,
    Layers,
    blob,
    encode,
    encode_layer,
    integer,
    layer,
    message,
    network,
    shaped,
    snapshot,
    varint,
    write,
)
from maxtunnel.support.files import FormatError
from maxtunnel.zoo.caffe import load_caffemodel, read_caffemodel


@pytest.fixture
def unchecked_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the type checks, which cost five times what they check where calls are tiny."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)


HOSTILE_FILES = {
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "claims|has wire type|has number"),
    "text": (b"layer { name: 'conv1_1' }\n", "claims|has wire type|has number"),
    "truncated": (GOOD[:-1], "claims"),
    "cut inside a tag": (b"\xa2", "end inside a number"),
    "cut inside a length": (b"\x12\x80\x80", "end inside a number"),
    "cut inside a skipped number": (b"\x08\xff", "end inside a number"),
    "cut inside 4 bytes": (b"\x0d123", "claims 4 bytes: expected at most 3"),
    "cut inside 8 bytes": (b"\x091234567", "claims 8 bytes: expected at most 7"),
    "endless varint": (b"\x08" + b"\x80" * 1000, "more than 64 bits"),
    "varint of 11 bytes": (b"\x08" + b"\x80" * 10 + b"\x01", "more than 64 bits"),
    "zero in 11 bytes": (b"\x08" + b"\x80" * 10 + b"\x00", "more than 64 bits"),
    "varint of 65 bits": (b"\x08" + b"\xff" * 9 + b"\x02", "more than 64 bits"),
    "field 0": (b"\x02\x00", "has number 0: expected 1"),
    "field 2^29": (varint(2**32) + b"\x00", "has number 536870912"),
    "group": (b"\x0b\x0c", "has wire type 3"),
    "end of a group": (b"\x0c", "has wire type 4"),
    "group in a blob": (layer(message(6, b"\x53\x54")), "field 10 has wire type 3"),
    "wire type 6": (b"\x0e", "has wire type 6"),
    "wire type 7": (b"\x0f", "has wire type 7"),
    "layer as a number": (integer(2, 5), "field 2 has wire type 0: expected 2"),
    "new layer as 4 bytes": (varint(805) + bytes(4), "field 100 has wire type 5: expected 2"),
    "name as a number": (message(2, integer(4, 5)), "field 4 has wire type 0: expected 2"),
    "blob as a number": (message(2, integer(6, 5)), "field 6 has wire type 0: expected 2"),
    "new blob as a number": (message(100, integer(7, 5)), "field 7 has wire type 0: expected 2"),
    "side as bytes": (layer(message(6, message(1, b"\x01"))), "field 1 has wire type 2: expected 0"),
    "numbers as a number": (layer(message(6, integer(5, 1))), "wire type 0: expected 2 or 5"),
    "doubles as floats": (layer(message(6, b"\x45" + bytes(4))), "wire type 5: expected 2 or 1"),
    "shape as a number": (layer(message(6, integer(7, 1))), "field 7 has wire type 0: expected 2"),
    "dim as 8 bytes": (
        layer(message(6, message(7, b"\x09" + bytes(8)))),
        "field 1 has wire type 1: expected 2 or 0",
    ),
    "2 GB claimed by a layer": (b"\x12" + varint(2**31) + bytes(1000), "claims 2147483648 bytes"),
    "2^64-1 bytes claimed": (b"\x12" + varint(-1) + bytes(1000), "claims 18446744073709551615"),
    "2 GB claimed by a blob": (layer(b"\x32" + varint(2**31) + bytes(1000)), "claims 2147483648"),
    "2 GB claimed by numbers": (
        layer(message(6, b"\x2a" + varint(2**31) + bytes(1000))),
        "layer 'x': field 5 claims 2147483648 bytes: expected at most 1000",
    ),
    "2 GB claimed by a shape": (layer(blob(2, 2**14, 2**8, 2**6)), re.escape("(2, 16384, 256, 64)")),
    "fewer numbers": (layer(blob(1, 1, 1, 2)), "4 bytes of numbers: .* 4 bytes a cell"),
    "more numbers": (layer(blob(1, 1, 1, 2, data=bytes(12))), "12 bytes of numbers"),
    "half a number": (layer(blob(1, 1, 1, 1, data=bytes(6))), "6 bytes of numbers"),
    "no numbers": (layer(blob(1, 1, 1, 1, data=b"")), "0 bytes of numbers"),
    "half a double": (
        layer(message(6, message(7, integer(1, 1)), message(8, bytes(12)))),
        "12 bytes of numbers: .* 8 bytes a cell",
    ),
    "side 0": (layer(blob(1, 0, 1, 1, data=b"")), "expected sides above 0"),
    "sides missing": (layer(blob(1, 1, 1)), re.escape("(1, 1, 1, 0)")),
    "dim 0": (layer(shaped(0, 5)), "expected sides above 0"),
    "side -1": (layer(blob(-1, 1, 1, -1)), re.escape("(-1, 1, 1, -1)")),
    "dim -1": (layer(shaped(-1, -1)), re.escape("(-1, -1)")),
    "product that overflows to 1": (layer(shaped(2**32 + 1, 2**32, 2**32)), "4294967297"),
    "product that overflows to 0": (layer(shaped(2**62, 2**62)), "4611686018427387904"),
    "sides of 2^63-1": (layer(blob(*[2**63 - 1] * 4)), "9223372036854775807"),
    "33 axes": (layer(shaped(*[1] * 33)), "more than 32 axes"),
    "name not UTF-8": (message(2, message(4, b"\xff\xfe" * 999)), "layer name .*expected UTF-8"),
    "name a surrogate": (message(100, message(1, b"\xed\xa0\x80")), "expected UTF-8"),
    "name of many lines": (message(2, message(4, b"a\nb\x1b" * 999), blob(0, 0, 0, 0)), r"'a\\nb"),
    "layer twice": (GOOD + encode_layer("conv1_1", snapshot(2)["conv1_1"]), "'conv1_1' comes twice"),
    "layer twice, V1 and new": (GOOD + encode(snapshot(2, 2), "new"), "'conv1_1' comes twice"),
    "unnamed layers": (message(2, SCALAR) * 2, "layer '' comes twice"),
    "4097 blobs in a layer": (layer(SCALAR * 4097), "more than 4096 blobs"),
    "4097 layers": (
        b"".join(message(2, message(4, b"%d" % i), SCALAR) for i in range(4097)),
        "more than 4096 blobs",
    ),
    "NaN": (layer(blob(1, 1, 1, 1, data=b"\x00\x00\xc0\x7f")), "NaN or infinity"),
    "signalling NaN": (layer(blob(1, 1, 1, 1, data=b"\x01\x00\x80\x7f")), "NaN or infinity"),
    "infinity": (layer(blob(1, 1, 1, 1, data=b"\x00\x00\x80\xff")), "NaN or infinity"),
    **{
        f"double {name}": (
            layer(message(6, message(7, integer(1, 1)), message(8, data))),
            "NaN or infinity",
        )
        for name, data in {
            "beyond float32": struct.pack("<d", 1e300),
            "signalling NaN": b"\x01\x00\x00\x00\x00\x00\xf0\x7f",
        }.items()
    },
}


@pytest.mark.parametrize("case", HOSTILE_FILES)
def test_hostile_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    data, expected = HOSTILE_FILES[case]
    path = write(tmp_path, data)
    for read in (read_caffemodel, load_caffemodel):
        with pytest.raises(FormatError, match=expected) as caught:
            read(path)
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert "expected" in text
        assert text.isprintable()
        assert len(text) < 400 + len(str(path))


def changed(**blobs: list[np.ndarray]) -> Layers:
    """A 2-2 snapshot with other blobs in these layers; a layer without blobs is as good as absent."""
    return {**snapshot(2, 2), **blobs}


def zeros(biases: int, *shape: int) -> list[np.ndarray]:
    return [np.zeros(shape, np.float32), np.zeros(biases, np.float32)]


NO_NETWORKS = {
    # Without conv2_1 it looks like a network of one block.
    **{
        f"no {name}": (changed(**{name: []}), f"no layer '{'bias2' if name == 'conv2_1' else name}'")
        for name in snapshot(2, 2)
    },
    "nothing": ({}, "no layer 'conv1_1'"),
    "encoder and classifier": (
        {name: blobs for name, blobs in snapshot(2, 2).items() if name.startswith("conv")},
        "no layer 'deconv2_1'",
    ),
    "bias code of another depth": (changed(bias3=[], bias4=zeros(2, 2, 2, 1, 1)), "no layer 'bias3'"),
    "no biases": (changed(conv1_2=snapshot(2)["conv1_2"][:1]), "'conv1_2' has 1 blobs"),
    "four blobs": (changed(conv1_1=snapshot(2)["conv1_1"] * 2), "'conv1_1' has 4 blobs"),
    "one input channel": (changed(conv1_1=zeros(2, 2, 1, 3, 3)), "expected .2, 3, 3, 3."),
    "wider second layer": (changed(conv1_2=zeros(3, 3, 2, 3, 3)), "'conv1_2' has weights .3, 2, 3, 3."),
    "wider block": (changed(conv2_1=zeros(5, 5, 2, 3, 3)), "'conv2_2' .*expected .5, 5, 3, 3."),
    "biases that claim a width": (changed(conv1_1=zeros(9, 2, 3, 3, 3)), "expected .9, 3, 3, 3."),
    "5x5 kernel": (changed(conv2_2=zeros(2, 2, 2, 5, 5)), "'conv2_2' has weights .2, 2, 5, 5."),
    "matrix": (changed(deconv2_1=zeros(2, 36)), "'deconv2_1' has weights .36,"),
    "scalar": (changed(conv1_1=zeros(2)), "'conv1_1' has weights .. and biases .2,."),
    "column of biases": (
        changed(conv1_1=[zeros(2, 2, 3, 3, 3)[0], np.zeros((2, 1), np.float32)]),
        "biases .2, 1.",
    ),
    "grey output": (changed(deconv1_2=zeros(1, 2, 1, 3, 3)), "'deconv1_2' has weights .2, 1, 3, 3."),
    "narrow bias code": (changed(bias3=zeros(1, 2, 2, 1, 1)), "'bias3' has weights"),
    "features pass": (
        changed(bias3=[np.eye(2, dtype=np.float32)[..., None, None], np.ones(2, np.float32)]),
        "'bias3' lets features pass",
    ),
}


@pytest.mark.parametrize("case", NO_NETWORKS)
def test_snapshot_that_is_no_network_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    layers, expected = NO_NETWORKS[case]
    path = write(tmp_path, encode(layers, "new") or integer(1, 1))
    assert read_caffemodel(path).keys() == {name for name, blobs in layers.items() if blobs}
    with pytest.raises(FormatError, match=expected) as caught:
        load_caffemodel(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "expected" in text
    assert text.isprintable()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere does not exist: expected a \.caffemodel"):
        load_caffemodel(tmp_path / "nowhere")
    with pytest.raises(FormatError, match=r"is empty: expected a \.caffemodel"):
        load_caffemodel(write(tmp_path, b""))
    with pytest.raises(FormatError, match="is no ordinary file"):
        load_caffemodel(tmp_path)
    with pytest.raises(FormatError, match="does not exist"):
        load_caffemodel("\0")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="is no ordinary file"):
        read_caffemodel(tmp_path / "pipe")


def test_file_beyond_protobufs_limit_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    os.truncate(path, 2**31)
    with pytest.raises(FormatError, match="2147483648 bytes: expected at most 2147483647"):
        read_caffemodel(path)


def peak(path: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            load_caffemodel(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", [case for case in HOSTILE_FILES if case.startswith("2 GB")])
def test_claims_take_no_memory(tmp_path: Path, case: str) -> None:
    assert peak(write(tmp_path, HOSTILE_FILES[case][0])) < 200_000


LARGE_FILES = {
    "empty layers": b"\x12\x00" * 40_000,
    "named layers": b"".join(message(2, message(4, b"%d" % i)) for i in range(40_000)),
    "empty blobs": layer(message(6) * 40_000),
    "tiny blobs": b"".join(message(2, message(4, b"%d" % i), SCALAR * 40) for i in range(2_000)),
    "numbers one by one": layer(message(6, b"\x2d0123" * 40_000)),
    "doubles one by one": layer(message(6, b"\x4101234567" * 40_000)),
    "axes": layer(message(6, message(7, message(1, b"\x01" * 500_000)))),
    "shapes": layer(message(6, message(7) * 40_000)),
    "sides": layer(message(6, integer(1, 2**62) * 40_000)),
    "names": message(2, message(4, b"ab") * 40_000),
    "a long name": message(2, message(4, b"n" * 1_000_000), blob(0)),
    "unknown numbers": b"\x08\x01" * 40_000,
    "packed numbers": layer(blob(1, 1, 1, 250_000, data=bytes(1_000_000))),
}


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("case", LARGE_FILES)
def test_memory_is_a_small_multiple_of_the_file(tmp_path: Path, case: str) -> None:
    # The rest: 4096 arrays at most, whatever the file's size.
    assert peak(write(tmp_path, LARGE_FILES[case])) < 4 * len(LARGE_FILES[case]) + 2_500_000


@pytest.mark.usefixtures("unchecked_types")
def test_time_is_linear() -> None:
    # Copying what is left at every one of 250,000 fields would move 150 GB.
    start = time.process_time()
    with pytest.raises(FormatError, match="no layer"):
        network(encode({f"{i}": [] for i in range(50_000)}) + b"\x12\x00" * 200_000)
    assert time.process_time() - start < 20


ODD_NUMBERS = [0, 1, 2, 3, 9, 27, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1]


def damage(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to three changes to `content`, mostly near its start, where tags and lengths are."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.choice((int(rng.expovariate(1 / 30)), rng.randrange(len(data) + 1)))
        to = at + rng.choice((1, 2, 4, 8, 50, 200))
        match rng.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            case 2:
                data[at : at + 1] = varint(rng.choice((*ODD_NUMBERS, rng.randrange(300))))
            case 3:
                data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 12)))
            case 4:
                del data[at:to]
            case 5:
                data[at:at] = data[at:to]
            case 6:
                data[at:] = other[rng.choice((at, rng.randrange(len(other)))) :]
            case _:
                del data[at:]
    return bytes(data)


def mutants(number: int, seed: int) -> Iterator[bytes]:
    """Damaged small snapshots; the lengths around a damaged blob or layer stay right."""
    rng = random.Random(seed)
    noise = integer(50, 1)
    seeds = []
    for style in ("V1", "new", "new, one by one", "new, doubles"):
        for widths in ((1,), (2,), (1, 1)):
            layers = {"data": [], **snapshot(*widths), "fc": [np.ones((2, 1), np.float32)]}
            seeds.append((layers, style, encode(layers, style, noise)))
    for _ in range(number):
        layers, style, whole = rng.choice(seeds)
        other = rng.choice(seeds)[2]
        if rng.random() < 0.3:
            yield damage(whole, other, rng)
            continue
        chosen = rng.randrange(sum(1 + len(blobs) for blobs in layers.values()))
        calls = count()

        def touch(content: bytes, calls=calls, chosen=chosen, other=other) -> bytes:
            return damage(content, other, rng) if next(calls) == chosen else content

        yield encode(layers, style, noise, touch)


@pytest.mark.usefixtures("unchecked_types")
def test_damaged_files_end_in_a_format_error_or_a_network() -> None:
    outcomes = {"network": 0, "refused": 0}
    for data in mutants(8_000, seed=0):
        try:
            net = network(data)
        except FormatError as error:
            outcomes["refused"] += 1
            if not str(error).isprintable():
                raise AssertionError(f"more than one line: {error!r}") from None
        else:
            outcomes["network"] += 1
            assert net.architecture.widths in {(1,), (2,), (1, 1)}
            assert all(parameter.isfinite().all() for parameter in net.parameters())
    # Both must be common, or the mutants test little.
    assert min(outcomes.values()) > 800, outcomes


def test_damaged_files_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    for data in mutants(200, seed=1):
        path.write_bytes(data)
        try:
            load_caffemodel(path)
        except FormatError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
