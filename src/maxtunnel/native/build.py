"""C++ compiled at first use for this processor, and the one switch that turns it off.

Needs a C++ compiler named by $CXX or found as c++. Where there is none, or it fails, the log says so once and
the plain versions do the work, with the same results, slower. So they do where the environment variable
MAXTUNNEL_NATIVE is 0, and inside `disabled`.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from maxtunnel.support.files import replacing

SOURCES = ("pooling", "convolution", "planar", "codec")
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared")
# PyTorch has its OpenMP runtime loaded already, so the kernels share its threads.
_FLAG_SETS = ((*_FLAGS, "-fopenmp"), _FLAGS)
_FOLDER = Path(__file__).parent
_enabled = os.environ.get("MAXTUNNEL_NATIVE") != "0"


@contextmanager
def disabled() -> Iterator[None]:
    """Within it, in every thread, plain versions do all the work."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def available(name: str) -> bool:
    """Whether `NAME.cpp` is, or can be, compiled here, and is not turned off."""
    return _enabled and _load(name) is not None


def library(name: str) -> ctypes.CDLL:
    """`NAME.cpp`, compiled; RuntimeError where it is not `available`."""
    found = _load(name) if _enabled else None
    if found is None:
        raise RuntimeError(f"{name}.cpp is not available: ask `available` first")
    return found


@cache
def _load(name: str) -> ctypes.CDLL | None:
    """None where it cannot be compiled or loaded, which the log says once."""
    path = build(name, _cache_folder())
    try:
        return None if path is None else ctypes.CDLL(str(path))
    except OSError as error:
        _explain(f"{path} cannot be loaded ({error})")
        return None


def build(name: str, folder: Path) -> Path | None:
    """The shared library of `NAME.cpp` in `folder`, compiled unless it is there; None where that fails."""
    compiler = _compiler()
    if compiler is None:
        return None
    source = _FOLDER / f"{name}.cpp"
    content = b"".join(path.read_bytes() for path in (source, *sorted(_FOLDER.glob("*.h"))))
    key = hashlib.sha256(content + repr((compiler, _FLAG_SETS, _processor())).encode())
    path = folder / f"{source.stem}-{key.hexdigest()[:16]}.so"
    try:
        if not path.exists():
            with replacing(path) as temporary:
                _compile(compiler, source, temporary)
    except (OSError, subprocess.SubprocessError) as error:
        _explain(f"{Path(compiler).name} could not compile {source.name} ({type(error).__name__})")
        return None
    return path


@cache
def _compiler() -> str | None:
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        _explain("there is no C++ compiler")
    return compiler


def _compile(compiler: str, source: Path, target: Path) -> None:
    for flags in _FLAG_SETS:
        done = subprocess.run(
            [compiler, *flags, str(source), "-o", str(target)],
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode == 0:
            return
    done.check_returncode()


def _explain(reason: str) -> None:
    logging.getLogger("maxtunnel").warning(
        "%s: its plain version does the work, with the same results, slower", reason
    )


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maxtunnel"


def _processor() -> str:
    """What `-march=native` depends on: a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))
