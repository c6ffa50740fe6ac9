"""The head of a switch file: what it holds, and where. docs/format.md is its specification, byte by byte."""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from maxtunnel.support.files import FormatError
from maxtunnel.switches.packing import bits_of
from maxtunnel.switches.window import Pair, Window

MAGIC = b"\x89MXT\r\n\x1a\n"
VERSION = 1
MOST_SIDE = 2**16
# Limits of what reading a file may take, `Part.work` being its measure: that much, and more for each byte.
MOST_CODES_A_BYTE = 8192
FREE_WORK = 2**26
WORK_A_BYTE = 512
CODINGS = ("packed", "adaptive", "learned")
LevelCoding = Literal["packed", "adaptive", "learned"]
_LIMIT = 2**32


@dataclass(frozen=True)
class Part:
    """One level in a file: its geometry and its bytes.

    Attributes:
        coding: how its codes are written.
        window: the pooling layer's geometry.
        size: (height, width) of the plane that was pooled.
        channels: feature planes.
        length: bytes that the part takes.
        checksum: CRC-32 of those bytes.
    """

    coding: LevelCoding
    window: Window
    size: Pair
    channels: int
    length: int
    checksum: int

    @property
    def pooled(self) -> Pair:
        """(height, width) of the plane of codes."""
        return self.window.output_size(self.size)

    @property
    def codes(self) -> int:
        """Codes of one image."""
        return self.channels * math.prod(self.pooled)

    @property
    def nominal_bits(self) -> float:
        """Bits of one image's codes at log2(cells) each."""
        return self.codes * math.log2(self.window.cells)

    def work(self, images: int) -> int:
        """What reading the codes of so many images takes, in steps of some 50 ns of compiled code.

        A packed code is one step. Otherwise each bit of a code is one, each cell of the planes is one (with a
        margin of two cells around each plane), and each channel is 4,096, as it starts with fresh counters.
        """
        if self.coding == "packed":
            return images * self.codes
        cells = images * self.channels * math.prod(side + 4 for side in self.pooled)
        return images * self.codes * bits_of(self.window.cells) + cells + 4096 * self.channels


