"""Whatever a switch file says, it is refused in one line, soon, or gives valid codes."""

import tracemalloc
import zlib
from contextlib import nullcontext
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from maxtunnel.codec import consistency, dumps, is_fast, load, loads, read_header, serialisation
from maxtunnel.codec.arithmetic import squash_table, stretch_table
from maxtunnel.codec.contexts import reads_array
from maxtunnel.codec.format import FREE_WORK, WORK_A_BYTE, Header, Part, write_header
from maxtunnel.codec.prior import shipped_priors
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.native import coder, disabled
from maxtunnel.support.files import FormatError
from maxtunnel.switches.window import Window
from maxtunnel.zoo.names import load as load_network
from maxtunnel.zoo.names import shipped, shipped_architecture
from tools.fuzz_codec import attack, samples

needs_compiler = pytest.mark.skipif(not is_fast(), reason="no C++ compiler here")
NONE = bytes(16)
WIDE = Window((1, 256), (1, 1))


@pytest.mark.parametrize("name", list(samples()))
def test_every_truncation_and_every_flipped_bit_is_noticed(name):
    data = samples()[name]
    for length in range(len(data)):
        with pytest.raises(FormatError):
            loads(data[:length])
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            loads(bytes(flipped))
    with pytest.raises(FormatError, match="after its end"):
        loads(data + b"\0")


@needs_compiler
def test_hostile_files_end_in_an_error_or_in_valid_codes():
    """docs/codec.md has the command for more of them."""
    outcome = attack(1200, seed=0)
    assert outcome["refused"] > 400
    assert outcome["valid"] > 100


@pytest.mark.parametrize("coding", ["packed", "adaptive", "learned"])
def test_a_claim_of_a_million_million_switches_is_refused_at_once(coding):
    part = Part(coding, Window(), (2**16, 2**16), 1000, 100, zlib.crc32(bytes(100)))
    data = write_header(Header(1, (2**16, 2**16), bytes(16), bytes(8), (part,))) + bytes(100)
    tracemalloc.start()
    with pytest.raises(
        FormatError, match="claims 1,073,741,824,000 switches in level 1 but gives it 100 bytes"
    ):
        loads(data)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def written(header: Header, *bodies: bytes) -> bytes:
    """A file of these parts, finest first, whose checksums hold."""
    parts = [
        replace(part, length=len(body), checksum=zlib.crc32(body))
        for part, body in zip(header.parts, bodies, strict=True)
    ]
    return write_header(replace(header, parts=tuple(parts))) + b"".join(reversed(bodies))


def photograph_file(side=64):
    network = load_network("8-8-8")
    image = to_float(resize(demo_photographs()["coffee"], (side, side)))[None]
    data = dumps(network.encode(image), network)
    header = read_header(data)
    return header, [data[slice(*header.span(level))] for level in (1, 2, 3)]


