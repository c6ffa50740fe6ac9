"""Native code that a wheel brings along: how it is compiled, chosen and called."""

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from maxtunnel.native import pooling, shipped

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "c++")) is None or not shipped.levels(platform.machine()),
    reason="no C++ compiler here, or no kernels for this kind of processor",
)


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(hook, tmp_path_factory):
    """pooling.cpp for the lowest level."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        levels = dict(list(shipped.levels(platform.machine()).items())[:1])
        patch.setattr(shipped, "levels", lambda machine: levels)
        hook.compile_all(folder, ("pooling",))
    return folder


def test_what_the_hook_compiles_computes_what_pytorch_does(built, monkeypatch):
    lowest = next(iter(shipped.levels(platform.machine())))
    assert shipped.find("pooling", built) == built / lowest / "pooling.so"
    library = shipped.load("pooling", built)
    monkeypatch.setattr(pooling, "library", lambda name: library)
    x = torch.randn(2, 5, 46, 38, generator=torch.Generator().manual_seed(0))
    for planes in (x, x.contiguous(memory_format=torch.channels_last)):
        values, codes = pooling.pool(planes)
        expected, indices = F.max_pool2d(planes, 2, return_indices=True)
        assert torch.equal(values, expected)
        assert torch.equal(codes.long(), (indices // 38 % 2) * 2 + indices % 2)
        assert torch.equal(pooling.put(values, codes), F.max_unpool2d(expected, indices, 2))


def test_it_is_taken_before_a_compiler_is_looked_for(built, tmp_path):
    code = (
        "import sys; from pathlib import Path; from maxtunnel.native import build, shipped\n"
        "shipped.load.__defaults__ = (Path(sys.argv[1]),)\n"
        "print(build.available('pooling'), build.available('codec'))"
    )
    environment = {**os.environ, "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def ask(**more):
        done = subprocess.run(
            [sys.executable, "-c", code, str(built)], env=environment | more,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip(), done.stderr.strip()

    missing = "there is no C++ compiler: plain versions do the work, slower"
    assert ask() == ("True False", missing)
    assert not (tmp_path / "cache").exists()
    # For this very processor, where that is asked for.
    assert ask(MAXTUNNEL_NATIVE="compile") == ("False False", missing)
    assert ask(MAXTUNNEL_NATIVE="0") == ("False False", "")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of other processors there is one level")
@pytest.mark.parametrize(
    ("here", "taken"), [(0, "x86-64"), (1, "x86-64-v3"), (2, "x86-64-v3"), (3, "x86-64-v4-bf16")]
)
def test_the_highest_level_that_the_processor_has_is_taken(here, taken, tmp_path):
    (tmp_path / "level.cpp").write_text(f'extern "C" int level() {{ return {here}; }}')
    subprocess.run(
        ["c++", "-shared", "-fPIC", str(tmp_path / "level.cpp"), "-o", str(tmp_path / "processor.so")],
        check=True,
    )
    for level in ("x86-64", "x86-64-v3", "x86-64-v4-bf16"):  # The fourth is missing.
        (tmp_path / level).mkdir()
        (tmp_path / level / "planar.so").touch()
    assert shipped.find("planar", tmp_path) == tmp_path / taken / "planar.so"
    assert shipped.find("codec", tmp_path) is None
    # What is damaged is passed over: it is compiled then.
    assert shipped.load("planar", tmp_path) is None


def test_the_processors_level_is_what_the_system_says(built):
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.exists():
        pytest.skip("the system does not say what the processor has")
    has = set(next(line for line in flags.read_text().splitlines() if line.startswith("flags")).split())
    expected = 0
    if {"avx2", "fma", "bmi1", "bmi2", "popcnt"} <= has:
        expected = 1
        if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= has:
            expected = 3 if "avx512_bf16" in has else 2
    assert ctypes.CDLL(str(built / "processor.so")).level() == expected


def test_the_wheel_is_one_for_this_platform(hook, monkeypatch):
    def pretend(folder):
        (folder / "x86-64").mkdir()
        (folder / "x86-64" / "pooling.so").touch()

    monkeypatch.setattr(hook, "compile_all", pretend)
    maker = hook.CustomBuildHook(str(ROOT), {}, None, None, "", "wheel")
    data = {"force_include": {}}
    maker.initialize("standard", data)
    (path,) = data["force_include"]
    assert data["force_include"][path] == "maxtunnel/native/built/x86-64/pooling.so"
    assert data["tag"].startswith("py3-none-")
    assert data["pure_python"] is False
    maker.finalize("standard", data, "")
    assert not Path(path).exists()
    data = {"force_include": {}}
    maker.initialize("editable", data)
    assert data == {"force_include": {}}


def test_without_a_compiler_the_hook_says_what_to_do(hook, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match="build without the hook"):
        hook.compile_all(tmp_path)
