"""What a measurement ran on: the processor, and the versions that its numbers depend on."""

import platform
from pathlib import Path

import torch

from maxtunnel import __version__


def processor() -> str:
    """The processor's name, or where the system does not tell it, its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def versions() -> dict[str, str]:
    """Versions of this package, of PyTorch and of Python."""
    return {"maxtunnel": __version__, "torch": torch.__version__, "python": platform.python_version()}
