"""Switch files: exact both ways, the same bytes everywhere, and no way to hurt the reader."""

import lzma
import math
import random
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.make_switch_files import NAMES, golden
from maxtunnel.codec import compiled, dump, dumps, load, loads, plain, read_header, stored_bits
from maxtunnel.codec.arithmetic import LEAST, Coder, squash_table, stretch_table
from maxtunnel.codec.contexts import choose_peers
from maxtunnel.codec.format import MAGIC, Header, Part, write_header
from maxtunnel.codec.packed import pack, unpack
from maxtunnel.codec.prior import shipped_priors
from maxtunnel.data.images import demo_photographs, resize, to_float
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode, SwitchLevel, pool
from maxtunnel.switches.window import Window
from maxtunnel.zoo.names import load as load_network
from tools.fuzz_codec import attack, samples

GOLDEN = Path(__file__).parents[1] / "golden"
needs_compiler = pytest.mark.skipif(not compiled.available(), reason="no C++ compiler here")


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


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 9, 16, 200, 256])
def test_packing_takes_the_least_whole_bits(cells):
    codes = np.random.default_rng(cells).integers(0, cells, 1003).astype(np.uint8)
    bits = math.ceil(math.log2(cells))
    # Python's own integers as the oracle.
    number = sum(int(code) << bits * place for place, code in enumerate(codes))
    assert pack(codes, cells) == number.to_bytes(-(-1003 * bits // 8), "little")
    assert (unpack(pack(codes, cells), 1003, cells) == codes).all()


def test_tables_are_the_logistic_function_and_its_inverse():
    logits = np.arange(-2048, 2048)
    exact = 65536 / (1 + np.exp(-logits / 256))
    assert np.abs(squash_table() - exact.clip(LEAST, 65536 - LEAST))[1:].max() <= 0.501
    assert (np.diff(squash_table().astype(int)) >= 0).all()
    inner = stretch_table()[64:-64]
    probability = (np.arange(4096)[64:-64] + 0.5) / 4096
    assert np.abs(inner - 256 * np.log(probability / (1 - probability))).max() < 1.6


def test_the_coder_comes_close_to_the_entropy():
    generator = random.Random(0)
    bits = [
        (int(generator.random() < p / 65536), p) for p in (generator.randint(64, 65472) for _ in range(20000))
    ]
    writer = Coder()
    for bit, probability in bits:
        writer.code(bit, probability)
    data = writer.finish()
    ideal = sum(-math.log2(p / 65536 if bit else 1 - p / 65536) for bit, p in bits)
    assert ideal <= 8 * len(data) < ideal * 1.001 + 16
    reader = Coder(data)
    assert [reader.code(0, probability) for _, probability in bits] == [bit for bit, _ in bits]


@needs_compiler
def test_compiled_and_plain_make_the_same_bytes():
    generator = np.random.default_rng(0)
    prior = shipped_priors()[-1]
    for level, size in zip(prior.levels, [(5, 70), (3, 5), (2, 2)], strict=True):
        codes = generator.integers(0, 4, (2, level.channels, *size)).astype(np.uint8)
        codes[:, 1:3] = codes[:, :1]
        codes[0, :, : size[0] // 2] = 0
        above = generator.integers(0, 4, (2, level.channels_above, 2, 35)).astype(np.uint8)
        data = plain.learned(level, codes.copy(), above, None)
        # Noise takes more than two bits a code, for which the compiled version has no room.
        assert compiled.learned(level, codes, above, None) in (data, None)
        for function in (plain.learned, compiled.learned):
            back = np.zeros_like(codes)
            function(level, back, above, data)
            assert (back == codes).all()
    for cells in (4, 9, 200):
        codes = (generator.random((2, 3, 7, 6)) ** 3 * cells).astype(np.uint8)
        codes[:, 2] = codes[:, 0]
        peers = choose_peers(codes, cells)
        data = plain.adaptive(codes.copy(), cells, peers, None)
        assert compiled.adaptive(codes, cells, peers, None) == data
        back = np.zeros_like(codes)
        plain.adaptive(back, cells, peers, data)
        assert (back == codes).all()


def test_without_a_compiler_the_same_file(monkeypatch):
    code, network = photograph_code(side=24)
    data = dumps(code, network)
    monkeypatch.setattr(compiled, "available", lambda: False)
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
    """docs/codec.md has the command for 200,000 of them."""
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


def test_a_file_names_its_prior_and_needs_it(monkeypatch):
    code, network = photograph_code(side=16)
    data = dumps(code, network)
    assert read_header(data).prior in {prior.identity for prior in shipped_priors()}
    monkeypatch.setattr("maxtunnel.codec.serialisation.prior_of_identity", lambda identity: None)
    with pytest.raises(FormatError, match="needs prior"):
        loads(data)


def test_what_cannot_be_written_is_refused():
    code = pooled(Window())
    with pytest.raises(ValueError, match="holds no switches"):
        dumps(code[:0])
    bad = SwitchLevel(torch.full((1, 1, 2, 2), 4, dtype=torch.uint8), Window(), (4, 4))
    with pytest.raises(ValueError, match="codes 0 to 3"):
        dumps(SwitchCode((bad,), (4, 4)))
    with pytest.raises(ValueError, match="no code of a network 16-16-16"):
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
    assert network.encoder_identity() == others[1].encoder_identity() != others[0].encoder_identity()
