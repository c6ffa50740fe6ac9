"""Switch files: exact both ways, and the same bytes everywhere."""

import lzma
import zlib
from pathlib import Path

import pytest
import torch

from golden.make_switch_files import NAMES, golden
from maxtunnel.codec import dump, dumps, format, is_fast, load, loads, read_header, stored_bits
from maxtunnel.codec.format import MAGIC, WORK_A_BYTE
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.native import disabled
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window
from maxtunnel.zoo.names import load as load_network

GOLDEN = Path(__file__).parents[1] / "golden"
needs_compiler = pytest.mark.skipif(not is_fast(), reason="no C++ compiler here")


def pooled(window, images=2, channels=3, size=(13, 9), seed=0):
    """The code of one pooling layer over random planes, with a second level of 2x2 windows on top."""
    x = torch.randn(images, channels, *size, generator=torch.Generator().manual_seed(seed)).relu()
    values, codes = pool(x, window)
    levels = [SwitchLevel(codes, window, size)]
    if min(values.shape[-2:]) > 1:
        levels.append(SwitchLevel(pool(values)[1], Window(), tuple(values.shape[-2:])))
    return SwitchCode(tuple(levels), size)


def photograph_code(name="8-8-8", side=64, images=1):
    network = load_network(name)
    pixels = [resize(image, (side, side)) for image in list(demo_photographs().values())[:images]]
    return network.encode(to_float(torch.stack(pixels))), network


@pytest.mark.parametrize("coding", ["packed", "entropy"])
@pytest.mark.parametrize(
    "window",
    [
        Window(),
        Window(2, ceil_mode=True),
        Window(3, 2, 1),
        Window((1, 2)),
        Window(1),
        Window((2, 3), (1, 2), (1, 1), (2, 1)),
        Window(9, 4),
    ],
    ids=str,
)
def test_what_is_read_equals_what_was_written(window, coding):
    code = pooled(window)
    assert loads(dumps(code, coding=coding)) == code


@needs_compiler
@pytest.mark.parametrize("size", [(64, 64), (100, 72), (8, 8), (33, 150)])
@pytest.mark.parametrize("coding", ["packed", "entropy"])
def test_photographs_of_any_size_come_back(size, coding):
    network = load_network("8-8-8")
    pixels = torch.stack([resize(image, size) for image in demo_photographs().values()])
    code = network.encode(to_float(pixels))
    data = dumps(code, network, coding)
    assert loads(data) == code
    assert read_header(data).network == network.identity()
    assert read_header(data).image_size == size


def test_windows_of_16x16_cells():
    code = pooled(Window(16, 5), size=(40, 37))
    assert loads(dumps(code)) == code
    assert loads(dumps(code, coding="packed")) == code


def test_the_files_made_once_are_read_and_made_again():
    """On any machine and by any later version: the bytes in the repository are never changed."""
    for name in NAMES:
        data = (GOLDEN / f"{name}.mxt").read_bytes()
        code, network, coding = golden(name)
        assert loads(data) == code, name
        assert dumps(code, network, coding) == data, name


def test_a_packed_file_byte_by_byte():
    codes = torch.tensor([[[[0, 1, 2], [3, 2, 1]]]], dtype=torch.uint8)
    code = SwitchCode((SwitchLevel(codes, Window(), (4, 6)),), (4, 6))
    part = bytes([0b11_10_01_00, 0b01_10])
    head = MAGIC + bytes([1, 1, 4, 6, 1]) + bytes(16) + bytes(8)
    head += bytes([0, 0, 4, 6, 1, 2]) + zlib.crc32(part).to_bytes(4, "little")
    assert dumps(code, coding="packed") == head + zlib.crc32(head).to_bytes(4, "little") + part


@needs_compiler
def test_without_native_code_the_same_file():
    code, network = photograph_code(side=24)
    data = dumps(code, network)
    with disabled():
        assert not is_fast()
        assert dumps(code, network) == data
        assert loads(data) == code


@needs_compiler
def test_entropy_beats_general_compressors():
    code, network = photograph_code(side=128)
    raw = b"".join(level.codes.numpy().tobytes() for level in code.levels)
    packed = dumps(code, network, "packed")
    learned, adaptive = len(dumps(code, network)), len(dumps(code))
    general = [len(c(d)) for c in (lambda d: zlib.compress(d, 9), lzma.compress) for d in (raw, packed)]
    assert learned < 0.7 * len(packed)
    assert learned < adaptive < min(general)


