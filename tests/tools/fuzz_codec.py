"""Hostile switch files: `python tests/tools/fuzz_codec.py 20000` attacks the reader with 20,000 of them.

Half of them carry checksums that hold, so that what lies behind those is reached.
"""

import random
import sys
import time
import tracemalloc
import zlib
from collections import Counter
from functools import cache

import torch

from maxtunnel.codec import dumps, loads, read_header
from maxtunnel.codec.format import Header, Part, write_header
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.support.files import FormatError
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window
from maxtunnel.zoo.names import load

# A file of a few hundred bytes takes less than this, whatever it says.
SECONDS, MEGABYTES = 10.0, 200.0


@cache
def samples() -> dict[str, bytes]:
    """Small files of every coding."""
    network = load("8-8-8")
    image = to_float(resize(demo_photographs()["coffee"], (8, 8)))[None]
    code = network.encode(image)
    x = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0)).relu()
    window = Window(3, 2, 1)
    other = SwitchCode((SwitchLevel(pool(x, window)[1], window, (9, 8)),), (9, 8))
    return {
        "learned": dumps(code, network),
        "adaptive": dumps(SwitchCode(code.levels[:1], (8, 8))),
        "packed": dumps(other, coding="packed"),
        "window": dumps(other),
    }


def attack(count: int, seed: int) -> Counter[str]:
    """Read `count` damaged files; an exception other than FormatError, or invalid codes, pass through."""
    generator = random.Random(seed)
    outcome: Counter[str] = Counter()
    for number in range(count):
        data = generator.choice(list(samples().values()))
        data = _mend(data, generator) if number % 2 else _damage(data, generator)
        began = time.process_time()
        try:
            loads(data).check()
            outcome["valid"] += 1
        except FormatError:
            outcome["refused"] += 1
        seconds = time.process_time() - began
        assert seconds < SECONDS, f"{seconds:.1f} s for {data!r}"
    return outcome


def _damage(data: bytes, generator: random.Random) -> bytes:
    """Bytes changed, put in, taken out, repeated or cut off."""
    wounded = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 5, 20))):
        at = generator.randrange(len(wounded) + 1)
        kind = generator.randrange(5)
        if kind == 0:
            wounded[at : at + 1] = generator.randbytes(1)
        elif kind == 1:
            wounded[at:at] = generator.randbytes(generator.randrange(1, 9))
        elif kind == 2:
            del wounded[at : at + generator.randrange(1, 9)]
        elif kind == 3:
            wounded[at:at] = wounded[at : at + generator.randrange(1, 40)]
        else:
            wounded = wounded[: max(at, 1)]
    return bytes(wounded)


def _mend(data: bytes, generator: random.Random) -> bytes:
    """Other numbers in the header, or other bytes in the parts, and checksums that hold."""
    header = read_header(data)
    bodies = [bytes(data[slice(*header.span(level))]) for level in range(1, len(header.parts) + 1)]
    parts = list(header.parts)
    for level in range(len(parts)):
        if generator.random() < 0.5:
            bodies[level] = _damage(bodies[level], generator) if bodies[level] else generator.randbytes(3)
        if generator.random() < 0.15:
            parts[level] = _other(parts[level], generator)
    parts = [
        Part(p.coding, p.window, p.size, p.channels, len(body), zlib.crc32(body))
        for p, body in zip(parts, bodies, strict=True)
    ]
    if generator.random() < 0.2 and len(parts) > 1:
        parts.pop(generator.randrange(len(parts)))
    head = write_header(
        Header(
            generator.choice((header.images, header.images, header.images, 1, 3, 2**31)),
            generator.choice((*[header.image_size] * 5, (1, 65536))),
            # The levels of a file that names a shipped network are compared with it before all else.
            generator.choice((header.network, bytes(16), generator.randbytes(16))),
            generator.choice((*[header.prior] * 7, generator.randbytes(8))),
            tuple(parts),
        )
    )
    if generator.random() < 0.2:
        # Nonsense in the header under a checksum that holds.
        body = bytearray(head[:-4])
        body[generator.randrange(9, len(body))] = generator.randrange(256)
        head = bytes(body) + zlib.crc32(body).to_bytes(4, "little")
    return head + b"".join(reversed(bodies))


def _other(part: Part, generator: random.Random) -> Part:
    window = generator.choice(
        (part.window, Window(), Window(3, 2, 1), Window(16, 5), Window(2, ceil_mode=True))
    )
    size = generator.choice((part.size, (8, 8), (1, 1), (65536, 2), (2, 65536), (100, 30)))
    channels = generator.choice((part.channels, 1, 8, 2**16, generator.randrange(1, 100)))
    coding = generator.choice(("packed", "adaptive", "learned"))
    return Part(coding, window, size, channels, 0, 0)


def main() -> None:
    count, began = int(sys.argv[1]), time.process_time()
    samples()
    tracemalloc.start()
    outcome = attack(count, seed=1)
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    assert megabytes < MEGABYTES, f"{megabytes:.0f} MB at once"
    spent = f"{time.process_time() - began:.0f} s of processor time, at most {megabytes:.0f} MB at once"
    print(f"{count:,} files in {spent}: {dict(outcome)}")


if __name__ == "__main__":
    main()
