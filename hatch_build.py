"""Compiles native code into a wheel, for every level of processors: see `maxtunnel.native.shipped`.

Turned on by HATCH_BUILD_HOOK_ENABLE_CUSTOM=true; without it a wheel runs anywhere and compiles at first use.
Needs a C++ compiler, named by $CXX or found as c++, with GCC's vectors: GCC or Clang.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FOLDER = ROOT / "src" / "maxtunnel" / "native"
FLAGS = ("-O3", "-std=c++17", "-fPIC", "-Wno-psabi")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the libraries to the wheel, which then is one for this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless for an editable install, which compiles at first use."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        built = Path(self._folder.name)
        compile_all(built)
        for path in built.rglob("*.so"):
            target = f"maxtunnel/native/built/{path.relative_to(built).as_posix()}"
            build_data["force_include"][str(path)] = target
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        if version != "editable":
            self._folder.cleanup()


def compile_all(folder: Path, sources: tuple[str, ...] | None = None) -> None:
    """Compile sources, or all, for every level of this kind of processor into `folder`.

    Raises:
        RuntimeError: the kind of processor is not known, or there is no compiler.
        subprocess.CalledProcessError: it fails.
    """
    sys.path.insert(0, str(ROOT / "src"))
    from maxtunnel.native.build import SOURCES
    from maxtunnel.native.shipped import levels

    compiler = shutil.which(os.environ.get("CXX", "c++"))
    found = levels(platform.machine())
    if compiler is None or not found:
        raise RuntimeError(
            f"no kernels for {platform.machine()} with compiler {compiler}: build without the hook"
        )
    if sys.platform == "win32":
        # GCC puts wider vectors than those of the lowest level where Windows does not align them: bug 54412.
        found = dict(list(found.items())[:1])
    _compile(compiler, "processor", folder / "processor.so", next(iter(found.values())))
    for level, flags in found.items():
        (folder / level).mkdir()
        for name in sources or SOURCES:
            _compile(compiler, name, folder / level / f"{name}.so", flags)


def _compile(compiler: str, name: str, target: Path, flags: tuple[str, ...]) -> None:
    source = str(FOLDER / f"{name}.cpp")
    if sys.platform == "linux":
        # Compiled and linked apart: its OpenMP runtime is not named, so that PyTorch's serves.
        parts = target.with_suffix(".o")
        subprocess.run([compiler, *FLAGS, *flags, "-fopenmp", "-c", source, "-o", str(parts)], check=True)
        subprocess.run([compiler, "-shared", "-s", str(parts), "-o", str(target)], check=True)
        parts.unlink()
    else:
        alone = ("-static",) if sys.platform == "win32" else ()
        subprocess.run([compiler, *FLAGS, *flags, "-shared", *alone, source, "-o", str(target)], check=True)
