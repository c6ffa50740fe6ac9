"""How much memory there is for more, and how this process gets it."""

import ctypes
import errno
import sys
from contextlib import suppress
from pathlib import Path

from maxtunnel.support.system import main_memory

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

# As PyTorch, CUDA's libraries and C++ put it, in small letters.
_OUT_OF_MEMORY = ("out of memory", "allocate memory", "alloc_failed", "bad_alloc")


def free_memory() -> int:
    """Bytes of main memory that new data may take; what only caches files counts as free.

    Where the system does not tell (macOS, Windows), half of all there is.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return main_memory() // 2
    available = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(available.split()[1]) * 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, the machine's or a GPU's, was too small.

    PyTorch raises a RuntimeError, which only its text tells from others.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return any(words in str(error).lower() for words in _OUT_OF_MEMORY)
    return isinstance(error, MemoryError)


def keep_freed_memory() -> None:
    """Let this process reuse the memory of freed tensors instead of handing it back to the system.

    By default glibc maps every large block anew, and the page faults of a fresh 67 MB tensor cost more than
    the arithmetic on it: docs/benchmarks.md has a training step with and without. A setting of the whole
    process, so programs make it, not libraries: the command line does. Does nothing without glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def give_back_freed() -> None:
    """Hand the memory of freed tensors back to the system, whatever `keep_freed_memory` says.

    What is small and kept, such as the error of a photograph, comes to lie between large tensors, which then
    have to be put elsewhere once they were freed: `evaluate` came to 22 GB after 80,000 photographs. Does
    nothing without glibc.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def held_memory(*, peak: bool = False) -> int | None:
    """Bytes that this process holds, or held at most so far; None where the system does not tell."""
    return _status("VmHWM" if peak else "VmRSS")


def forget_peak() -> None:
    """Count the peak of `held_memory` from here, where the system lets a process do so."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
