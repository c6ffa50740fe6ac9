"""How fast switch files are written and read, on one core: the table of docs/codec.md.

OMP_NUM_THREADS=1 python tools/codec_speed.py
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from maxtunnel.codec import dumps, loads
from maxtunnel.codec.packed import pack, unpack
from maxtunnel.data.images import demo_photographs, resize, to_float
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
    codes = np.random.default_rng(0).integers(0, 4, 2**26, dtype=np.uint8)
    packed = pack(codes, 4)
    writing = len(codes) / seconds(lambda: pack(codes, 4)) / 1e6
    reading = len(codes) / seconds(lambda: unpack(packed, len(codes), 4)) / 1e6
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
