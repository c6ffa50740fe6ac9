"""C++ compiled at first use for this processor, and the one switch that turns it off, and Triton with it.

A wheel may bring it along compiled (`shipped`), which then is used; where the environment variable
MAXTUNNEL_NATIVE is `compile`, it is compiled all the same, for this very processor.

That needs a C++ compiler, named by $CXX or found as c++. Where there is none, or it fails, a warning says so
and plain versions do the work, slower and right to the same rounding. So they do where MAXTUNNEL_NATIVE is 0,
and inside `disabled`.

What is compiled is kept in the user's cache folder. Processes that want the same library at the same time
compile it once: the first takes a lock, the others say that they wait for it.
"""

import atexit
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from maxtunnel.native import shipped
from maxtunnel.support.files import replacing
from maxtunnel.support.locks import take
from maxtunnel.support.system import cache_folder

SOURCES = ("pooling", "convolution", "planar", "codec", "contours")
# Seconds that a compilation, or waiting for another process's, may take. Some ten are usual.
LONGEST = 900.0
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared")
# PyTorch has its OpenMP runtime loaded already, so the kernels share its threads.
_FLAG_SETS = ((*_FLAGS, "-fopenmp"), _FLAGS)
_FOLDER = Path(__file__).parent
_counting = threading.Lock()
# How many reasons there are at this moment to do without native code.
_reasons = int(os.environ.get("MAXTUNNEL_NATIVE") == "0")


@contextmanager
def disabled() -> Iterator[None]:
    """Within it, in every thread, plain versions do all the work."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def enabled() -> bool:
    """Whether native code, of a CPU or of a GPU, is not turned off."""
    return _reasons == 0


def available(name: str) -> bool:
    """Whether `NAME.cpp` is, or can be, compiled here, and native code is not turned off."""
    return enabled() and _load(name) is not None


def library(name: str) -> ctypes.CDLL:
    """`NAME.cpp`, compiled; RuntimeError where it is not `available`."""
    if not available(name):
        raise RuntimeError(f"{name}.cpp is not available here: ask `supported` before calling it")
    found = _load(name)
    assert found is not None
    return found


def build(name: str, folder: Path) -> Path | None:
    """The shared library of `NAME.cpp` in `folder`, compiled unless it is there.

    Returns:
        None where there is no compiler or it fails, which a warning says.

    Raises:
        OSError: the folder cannot be written.
    """
    compiler = _compiler()
    if compiler is None:
        return None
    path = folder / f"{name}-{_key(name, compiler)}.so"
    if not path.exists():
        _check_writable(folder)
        with _lock(folder):
            # Another process may have compiled it in the meantime.
            try:
                if not path.exists():
                    _compile(compiler, _FOLDER / f"{name}.cpp", path)
            except _CompilerFailed as error:
                _explain(str(error))
                return None
    return path


@cache
def _load(name: str) -> ctypes.CDLL | None:
    """None where it cannot be compiled or loaded, which a warning says."""
    if os.environ.get("MAXTUNNEL_NATIVE") != "compile" and (brought := shipped.load(name)) is not None:
        return brought
    folder = _cache_folder()
    try:
        path = build(name, folder)
    except OSError as error:
        _warn(
            f"the cache folder {folder} cannot be written ({error.strerror or error}): native code is "
            "compiled into a temporary folder, in every process again; XDG_CACHE_HOME may name a better one"
        )
        path = build(name, _temporary_folder())
    try:
        return None if path is None else ctypes.CDLL(str(path))
    except OSError as error:
        _explain(f"{path} cannot be loaded ({error})")
        return None


def _count(change: int) -> None:
    global _reasons
    with _counting:
        _reasons += change


@cache
def _compiler() -> str | None:
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        _explain("there is no C++ compiler")
    return compiler


class _CompilerFailed(Exception):
    """The message says which, over what and why."""


def _compile(compiler: str, source: Path, target: Path) -> None:
    _warn("compiling native code for this processor, once for this machine; it may take a minute")
    with replacing(target) as temporary:
        for flags in _FLAG_SETS:
            reason = _run([compiler, *flags, str(source), "-o", str(temporary)])
            if not reason:
                return
        raise _CompilerFailed(f"{Path(compiler).name} could not compile {source.name} ({reason})")


def _run(command: list[str]) -> str:
    """Run a compiler; why it failed, or nothing."""
    # Into a file: a pipe would be held open by the compiler's own children when it is stopped.
    with tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=errors, timeout=LONGEST, check=False
            )
        except subprocess.TimeoutExpired:
            return f"it took more than {LONGEST:g} seconds"
        except OSError as error:
            return str(error)
        errors.seek(0)
        lines = [line.strip() for line in errors if "error" in line]
    return "" if done.returncode == 0 else (lines or [f"exit status {done.returncode}"])[0][:200]


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Within it, no other process compiles into `folder`."""
    with (folder / "lock").open("w") as file:
        if not take(file):
            _warn(f"native code is being compiled into {folder} already: waiting for that")
            until = time.monotonic() + LONGEST
            while not take(file):
                if time.monotonic() > until:
                    _warn(f"that takes more than {LONGEST:g} seconds: compiling here too")
                    break
                time.sleep(0.1)
        yield


def _check_writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@cache
def _explain(reason: str) -> None:
    """Say once why plain versions do the work."""
    _warn(f"{reason}: plain versions do the work, slower")


@cache
def _warn(message: str) -> None:
    """Say something once; without a logging set-up of its own, a program shows it on standard error."""
    logging.getLogger("maxtunnel").warning("%s", message)


def _cache_folder() -> Path:
    try:
        return cache_folder() / "maxtunnel"
    except RuntimeError:  # A user without a home.
        return _temporary_folder()


@cache
def _temporary_folder() -> Path:
    """A folder that goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="maxtunnel-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _key(name: str, compiler: str) -> str:
    """What decides the library: its source, the compiler, the flags and the processor."""
    content = b"".join(path.read_bytes() for path in (_FOLDER / f"{name}.cpp", *sorted(_FOLDER.glob("*.h"))))
    key = hashlib.sha256(content + repr((compiler, _FLAG_SETS, _processor())).encode())
    return key.hexdigest()[:16]


def _processor() -> str:
    """What `-march=native` depends on: a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))
