"""`SwitchCode` to the bytes of a switch file (.mxt) and back."""

import math
import zlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from maxtunnel.codec.coders import adaptive, learned
from maxtunnel.codec.consistency import check_consistency
from maxtunnel.codec.contexts import choose_peers
from maxtunnel.codec.format import MOST_SIDE, Header, LevelCoding, Part, read_header, write_header
from maxtunnel.codec.prior import LevelPrior, Prior, prior_of_encoder
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Coding
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.indices import check_codes
from maxtunnel.switches.packing import bits_of, pack, packed_size, unpack


def dumps(code: SwitchCode, network: TunnelNetwork | None = None, coding: Coding = "entropy") -> bytes:
    """The bytes of a switch file.

    Args:
        code: one image or a batch.
        network: whose encoder made the code. The file names it, and where a prior for it ships, `entropy`
            makes use of that; without a network the file can be decoded to codes, but names no model.
        coding: `packed`, the least whole bits a code, or `entropy`, as few bits as a model of the codes gets
            by with.

    Raises:
        ValueError: a code lies outside its window, there are no images or no codes, or the code is not of
            the network.
    """
    if coding not in ("packed", "entropy"):
        raise ValueError(f"`coding` is {coding!r}: expected 'packed' or 'entropy'")
    _refuse_unwritable(code, network)
    code = code.to("cpu")
    prior = prior_of_encoder(network.encoder_hash()) if network is not None and coding == "entropy" else None
    payloads = [_write_level(code, number, coding, prior) for number in range(1, len(code.levels) + 1)]
    needs_prior = any(kind == "learned" for kind, _ in payloads)
    claims = Header(
        images=len(code),
        image_size=code.image_size,
        network=bytes(16) if network is None else network.identity(),
        prior=prior.identity if prior is not None and needs_prior else bytes(8),
        parts=tuple(
            Part(kind, level.window, level.size, level.codes.shape[1], 0, 0)
            for level, (kind, _) in zip(code.levels, payloads, strict=True)
        ),
    )
    return _assemble(claims, [data for _, data in payloads])


def loads(data: bytes, levels: Collection[int] | None = None, name: str = "the data") -> SwitchCode:
    """The code in the bytes of a switch file.

    Args:
        data: the whole file; with `levels` its beginning will do, as far as these levels reach.
        levels: the levels to read, 1 the finest. The others come out as all 0: give the same `levels` to
            `TunnelNetwork.decode`. The deepest stand first in the file.
        name: what error messages call it.

    Raises:
        FormatError: no switch file, or one that is cut short, damaged, or needs a prior that is not here.
        ValueError: the file has no such level.
    """
    header, wanted, prior = _examine(data, levels, name)
    numbers = range(1, len(header.parts) + 1)
    read: list[SwitchLevel] = []
    for number in reversed(numbers):
        # A learned part leans on the level above it, so all above a wanted one are read.
        if number >= min(wanted):
            read.append(_read_level(header, number, data, prior, read[-1] if read else None, name))
        else:
            read.append(_zeros(header, number))
    kept = [
        level if number in wanted else _zeros(header, number)
        for number, level in zip(numbers, reversed(read), strict=True)
    ]
    return SwitchCode(tuple(kept), header.image_size)


def check_file(data: bytes, levels: Collection[int] | None = None, name: str = "the data") -> Header:
    """The header of a switch file in which all is right that can be told without decoding a switch.

    Takes and raises what `loads` does, of which only switches that contradict their coding are left.
    """
    header, wanted, _ = _examine(data, levels, name)
    for number in range(min(wanted), len(header.parts) + 1):
        _body(header, number, data, name)
    return header


def dump(
    code: SwitchCode, path: str | Path, network: TunnelNetwork | None = None, coding: Coding = "entropy"
) -> None:
    """Write `dumps` to a file, in one step."""
    data = dumps(code, network, coding)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def load(path: str | Path, levels: Collection[int] | None = None) -> SwitchCode:
    """`loads` of a file."""
    return loads(read_bytes(path), levels, str(path))


def read_bytes(path: str | Path) -> bytes:
    """A file's bytes; FormatError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"{path} cannot be opened ({error.strerror}): give a switch file") from None


def stored_bits(
    code: SwitchCode, network: TunnelNetwork | None = None, coding: Coding = "entropy"
) -> Float64[Tensor, " n"]:
    """Bits of each image's own switch file, header and checksums included."""
    sizes = [8 * len(dumps(code[number], network, coding)) for number in range(len(code))]
    return torch.tensor(sizes, dtype=torch.float64)


def _examine(
    data: bytes, levels: Collection[int] | None, name: str
) -> tuple[Header, Collection[int], Prior | None]:
    """Header, levels to read and prior of a switch file, held against each other."""
    header = read_header(data, name)
    numbers = set(range(1, len(header.parts) + 1))
    wanted = numbers if levels is None else set(levels)
    if not wanted or not wanted <= numbers:
        raise ValueError(f"{name} has levels 1 to {len(numbers)}; {sorted(wanted)} was asked for")
    if levels is None and len(data) > header.file_length:
        raise FormatError(f"{name} goes on after its end at byte {header.file_length:,}")
    return header, wanted, check_consistency(header, name)


