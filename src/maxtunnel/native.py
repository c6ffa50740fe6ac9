"""C++ compiled at first use for this processor: `kernels.cpp`, `convolution.cpp`, `planar.cpp`, `codec.cpp`.

Needs a C++ compiler named by $CXX or found as c++. Where there is none, or it fails, the log says so once and
the plain versions, in the modules of these names, do the work, with the same results.
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

_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared")
# PyTorch has its OpenMP runtime loaded already, so the kernels share its threads.
_FLAG_SETS = ((*_FLAGS, "-fopenmp"), _FLAGS)
SOURCES = ("kernels", "convolution", "planar", "codec/codec")
_FOLDER = Path(__file__).parent
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
    return library("kernels") is not None


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """See `kernels.pool`; height and width are even."""
    x = x.contiguous(memory_format=memory_format(x))
    n, c, h, w = x.shape
    values = torch.empty((n, c, h // 2, w // 2), dtype=x.dtype, memory_format=memory_format(x))
    codes = torch.empty_like(values, dtype=torch.uint8)
    _call("kernels", "pool", x, values, codes, plane=x)
    return values, codes


def put(values: Tensor, codes: Tensor) -> Tensor:
    """See `kernels.put`; the plane is twice as high and wide. The codes decide the memory format."""
    codes = codes.contiguous(memory_format=memory_format(codes))
    values = values.contiguous(memory_format=memory_format(codes))
    n, c, h, w = codes.shape
    plane = torch.empty((n, c, 2 * h, 2 * w), dtype=values.dtype, memory_format=memory_format(codes))
    _call("kernels", "put", values, codes, plane, plane=plane)
    return plane


def take(plane: Tensor, codes: Tensor) -> Tensor:
    """See `kernels.take`; height and width are even."""
    codes = codes.contiguous(memory_format=memory_format(codes))
    plane = plane.contiguous(memory_format=memory_format(codes))
    values = torch.empty_like(codes, dtype=plane.dtype)
    _call("kernels", "take", plane, codes, values, plane=plane)
    return values


def mask(gradient: Tensor, active: Tensor) -> Tensor:
    """`gradient` where `active` is above 0, else 0; both of one shape and dtype."""
    out = torch.empty_like(active)
    gradient = gradient if gradient.stride() == active.stride() else out.copy_(gradient)
    function = getattr(library("convolution"), f"mask_{_SUFFIX[active.dtype]}")
    count, threads = ctypes.c_int64(active.numel()), ctypes.c_int32(torch.get_num_threads())
    function(*map(_address, (gradient, active, out)), count, threads)
    return out


def convolve_to_colours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3x3 convolution to three channels, float32 whatever `x` is; weight (3, c, 3, 3) and bias in float32."""
    x = x.contiguous(memory_format=torch.channels_last)
    packed = weight.permute(2, 1, 3, 0).contiguous()
    n, _, h, w = x.shape
    out = torch.empty((n, 3, h, w), memory_format=torch.channels_last)
    _call("convolution", "forward", x, packed, bias.contiguous(), out, plane=x)
    return out


def colours_weight_gradient(x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of weight and bias of `convolve_to_colours`; `gradient` is that of its result, float32."""
    x = x.contiguous(memory_format=torch.channels_last)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    packed, bias = torch.zeros(3, x.shape[1], 3, 3), torch.zeros(3)
    _call("convolution", "weights", x, gradient, packed, bias, plane=x)
    return packed.permute(3, 1, 0, 2), bias


def memory_format(x: Tensor) -> torch.memory_format:
    """The order in memory that `x` has, or comes nearest to; channels-last only where the two differ."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def _call(source: str, name: str, *tensors: Tensor, plane: Tensor) -> None:
    n, c, h, w = plane.shape
    if source == "kernels" and memory_format(plane) == torch.contiguous_format:
        n, c = n * c, 1
    shape = _Shape(n, h, w, c, torch.get_num_threads())
    function = getattr(library(source), f"{name}_{_SUFFIX[plane.dtype]}")
    function(*map(_address, tensors), ctypes.byref(shape))


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


@cache
def library(name: str) -> ctypes.CDLL | None:
    """`NAME.cpp` of this package, compiled; None where that cannot be done, which the log says once."""
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
