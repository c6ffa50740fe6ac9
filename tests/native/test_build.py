"""One switch, and compiling once: in subprocesses, since a process compiles and warns only once."""

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from maxtunnel import native
from maxtunnel.native import build, coder, convolution, planar, pooling

needs_compiler = pytest.mark.skipif(not build.available("pooling"), reason="no C++ compiler here")
# Whether a library can be had, in a process that imports no PyTorch.
ASK = "from maxtunnel.native.build import available; print(available('pooling'))"


def start(code, cache, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **{k: str(v) for k, v in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(cache, code=ASK, **environment):
    """What a process printed, and what it said on standard error."""
    process = start(code, cache, **environment)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output.strip(), errors


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def fake_compiler(tmp_path):
    """Makes an empty library, counts how often it is called, and waits while there is a file `wait`."""
    (tmp_path / "empty.cpp").write_text("")
    subprocess.run(
        ["c++", "-shared", "-fPIC", str(tmp_path / "empty.cpp"), "-o", str(tmp_path / "empty.so")], check=True
    )
    # The last argument is the target.
    return script(
        tmp_path / "fake-c++",
        f"echo call >> {tmp_path}/calls; while [ -e {tmp_path}/wait ]; do sleep 0.1; done\n"
        f'for target; do :; done; cp {tmp_path}/empty.so "$target"',
    )


def supported():
    import torch

    x = torch.zeros(1, 3, 4, 4)
    return [
        pooling.supported(x),
        convolution.supported(x),
        planar.supported((8,), [torch.nn.Parameter(x)]),
        coder.supported(),
    ]


@needs_compiler
def test_one_switch_turns_all_native_code_off():
    assert all(supported())
    with native.disabled():
        assert not any(supported())
        with native.disabled():
            pass
        assert not any(supported())
        with pytest.raises(RuntimeError, match=r"pooling.cpp is not available"):
            build.library("pooling")
    assert all(supported())


@needs_compiler
def test_threads_that_turn_it_off_do_not_turn_it_on_for_others():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with native.disabled():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    assert not coder.supported()
    with native.disabled():
        leave.set()
        thread.join()
        assert not coder.supported()
    assert coder.supported()


@needs_compiler
def test_any_number_of_threads_computes_the_same():
    """tests/native/test_planar.py has planar.cpp; other tests may run on one thread."""
    import torch

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 46, 38, generator=generator).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(3, 5, 3, 3, generator=generator), torch.randn(3, generator=generator)

    def computed():
        values, codes = pooling.pool(x)
        colours = convolution.convolve_to_colours(x, weight, bias)
        exact = [
            values,
            codes,
            pooling.put(values, codes),
            pooling.take(x, codes),
            convolution.mask(x, x.relu()),
        ]
        return exact, [colours, *convolution.colours_weight_gradient(x, colours)]

    found, threads = [], torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(computed())
    finally:
        torch.set_num_threads(threads)
    (one, sums), (three, other_sums) = found
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))
    torch.testing.assert_close(sums, other_sums, rtol=1e-4, atol=1e-3)


def test_an_environment_variable_turns_it_off_for_a_process(tmp_path):
    code = (
        "from maxtunnel.native import build, coder; import torch, maxtunnel;"
        "print(coder.supported(), build.enabled());"
        "maxtunnel.pool(torch.zeros(1, 1, 4, 4))"
    )
    assert ask(tmp_path / "cache", code, MAXTUNNEL_NATIVE=0, CXX="no-such-compiler") == ("False False", "")
    assert not (tmp_path / "cache").exists()


@needs_compiler
def test_two_processes_compile_once_and_say_so(tmp_path, fake_compiler):
    (tmp_path / "wait").touch()
    first = start(ASK, tmp_path / "cache", CXX=fake_compiler)
    assert first.stderr.readline().startswith("compiling native code for this processor")
    while not (tmp_path / "calls").exists():
        time.sleep(0.05)
    second = start(ASK, tmp_path / "cache", CXX=fake_compiler)
    said = second.stderr.readline()
    assert said.startswith("native code is being compiled into")
    assert said.endswith("waiting for that\n")
    (tmp_path / "wait").unlink()
    assert [process.communicate() for process in (first, second)] == [("True\n", "")] * 2
    assert (tmp_path / "calls").read_text() == "call\n"
    assert ask(tmp_path / "cache", CXX=fake_compiler) == ("True", "")


@needs_compiler
def test_who_has_waited_for_long_compiles_too(tmp_path, fake_compiler):
    (tmp_path / "wait").touch()
    first = start(ASK, tmp_path / "cache", CXX=fake_compiler)
    while not (tmp_path / "calls").exists():
        time.sleep(0.05)
    code = "from maxtunnel.native import build; build.LONGEST = 0.3; print(build.available('pooling'))"
    second = start(code, tmp_path / "cache", CXX=fake_compiler)
    while "that takes more than 0.3 seconds: compiling here too" not in second.stderr.readline():
        assert second.poll() is None
    (tmp_path / "wait").unlink()
    for process in (first, second):
        process.communicate()


@needs_compiler
def test_a_process_says_once_that_it_compiles(tmp_path, fake_compiler):
    code = "from maxtunnel.native.build import available; print(available('pooling'), available('codec'))"
    output, errors = ask(tmp_path / "cache", code, CXX=fake_compiler)
    assert output == "True True"
    assert (tmp_path / "calls").read_text() == "call\ncall\n"
    assert errors.splitlines() == [
        "compiling native code for this processor, once for this machine; it may take a minute"
    ]


@needs_compiler
def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path, fake_compiler):
    (tmp_path / "file").write_text("in the way")
    output, errors = ask(tmp_path / "file", CXX=fake_compiler, TMPDIR=tmp_path)
    assert output == "True"
    assert f"the cache folder {tmp_path}/file/maxtunnel cannot be written (Not a directory)" in errors
    assert "could not compile" not in errors
    assert not list(tmp_path.glob("maxtunnel-*")), "the temporary folder goes with the process"


def test_without_a_compiler_plain_versions_take_over(tmp_path):
    code = (
        "import torch; from torch.nn import functional as F; import maxtunnel\n"
        "x = torch.randn(1, 4, 8, 8); values, codes = maxtunnel.pool(x); maxtunnel.unpool(values, codes)\n"
        "print(torch.equal(values, F.max_pool2d(x, 2)))"
    )
    output, errors = ask(tmp_path / "cache", code, CXX="no-such-compiler")
    assert output == "True"
    assert errors == "there is no C++ compiler: plain versions do the work, slower\n"


def test_a_compiler_that_fails_is_quoted(tmp_path):
    compiler = script(tmp_path / "bad-c++", "echo 'x.cpp:1: error: no such thing' >&2; exit 1")
    output, errors = ask(tmp_path / "cache", CXX=compiler)
    assert output == "False"
    assert "bad-c++ could not compile pooling.cpp (x.cpp:1: error: no such thing): plain versions" in errors
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_a_compiler_that_never_ends_is_given_up_and_that_is_said(tmp_path):
    compiler = script(tmp_path / "stuck-c++", "exec sleep 60")
    code = "from maxtunnel.native import build; build.LONGEST = 0.3; print(build.available('pooling'))"
    began = time.monotonic()
    output, errors = ask(tmp_path / "cache", code, CXX=compiler)
    assert output == "False"
    assert "could not compile pooling.cpp (it took more than 0.3 seconds): plain versions" in errors
    assert time.monotonic() - began < 30
