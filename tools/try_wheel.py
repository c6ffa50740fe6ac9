"""Whether an installed wheel computes natively where there is no compiler, and how fast.

    python tools/try_wheel.py [--against-compiled]

Hides every compiler, asks for each library, and compares results and times with those of the plain versions.
With `--against-compiled`, to be given where there is a compiler, the same is compiled for this very processor
and timed in turns with the wheel's.
"""

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from maxtunnel import load, native, pool
from maxtunnel.native import build, convolution, shipped

ROUNDS = 20


def main() -> None:
    torch.manual_seed(0)
    compilers = os.environ.get("CXX")
    os.environ["CXX"] = "no-such-compiler"
    found = {name: shipped.find(name) for name in build.SOURCES}
    missing = [name for name, path in found.items() if path is None or not build.available(name)]
    if missing:
        raise SystemExit(f"this wheel has no native code for this processor: {', '.join(missing)}")
    print("shipped for", found["planar"].parent.name)
    work = prepare()
    plain = check(work)
    ways = {"wheel": {name: shipped.load(name) for name in build.SOURCES}}
    if "--against-compiled" in sys.argv:
        del os.environ["CXX"]
        os.environ |= {} if compilers is None else {"CXX": compilers}
        build._compiler.cache_clear()
        folder = Path(tempfile.mkdtemp())
        ways["compiled"] = {name: ctypes.CDLL(str(build.build(name, folder))) for name in build.SOURCES}
    for name, times in in_turns(work, ways).items():
        told = ", ".join(f"{way} {1000 * best:.1f} ms" for way, best in times.items())
        print(f"{name}: plain {1000 * plain[name]:.1f} ms, {told}")


def prepare() -> dict[str, Callable[[], object]]:
    """What is timed: each on 16 photographs of 128x128, or planes of such."""
    images, planes = torch.rand(16, 3, 128, 128), torch.randn(16, 16, 128, 128)
    last = planes.contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(3, 16, 3, 3), torch.zeros(3)
    network = load("16-16-16")
    code = network.encode(images)
    return {
        "pool": lambda: pool(planes)[0],
        "encode": lambda: torch.cat([level.codes.flatten() for level in network.encode(images).levels]),
        "decode": lambda: network.decode(code),
        "to colours": lambda: convolve(last, weight, bias),
    }


def convolve(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The last layer of a decoder, natively where that is on."""
    if convolution.supported(x):
        return convolution.convolve_to_colours(x, weight, bias)
    return torch.nn.functional.conv2d(x, weight, bias, padding=1)


def check(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the plain versions, which must give the same."""
    seconds = {}
    for name, one in work.items():
        ours = one()
        with native.disabled():
            began = time.perf_counter()
            plain = one()
            seconds[name] = time.perf_counter() - began
        if name == "encode":
            assert (ours == plain).double().mean() > 0.999
        else:
            torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    return seconds


def in_turns(
    work: dict[str, Callable[[], object]], ways: dict[str, dict[str, ctypes.CDLL]]
) -> dict[str, dict[str, float]]:
    """Seconds of the fastest of some runs, by what was done and with whose libraries."""
    best: dict[str, dict[str, float]] = {name: {} for name in work}
    for _ in range(ROUNDS):
        for way, libraries in ways.items():
            build._load = libraries.get
            for name, one in work.items():
                began = time.perf_counter()
                one()
                best[name][way] = min(best[name].get(way, 1e9), time.perf_counter() - began)
    return best


if __name__ == "__main__":
    main()