@dataclass(frozen=True)
class Header:
    """What a switch file says of itself.

    Attributes:
        images: how many it holds.
        image_size: (height, width) in pixels.
        network: identity of the network whose encoder made the switches, 16 bytes; zeros if none was named.
        prior: identity of the model that `learned` parts need, 8 bytes; zeros if there are none.
        parts: one a level, finest first; in the file the deepest comes first.
        length: bytes of the header itself.
    """

    images: int
    image_size: Pair
    network: bytes
    prior: bytes
    parts: tuple[Part, ...]
    length: int = 0

    @property
    def file_length(self) -> int:
        """Bytes of the whole file."""
        return self.length + sum(part.length for part in self.parts)

    @property
    def work(self) -> int:
        """What reading all of it takes; see `Part.work`."""
        return sum(part.work(self.images) for part in self.parts)

    def least_length(self, level: int, needed: int = 0) -> int:
        """Bytes of a level's part: as many as its codes need, or as the limits ask for so many codes.

        Args:
            level: 1 is the finest.
            needed: bytes that its codes take.
        """
        part = self.parts[level - 1]
        least = -(-self.images * part.codes // MOST_CODES_A_BYTE)
        if self.work > FREE_WORK:
            least = max(least, -(-part.work(self.images) // WORK_A_BYTE))
        return max(least, needed)

    def span(self, level: int) -> tuple[int, int]:
        """First byte and end of a level's part; level 1 is the finest."""
        start = self.length + sum(part.length for part in self.parts[level:])
        return start, start + self.parts[level - 1].length


def write_header(header: Header) -> bytes:
    """The bytes before the first part."""
    numbers = [header.images, *header.image_size, len(header.parts)]
    body = MAGIC + bytes([VERSION]) + b"".join(map(_varint, numbers)) + header.network + header.prior
    for part in header.parts:
        body += bytes([CODINGS.index(part.coding)]) + _window_bytes(part.window)
        body += b"".join(map(_varint, (*part.size, part.channels, part.length)))
        body += part.checksum.to_bytes(4, "little")
    return body + zlib.crc32(body).to_bytes(4, "little")


def read_header(data: bytes, name: str = "the data") -> Header:
    """The header at the start of a switch file, checked; nothing is allocated for what it claims.

    Raises:
        FormatError: this is no switch file, or its header is cut short, damaged or contradicts itself.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise FormatError(
            f"{name} is no switch file, as encode makes: it starts with {bytes(data[:8])!r}, not {MAGIC!r}"
        )
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise FormatError(
            f"{name} is a switch file of version {data[len(MAGIC)]}, and this is version {VERSION}: "
            "update maxtunnel, or it is damaged"
        )
    reader = _Reader(data, len(MAGIC) + 1, name)
    images, height, width, levels = (reader.varint() for _ in range(4))
    network, prior = reader.take(16), reader.take(8)
    if not 1 <= levels <= 255:
        raise FormatError(f"{name} claims {levels} levels; a switch file has 1 to 255")
    fields = [_read_part(reader) for _ in range(levels)]
    checksum = zlib.crc32(data[: reader.at])
    if checksum != int.from_bytes(reader.take(4), "little"):
        raise FormatError(f"{name} has a damaged header: its checksum does not hold")
    try:
        parts = tuple(_part(*field) for field in fields)
    except (ValueError, IndexError) as error:
        raise FormatError(f"{name} has an impossible level: {error}") from None
    header = Header(images, (height, width), network, prior, parts, reader.at)
    _check_claims(header, name)
    return header


def _read_part(reader: "_Reader") -> tuple[int, list[int], int]:
    coding = reader.take(1)[0]
    window = [2, 2, 2, 2, 0, 0, 1, 1, 0] if reader.take(1) == b"\0" else [reader.varint() for _ in range(9)]
    return coding, [*window, *(reader.varint() for _ in range(4))], int.from_bytes(reader.take(4), "little")


def _part(coding: int, numbers: list[int], checksum: int) -> Part:
    kernel, stride, padding, dilation = zip(numbers[0:8:2], numbers[1:8:2], strict=True)
    ceil_mode, height, width, channels, length = numbers[8:]
    if coding >= len(CODINGS) or ceil_mode > 1:
        raise ValueError(f"coding {coding} and rounding {ceil_mode} are not known")
    if max(*kernel, *stride, *padding, *dilation) > 65535:
        raise ValueError("a window of more than 65,535 cells")
    window = Window(kernel, stride, padding, dilation, bool(ceil_mode))
    return Part(CODINGS[coding], window, (height, width), channels, length, checksum)  # type: ignore[arg-type]


def _check_claims(header: Header, name: str) -> None:
    """Refuse sides out of range, and more codes than memory and time in proportion to the file allow."""
    sides = [*header.image_size, *(side for part in header.parts for side in part.size)]
    if header.images < 1 or min(part.channels for part in header.parts) < 1:
        raise FormatError(f"{name} claims to hold nothing")
    if not 1 <= min(sides) <= max(sides) <= MOST_SIDE:
        raise FormatError(
            f"{name} claims a side of {min(sides)} or {max(sides)}; 1 to {MOST_SIDE:,} are possible"
        )
    for level, part in enumerate(header.parts, 1):
        try:
            codes = header.images * part.codes
        except ValueError as error:
            raise FormatError(f"{name} has an impossible level {level}: {error}") from None
        if codes > MOST_CODES_A_BYTE * part.length:
            raise FormatError(
                f"{name} claims {codes:,} switches in level {level} but gives it {part.length:,} bytes; "
                f"a byte holds at most {MOST_CODES_A_BYTE:,}"
            )
    length = sum(part.length for part in header.parts)
    allowed = FREE_WORK + WORK_A_BYTE * length
    if header.work > allowed:
        raise FormatError(
            f"{name} claims switches that would take {header.work:,} steps to read; "
            f"{length:,} bytes of switches may take {allowed:,} (docs/format.md)"
        )


def _window_bytes(window: Window) -> bytes:
    if window == Window():
        return b"\0"
    pairs = (*window.kernel, *window.stride, *window.padding, *window.dilation, int(window.ceil_mode))
    return b"\1" + b"".join(map(_varint, pairs))


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; a set eighth bit says that more follow."""
    return bytes(_seven_bits(number))


def _seven_bits(number: int) -> Iterator[int]:
    while number > 127:
        yield number & 127 | 128
        number >>= 7
    yield number


class _Reader:
    def __init__(self, data: bytes, at: int, name: str) -> None:
        self.data, self.at, self.name = data, at, name

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise FormatError(f"{self.name} is cut short: it ends within the header")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 35:
                raise FormatError(f"{self.name} has a number of more than six bytes in its header")
        if number >= _LIMIT or (byte == 0 and shift):
            raise FormatError(f"{self.name} has a number out of range in its header")
        return number
