"""How fast switch files are written and read, on one core: the table of docs/codec.md.

OMP_NUM_THREADS=1 python tools/codec_speed.py
"""

import time
from collections.abc import Callable

import torch

from maxtunnel.codec import dumps, loads
from maxtunnel.data.images import resize, to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.switches.packing import pack, unpack
from maxtunnel.zoo.names import load


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The best of some runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(4, (1, 2**26), dtype=torch.uint8, generator=generator)
    packed = pack(codes, 2)
    writing = codes.numel() / seconds(lambda: pack(codes, 2)) / 1e6
    reading = codes.numel() / seconds(lambda: unpack(packed, codes.shape[1:], 2)) / 1e6
    print(f"packed: {writing:,.0f} MB/s of codes written, {reading:,.0f} read")
    images = to_float(torch.stack([resize(image, (128, 128)) for image in demo_photographs().values()]))
    for name in ("8-8-8", "16-16-16", "24-48-96"):
        network = load(name)
        code = network.encode(images)
        count = sum(level.codes.numel() for level in code.levels)
        for kind, maker in (("with its prior", network), ("adaptive", None)):
            data = dumps(code, maker)
            writing = count / seconds(lambda code=code, maker=maker: dumps(code, maker), 3) / 1e6
            reading = count / seconds(lambda data=data: loads(data), 3) / 1e6
            print(f"entropy, {name}, {kind}: {writing:.1f} million switches/s written, {reading:.1f} read")


if __name__ == "__main__":
    main()