def refused(data, match):
    """Check that it is refused by this message, in one line, before anything is decoded."""
    decoders = dict.fromkeys(("adaptive", "learned", "unpack"), mock.DEFAULT)
    with (
        mock.patch.multiple(serialisation, **decoders) as mocks,
        pytest.raises(FormatError, match=match) as caught,
    ):
        loads(data, name="evil.mxt")
    assert not any(decoder.called for decoder in mocks.values())
    assert str(caught.value).startswith("evil.mxt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("named", [True, False])
def test_a_learned_level_below_one_of_larger_windows(named):
    """Its codes, up to 255, would be looked up in the tables of a prior that has rows for 4."""
    header, bodies = photograph_file()
    deepest = Part("packed", WIDE, (8, 263), 8, 0, 0)
    assert deepest.pooled == (8, 8)
    header = replace(header, parts=(*header.parts[:2], deepest), network=header.network if named else NONE)
    refused(
        written(header, *bodies[:2], bytes([255]) * 512),
        "its levels are not those of 8-8-8, which it names"
        if named
        else "its levels are not those of its prior",
    )


@pytest.mark.parametrize(
    ("level", "change"),
    [
        (0, {"size": (32, 32)}),
        (1, {"size": (64, 64)}),
        (2, {"size": (8, 8)}),
        (0, {"channels": 9}),
        (2, {"channels": 4}),
        (0, {"window": Window(2, ceil_mode=True)}),
        (1, {"window": Window(3, 2, 1)}),
    ],
)
def test_levels_that_do_not_follow_from_each_other(level, change):
    header, bodies = photograph_file()
    parts = list(header.parts)
    parts[level] = replace(parts[level], **change)
    header = replace(header, parts=tuple(parts), network=NONE)
    refused(written(header, *bodies), "its levels are not those of its prior")
    refused(written(replace(header, prior=shipped_priors()[0].identity), *bodies), "those of its prior")


def test_an_image_size_that_the_levels_do_not_have():
    header, bodies = photograph_file()
    refused(written(replace(header, image_size=(64, 65)), *bodies), "not those of 8-8-8")
    refused(written(replace(header, image_size=(64, 65), network=NONE), *bodies), "not those of its prior")


@pytest.mark.parametrize("name", shipped())
def test_levels_of_every_shipped_network_are_known(name, monkeypatch):
    """Also where the network that a file names is one with a strong decoder."""
    monkeypatch.setattr(consistency, "find_shipped", lambda identity: name)
    header, bodies = photograph_file()
    if shipped_architecture(name).widths == (8, 8, 8):
        assert loads(written(header, *bodies)).image_size == (64, 64)
    else:
        refused(written(header, *bodies), f"its levels are not those of {name}, which it names")


def test_levels_left_out():
    header, bodies = photograph_file()
    header = replace(header, network=NONE)
    refused(written(replace(header, parts=header.parts[:2]), *bodies[:2]), "not those of its prior")
    refused(written(replace(header, parts=header.parts[1:]), *bodies[1:]), "not those of its prior")


def test_a_prior_that_no_level_needs_or_that_is_not_here():
    header, bodies = photograph_file()
    refused(written(replace(header, prior=b"?" * 8), *bodies), "needs prior 3f3f3f3f3f3f3f3f")
    part = replace(header.parts[0], coding="packed")
    header = replace(header, parts=(part,), network=NONE)
    refused(written(header, bytes(8192)), "names prior .* but needs none")


@pytest.mark.parametrize(
    ("images", "part", "length"),
    [
        # Planes of one cell: with their margins 42 GB, which ended the process.
        (1677721600, Part("adaptive", Window(1), (1, 1), 1, 0, 0), 204800),
        # A minute of decisions, of which most are settled beforehand.
        (1, Part("adaptive", Window(16, 1), (1024, 1024), 48, 0, 0), 6062),
        # Counters made anew for each of many channels.
        (1, Part("adaptive", Window(16), (16, 16), 200_000, 0, 0), 400_000),
        # Codes of no bits, 8,192 a byte.
        (1, Part("packed", Window(1), (2**15, 2**15), 2, 0, 0), 2**18),
        (1, Part("learned", Window(), (2**15, 2**15), 1, 0, 0), 2**15),
    ],
)
def test_work_is_bounded_before_it_begins(images, part, length):
    header = Header(images, part.size, NONE, bytes(8), (part,))
    refused(
        written(header, bytes(length)), rf"would take {header.work:,} steps to read; {length:,} bytes .* may"
    )
    # A longer file may claim as much.
    read_header(written(header, bytes(-(-header.work // WORK_A_BYTE))))


def test_limits_add_up_over_the_levels():
    part = Part("adaptive", Window(), (2048, 2048), 8, 0, 0)
    header = Header(1, (2048, 2048), NONE, bytes(8), (part,) * 3)
    length = 8 * 1024**2 // 8192
    assert part.work(1) < FREE_WORK < header.work
    read_header(written(replace(header, parts=(part,)), bytes(length)))
    refused(written(header, *[bytes(length)] * 3), "steps to read")


@needs_compiler
def test_too_little_memory_is_an_error_and_does_not_end_the_process():
    # More than any address space, so that nothing is allocated.
    codes = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (2**50, 1, 1, 1), (0, 0, 0, 0))
    peers = np.full((1, 2), -1, np.int32)
    with pytest.raises(MemoryError):
        coder.adaptive(codes, 1, (peers, reads_array(), squash_table(), stretch_table()), b"")
    header, bodies = photograph_file()
    with (
        mock.patch.object(serialisation, "learned", side_effect=MemoryError),
        pytest.raises(FormatError, match="not enough memory for the switches of level 3"),
    ):
        loads(written(header, *bodies))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("oob-8-8-8", "its levels are not those of 8-8-8"),
        ("oob-24-48-96", "its levels are not those of 24-48-96"),
        ("abort-200k", "steps to read"),
        ("slow-11kb", "steps to read"),
    ],
)
def test_files_that_hurt_once(shared, file, match, compiled):
    path = shared / "repro" / f"{file}.mxt"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with nullcontext() if compiled else disabled(), pytest.raises(FormatError, match=match):
        load(path)