@needs_compiler
def test_a_batch_shares_its_header_and_stored_bits_are_those_of_single_files():
    code, network = photograph_code(images=3)
    single = stored_bits(code, network)
    assert single.tolist() == [8 * len(dumps(code[i], network)) for i in range(3)]
    assert 8 * len(dumps(code, network)) < single.sum()


def test_even_codes_take_next_to_nothing():
    level = SwitchLevel(torch.zeros(1, 4, 64, 64, dtype=torch.uint8), Window(), (128, 128))
    code = SwitchCode((level,), (128, 128))
    assert len(dumps(code)) < 150
    assert loads(dumps(code)) == code


@pytest.mark.parametrize(("kernel", "coding"), [(2, "adaptive"), (1, "packed")])
def test_large_even_codes_are_filled_up_to_what_a_reader_may_take(monkeypatch, kernel, coding):
    level = SwitchLevel(
        torch.zeros(1, 1, 48, 48, dtype=torch.uint8), Window(kernel), (48 * kernel, 48 * kernel)
    )
    code = SwitchCode((level,), (96, 96))
    small = read_header(dumps(code))
    monkeypatch.setattr(format, "FREE_WORK", 2000)
    data = dumps(code)
    header = read_header(data)
    assert header.parts[0].coding == coding
    assert header.parts[0].length == -(-header.work // WORK_A_BYTE) > small.parts[0].length
    assert loads(data) == code


@needs_compiler
def test_the_beginning_of_a_file_holds_the_deepest_levels():
    code, network = photograph_code()
    data = dumps(code, network)
    header = read_header(data)
    for levels in ({3}, {3, 2}, {2}):
        start = data[: header.span(min(levels))[1]]
        part = loads(start, levels)
        for number, (read, written) in enumerate(zip(part.levels, code.levels, strict=True), 1):
            expected = written.codes if number in levels else torch.zeros_like(written.codes)
            assert torch.equal(read.codes, expected)
        with pytest.raises(FormatError, match="cut short"):
            loads(start[:-1], levels)
        with pytest.raises(FormatError, match="cut short"):
            loads(start)
    with pytest.raises(ValueError, match="levels 1 to 3"):
        loads(data, {4})


def test_what_cannot_be_written_is_refused():
    code = pooled(Window())
    with pytest.raises(ValueError, match="holds no switches"):
        dumps(code[:0])
    bad = SwitchLevel(torch.full((1, 1, 2, 2), 4, dtype=torch.uint8), Window(), (4, 4))
    with pytest.raises(ValueError, match="codes 0 to 3"):
        dumps(SwitchCode((bad,), (4, 4)))
    with pytest.raises(ValueError, match="does not fit the network 16-16-16"):
        dumps(photograph_code(side=16)[0], load_network("16-16-16"))


def test_dump_and_load(tmp_path, monkeypatch):
    code = pooled(Window())
    dump(code, tmp_path / "new" / "a.mxt")
    assert load(tmp_path / "new" / "a.mxt") == code
    before = (tmp_path / "new" / "a.mxt").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left", "a.mxt")))
    with pytest.raises(OSError, match="No space"):
        dump(pooled(Window(), seed=1), tmp_path / "new" / "a.mxt")
    assert [path.read_bytes() for path in (tmp_path / "new").iterdir()] == [before]
    with pytest.raises(FormatError, match="cannot be opened"):
        load(tmp_path / "nowhere.mxt")
    with pytest.raises(FormatError, match="no switch file"):
        loads(b"\x89PNG\r\n\x1a\n")


def test_identities_tell_encoders_apart():
    mean = torch.full((3, 8, 8), 0.5)
    network = TunnelNetwork(Architecture((2, 3)), mean, 4.0)
    same = TunnelNetwork(Architecture((2, 3)), mean, 4.0)
    with torch.no_grad():
        same.decoder.bias_code += 1
    assert network.identity() == same.identity()
    assert len(network.identity()) == 16
    others = [
        TunnelNetwork(Architecture((2, 3)), mean, 4.0, seed=1),
        TunnelNetwork(Architecture((2, 3)), mean + 0.1, 4.0),
        TunnelNetwork(Architecture((2, 3)), mean, 255.0),
    ]
    assert len({other.identity() for other in [network, *others]}) == 4
    assert network.encoder_hash() == others[1].encoder_hash() != others[0].encoder_hash()
