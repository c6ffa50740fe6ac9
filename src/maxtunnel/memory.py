"""How much memory there is for more."""

import os
from pathlib import Path


def free_memory() -> int:
    """Bytes of main memory that new data may take; what only caches files counts as free.

    Where the system does not tell (macOS), half of all there is.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    available = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(available.split()[1]) * 1024
