"""`SwitchCode` to the bytes of a switch file (.mxt) and back."""

import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.codec.coders import adaptive, learned
from maxtunnel.codec.contexts import choose_peers
from maxtunnel.codec.format import (
    MOST_CODES_A_BYTE,
    MOST_SIDE,
    Header,
    LevelCoding,
    Part,
    read_header,
    write_header,
)
from maxtunnel.codec.packed import pack, packed_size, unpack
from maxtunnel.codec.prior import Prior, prior_of_encoder, prior_of_identity
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.switches.codes import SwitchCode, SwitchLevel, check_codes
from maxtunnel.switches.window import Window

Coding = Literal["packed", "entropy"]


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
        raise ValueError(f"coding is {coding!r}: expected 'packed' or 'entropy'")
    if len(code) == 0 or any(level.codes.numel() == 0 for level in code.levels):
        raise ValueError(f"{code} holds no switches to write")
    if max(max(code.image_size), *(max(level.size) for level in code.levels)) > MOST_SIDE:
        raise ValueError(f"{code}: a switch file holds sides of at most {MOST_SIDE:,}")
    if network is not None:
        _refuse_other_code(code, network)
    code = code.check().to("cpu")
    prior = _fitting_prior(code, network) if coding == "entropy" else None
    payloads = [_write_level(code, number, coding, prior) for number in range(1, len(code.levels) + 1)]
    header = Header(
        images=len(code),
        image_size=code.image_size,
        network=bytes(16) if network is None else network.identity(),
        prior=bytes(8) if prior is None or all(kind != "learned" for kind, _ in payloads) else prior.identity,
        parts=tuple(
            Part(kind, level.window, level.size, level.codes.shape[1], len(data), zlib.crc32(data))
            for level, (kind, data) in zip(code.levels, payloads, strict=True)
        ),
    )
    return write_header(header) + b"".join(data for _, data in reversed(payloads))


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
    header = read_header(data, name)
    numbers = set(range(1, len(header.parts) + 1))
    wanted = numbers if levels is None else set(levels)
    if not wanted or not wanted <= numbers:
        raise ValueError(f"{name} has levels 1 to {len(numbers)}; {sorted(wanted)} was asked for")
    if levels is None and len(data) > header.file_length:
        raise FormatError(f"{name} goes on after its end at byte {header.file_length:,}")
    read: list[SwitchLevel] = []
    for number in sorted(numbers, reverse=True):
        # A learned part leans on the level above it, so all above a wanted one are read.
        if number >= min(wanted):
            read.append(_read_level(header, number, data, read[-1] if read else None, name))
        else:
            read.append(_zeros(header, number))
    kept = [
        level if number in wanted else _zeros(header, number)
        for number, level in zip(sorted(numbers), reversed(read), strict=True)
    ]
    return SwitchCode(tuple(kept), header.image_size)


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


def _refuse_other_code(code: SwitchCode, network: TunnelNetwork) -> None:
    """A file would name a network that can never decode it."""
    channels = tuple(level.codes.shape[1] for level in code.levels)
    if channels != network.architecture.widths or any(level.window != Window() for level in code.levels):
        raise ValueError(f"{code} is no code of a network {network.architecture}: give the one that made it")


def _fitting_prior(code: SwitchCode, network: TunnelNetwork | None) -> Prior | None:
    """The prior of the network's encoder, if one ships and the code has the shape that it knows."""
    prior = None if network is None else prior_of_encoder(network.encoder_hash())
    channels = tuple(level.codes.shape[1] for level in code.levels)
    if prior is None or prior.channels != channels or any(level.window != Window() for level in code.levels):
        return None
    return prior


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
    if data is None or len(data) >= packed_size(codes.size, cells):
        kind, data = "packed", pack(codes, cells)
    return kind, data.ljust(_least_length(codes.size, len(data)), b"\0")


def _least_length(codes: int, needed: int) -> int:
    """Bytes of a part: codes so even that they take no room still fill some, see MOST_CODES_A_BYTE."""
    return max(needed, -(-codes // MOST_CODES_A_BYTE))


def _read_level(
    header: Header, number: int, data: bytes, above: SwitchLevel | None, name: str
) -> SwitchLevel:
    part, (start, end) = header.parts[number - 1], header.span(number)
    body = bytes(data[start:end])
    if len(body) < part.length:
        raise FormatError(f"{name} is cut short: level {number} has {len(body)} of {part.length} bytes")
    if zlib.crc32(body) != part.checksum:
        raise FormatError(f"{name} is damaged: the checksum of level {number} does not hold")
    codes = _read_codes(header, number, body, above, name)
    try:
        level = SwitchLevel(torch.from_numpy(codes), part.window, part.size)
        check_codes(level.codes, part.window, part.size)
    except ValueError as error:
        raise FormatError(f"{name} is damaged: level {number}: {error}") from None
    return level


def _read_codes(header: Header, number: int, body: bytes, above: SwitchLevel | None, name: str) -> np.ndarray:
    part = header.parts[number - 1]
    shape = header.images, part.channels, *part.pooled
    cells = part.window.cells
    if part.coding == "packed":
        count = header.images * part.codes
        if len(body) != _least_length(count, packed_size(count, cells)):
            raise FormatError(f"{name} is damaged: level {number} has not the length of its switches")
        return unpack(body, count, cells).reshape(shape)
    codes = np.zeros(shape, np.uint8)
    if part.coding == "adaptive":
        adaptive(codes, cells, _read_peers(body, part.channels, name), body[2 * part.channels :])
        return codes
    prior = prior_of_identity(header.prior)
    if prior is None:
        raise FormatError(
            f"{name} needs prior {header.prior.hex()}, which this version of maxtunnel does not have: "
            "read it with the version that wrote it"
        )
    if prior.channels != tuple(p.channels for p in header.parts) or part.window != Window():
        raise FormatError(f"{name} is damaged: its levels are not those of its prior")
    leaned_on = _nothing(len(codes)) if above is None else _array(above)
    learned(prior.levels[number - 1], codes, leaned_on, body)
    return codes


def _read_peers(body: bytes, channels: int, name: str) -> np.ndarray:
    if len(body) < 2 * channels:
        raise FormatError(f"{name} is damaged: a level is too short for its channels")
    distance = np.frombuffer(body, np.uint8, 2 * channels).reshape(channels, 2).astype(np.int32)
    own = np.arange(channels, dtype=np.int32)[:, None]
    if (distance > own).any():
        raise FormatError(f"{name} is damaged: a channel leans on one that does not exist")
    return np.where(distance == 0, -1, own - distance).astype(np.int32)


def _array(level: SwitchLevel) -> np.ndarray:
    return np.ascontiguousarray(level.codes.numpy())


def _nothing(images: int) -> np.ndarray:
    return np.zeros((images, 0, 0, 0), np.uint8)


def _zeros(header: Header, number: int) -> SwitchLevel:
    part = header.parts[number - 1]
    codes = torch.zeros(1, dtype=torch.uint8).expand(header.images, part.channels, *part.pooled)
    return SwitchLevel(codes, part.window, part.size)
