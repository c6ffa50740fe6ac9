"""C++ compiled at first use; here `kernels.cpp`: pool, put and take for 2x2 windows on a CPU.

Needs a C++ compiler named by $CXX or found as c++. Where there is none, or it fails, the log says so once and
the plain versions (for the kernels those in `kernels.py`) do the work, with the same results.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from maxtunnel.files import replacing

_SOURCE = Path(__file__).with_name("kernels.cpp")
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared")
# PyTorch has its OpenMP runtime loaded already, so the kernels share its threads.
_FLAG_SETS = ((*_FLAGS, "-fopenmp"), _FLAGS)
_SUFFIX = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class _Shape(ctypes.Structure):
    _fields_ = (
        ("batch", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("threads", ctypes.c_int32),
    )


def can(x: Tensor) -> bool:
    """Whether the compiled kernels take this tensor."""
    return x.device.type == "cpu" and x.dtype in _SUFFIX and not torch.compiler.is_compiling() and available()


def available() -> bool:
    """Whether the kernels are, or can be, compiled here."""
    return library(_SOURCE) is not None


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """See `kernels.pool`; height and width are even."""
    x = x.contiguous(memory_format=_format(x))
    n, c, h, w = x.shape
    values = torch.empty((n, c, h // 2, w // 2), dtype=x.dtype, memory_format=_format(x))
    codes = torch.empty_like(values, dtype=torch.uint8)
    _call("pool", x, values, codes, plane=x)
    return values, codes


def put(values: Tensor, codes: Tensor) -> Tensor:
    """See `kernels.put`; the plane is twice as high and wide. The codes decide the memory format."""
    codes = codes.contiguous(memory_format=_format(codes))
    values = values.contiguous(memory_format=_format(codes))
    n, c, h, w = codes.shape
    plane = torch.empty((n, c, 2 * h, 2 * w), dtype=values.dtype, memory_format=_format(codes))
    _call("put", values, codes, plane, plane=plane)
    return plane


def take(plane: Tensor, codes: Tensor) -> Tensor:
    """See `kernels.take`; height and width are even."""
    codes = codes.contiguous(memory_format=_format(codes))
    plane = plane.contiguous(memory_format=_format(codes))
    values = torch.empty_like(codes, dtype=plane.dtype)
    _call("take", plane, codes, values, plane=plane)
    return values


def _format(x: Tensor) -> torch.memory_format:
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def _call(name: str, *tensors: Tensor, plane: Tensor) -> None:
    n, c, h, w = plane.shape
    innermost = c if _format(plane) == torch.channels_last else 1
    shape = _Shape(n * c // max(innermost, 1), h, w, innermost, torch.get_num_threads())
    function = getattr(library(_SOURCE), f"{name}_{_SUFFIX[plane.dtype]}")
    function(*(ctypes.c_void_p(t.data_ptr()) for t in tensors), ctypes.byref(shape))


@cache
def library(source: Path) -> ctypes.CDLL | None:
    """The functions of a C++ file, compiled unless an earlier run did; None where that cannot be done."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        _explain("there is no C++ compiler")
        return None
    key = hashlib.sha256(source.read_bytes() + repr((compiler, _FLAG_SETS, _processor())).encode())
    path = _cache_folder() / f"{source.stem}-{key.hexdigest()[:16]}.so"
    try:
        if not path.exists():
            with replacing(path) as temporary:
                _compile(compiler, source, temporary)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        _explain(f"{Path(compiler).name} could not compile {source.name} ({type(error).__name__})")
        return None


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
        "%s: the plain versions run instead, with the same results, slower", reason
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
