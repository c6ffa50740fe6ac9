"""What systems have each in their own way: all that Windows lacks of the others is asked for here."""

import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import ctypes
    import msvcrt
else:
    import fcntl


def lock(file: IO[str]) -> None:
    """Lock an open file for this process alone, until it is closed.

    Raises:
        BlockingIOError: another process has it.
        OSError: the file system has no locks.
    """
    if sys.platform == "win32":
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError(f"{file.name} is locked") from None
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def main_memory() -> int:
    """Bytes of main memory that the machine has."""
    if sys.platform == "win32":
        kilobytes = ctypes.c_ulonglong()
        if not ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes)):
            raise OSError("Windows does not say how much memory there is")
        return kilobytes.value * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def is_read_only(folder: Path) -> bool:
    """Whether a folder is on a file system that nobody may write to; False where the system does not tell."""
    return sys.platform != "win32" and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def cache_folder() -> Path:
    """Where programs keep what they can make again, for this user; XDG_CACHE_HOME names another place.

    Raises:
        RuntimeError: the user has no home.
    """
    if found := os.environ.get("XDG_CACHE_HOME"):
        return Path(found)
    if sys.platform == "win32" and (found := os.environ.get("LOCALAPPDATA")):
        return Path(found)
    return Path.home() / ".cache"