def _refuse_unwritable(code: SwitchCode, network: TunnelNetwork | None) -> None:
    if len(code) == 0 or any(level.codes.numel() == 0 for level in code.levels):
        raise ValueError(f"{code} holds no switches to write")
    if max(max(code.image_size), *(max(level.size) for level in code.levels)) > MOST_SIDE:
        raise ValueError(f"{code}: a switch file holds sides of at most {MOST_SIDE:,}")
    if network is None:
        code.check()
    else:
        # Otherwise the file would name a network that can never decode it.
        network.check(code)


def _write_level(
    code: SwitchCode, number: int, coding: Coding, prior: Prior | None
) -> tuple[LevelCoding, bytes]:
    level = code.levels[number - 1]
    codes, cells = _array(level), level.window.cells
    kind: LevelCoding = "packed" if coding == "packed" else "adaptive" if prior is None else "learned"
    data: bytes | None = None
    if kind == "learned":
        assert prior is not None
        above = _array(code.levels[number]) if number < len(code.levels) else _nothing(len(codes))
        data = learned(prior.levels[number - 1], codes, above, None)
    elif kind == "adaptive":
        peers = choose_peers(codes, cells)
        distance = np.where(peers < 0, 0, np.arange(len(peers))[:, None] - peers).astype(np.uint8)
        coded = adaptive(codes, cells, peers, None)
        data = None if coded is None else distance.tobytes() + coded
    if data is None or len(data) >= packed_size(codes.size, bits_of(cells)):
        kind, data = "packed", pack(level.codes.reshape(1, -1), bits_of(cells)).numpy().tobytes()
    return kind, data


def _assemble(header: Header, payloads: list[bytes]) -> bytes:
    """The file of a header that lacks lengths and checksums, and of payloads not yet filled up."""
    bodies = [data.ljust(header.least_length(level), b"\0") for level, data in enumerate(payloads, 1)]
    parts = tuple(
        replace(part, length=len(body), checksum=zlib.crc32(body))
        for part, body in zip(header.parts, bodies, strict=True)
    )
    return write_header(replace(header, parts=parts)) + b"".join(reversed(bodies))


def _read_level(
    header: Header, number: int, data: bytes, prior: Prior | None, above: SwitchLevel | None, name: str
) -> SwitchLevel:
    part, body = header.parts[number - 1], _body(header, number, data, name)
    try:
        codes = _read_codes(header, number, body, None if prior is None else prior.levels[number - 1], above)
        level = SwitchLevel(codes, part.window, part.size)
        check_codes(level.codes, part.window, part.size)
    except ValueError as error:
        raise FormatError(f"{name} is damaged: level {number}: {error}") from None
    except MemoryError:
        raise FormatError(f"{name}: there is not enough memory for the switches of level {number}") from None
    return level


def _body(header: Header, number: int, data: bytes, name: str) -> bytes:
    """The bytes of a level, whole and with the checksum that they should have."""
    part, (start, end) = header.parts[number - 1], header.span(number)
    body = bytes(data[start:end])
    if len(body) < part.length:
        raise FormatError(f"{name} is cut short: level {number} has {len(body)} of {part.length} bytes")
    if zlib.crc32(body) != part.checksum:
        raise FormatError(f"{name} is damaged: the checksum of level {number} does not hold")
    return body


def _read_codes(
    header: Header, number: int, body: bytes, prior: LevelPrior | None, above: SwitchLevel | None
) -> UInt8[Tensor, "n c oh ow"]:
    """The codes of a level; ValueError where its bytes are not such codes."""
    part = header.parts[number - 1]
    shape, cells = (header.images, part.channels, *part.pooled), part.window.cells
    if part.coding == "packed":
        bits = bits_of(cells)
        needed = packed_size(math.prod(shape), bits)
        if len(body) != header.least_length(number, needed):
            raise ValueError(f"it has {len(body):,} bytes, which is not the length of its switches")
        packed = np.frombuffer(body, np.uint8, needed).copy()
        return unpack(torch.from_numpy(packed)[None], shape, bits)[0]
    codes = np.zeros(shape, np.uint8)
    if part.coding == "learned":
        assert prior is not None
        learned(prior, codes, _nothing(len(codes)) if above is None else _array(above), body)
    else:
        adaptive(codes, cells, _read_peers(body, part.channels), body[2 * part.channels :])
    return torch.from_numpy(codes)


def _read_peers(body: bytes, channels: int) -> np.ndarray:
    if len(body) < 2 * channels:
        raise ValueError("it is too short for its channels")
    distance = np.frombuffer(body, np.uint8, 2 * channels).reshape(channels, 2).astype(np.int32)
    own = np.arange(channels, dtype=np.int32)[:, None]
    if (distance > own).any():
        raise ValueError("a channel leans on one that does not exist")
    return np.where(distance == 0, -1, own - distance).astype(np.int32)


def _array(level: SwitchLevel) -> np.ndarray:
    return np.ascontiguousarray(level.codes.numpy())


def _nothing(images: int) -> np.ndarray:
    return np.zeros((images, 0, 0, 0), np.uint8)


def _zeros(header: Header, number: int) -> SwitchLevel:
    part = header.parts[number - 1]
    codes = torch.zeros(1, dtype=torch.uint8).expand(header.images, part.channels, *part.pooled)
    return SwitchLevel(codes, part.window, part.size)
