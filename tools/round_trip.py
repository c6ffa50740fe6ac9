"""Write and read a switch file of every photograph of a store, in an order drawn with seed 0.

python tools/round_trip.py STORE 8-8-8
"""

import sys
from pathlib import Path

import numpy as np
import torch

from maxtunnel.codec import dumps, loads, read_header
from maxtunnel.data import read_photographs
from maxtunnel.data.images import to_float
from maxtunnel.evaluation.intervals import bootstrap
from maxtunnel.zoo.names import load

BATCH = 50


def main() -> None:
    store, name = Path(sys.argv[1]), sys.argv[2]
    network, pixels = load(name), read_photographs(store, 128).pixels
    order = np.random.default_rng(0).permutation(len(pixels))
    shares: list[float] = []
    levels: list[list[float]] = []
    for start in range(0, len(order), BATCH):
        some = torch.stack([pixels[int(i) : int(i) + 1][0] for i in order[start : start + BATCH]])
        codes = network.encode(to_float(some))
        for number in range(len(codes)):
            code = codes[number]
            data = dumps(code, network)
            if loads(data) != code:
                raise SystemExit(f"photograph {order[start + number]} does not come back")
            shares.append(8 * len(data) / code.nominal_bits)
            levels.append([8 * part.length / part.codes for part in read_header(data).parts])
        low, high = bootstrap(torch.tensor(shares, dtype=torch.float64))
        each = ", ".join(f"{bits:.3f}" for bits in np.mean(levels, 0))
        print(
            f"{name}: {len(shares):,} photographs exact, files of {np.mean(shares):.2%} of nominal "
            f"({low:.2%} to {high:.2%}; of one {min(shares):.1%} to {max(shares):.1%}), bits a switch {each}",
            flush=True,
        )


if __name__ == "__main__":
    main()
