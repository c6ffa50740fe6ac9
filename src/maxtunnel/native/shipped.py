"""Native code that a wheel brings along, compiled for some levels of processors; the highest here is taken.

`hatch_build.py` compiles it where wheels are built. A checkout, and a wheel for any platform, hold none.
"""

import ctypes
import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path

BUILT = Path(__file__).parent / "built"
# Without it the layer to three channels takes half as long again on a processor with AVX-512.
_TUNED = "-mtune=icelake-server"
# What a level is compiled with, lowest first: each runs what those before it run. `level` of processor.cpp
# gives its place.
LEVELS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {
        "x86-64": ("-march=x86-64",),
        "x86-64-v3": ("-march=x86-64-v3", "-mtune=haswell"),
        "x86-64-v4": ("-march=x86-64-v4", _TUNED),
        "x86-64-v4-bf16": ("-march=x86-64-v4", "-mavx512bf16", _TUNED),
    },
    "aarch64": {"armv8-a": ("-march=armv8-a",)},
}
_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


def levels(machine: str) -> dict[str, tuple[str, ...]]:
    """Compiler flags of every level of a processor that `platform.machine` calls so; empty for others."""
    machine = machine.lower()
    return LEVELS.get(_NAMES.get(machine, machine), {})


def load(name: str, folder: Path = BUILT) -> ctypes.CDLL | None:
    """`NAME.cpp` as it was shipped for this processor; None where nothing was, or it cannot be loaded."""
    path = find(name, folder)
    if path is None:
        return None
    _load_openmp()
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return None


def find(name: str, folder: Path = BUILT) -> Path | None:
    """The library of `NAME.cpp` for the highest level that this processor has and `folder` holds."""
    detector = folder / "processor.so"
    if not detector.is_file():
        return None
    try:
        here = int(ctypes.CDLL(str(detector)).level())
    except OSError:
        return None
    names = list(levels(platform.machine()))[: here + 1]
    return next(
        (path for level in reversed(names) if (path := folder / level / f"{name}.so").is_file()), None
    )


@cache
def _load_openmp() -> None:
    """Offer PyTorch's OpenMP runtime to what calls it: its threads are shared, and none need be installed."""
    torch = find_spec("torch")
    if torch is not None and torch.origin is not None:
        for path in sorted(Path(torch.origin).parent.glob("lib/libgomp*.so*")):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
