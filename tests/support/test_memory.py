import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from maxtunnel.support.memory import free_memory, held_memory, is_out_of_memory

MEMINFO = """MemTotal:       24615812 kB
MemFree:          812000 kB
MemAvailable:   20600400 kB
Cached:         19000000 kB
"""


def test_files_in_the_cache_count_as_free(monkeypatch):
    """Otherwise a store that was just written would look like memory that is taken."""
    monkeypatch.setattr(Path, "read_text", lambda path: MEMINFO)
    assert free_memory() == 20_600_400 * 1024


def test_a_system_that_does_not_tell(monkeypatch):
    def refuse(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert free_memory() > 2**28


@pytest.mark.parametrize("allocate", [torch.empty, np.empty])
def test_a_tensor_and_an_array_that_do_not_fit(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        allocate(2**55)
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("unable to mmap 8 bytes from file <x>: Cannot allocate memory (12)"), True),
        (RuntimeError("std::bad_alloc"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (MemoryError(), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (RuntimeError("the size of tensor a (3) must match the size of tensor b (4)"), False),
        (RuntimeError("deallocated storage"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_was_too_small_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


BETWEEN = """
from maxtunnel.support.memory import give_back_freed, held_memory, keep_freed_memory

keep_freed_memory()
large, small = [], []
for number in range(1000):
    large.append(b"x" * 2**16)
    small.append(bytes(600 + number % 2))
del large
before = held_memory()
give_back_freed()
print(before - held_memory())
"""


@pytest.mark.skipif(sys.platform != "linux" or held_memory() is None, reason="not Linux")
def test_memory_between_what_is_kept_is_given_back():
    """In a process of its own: in one that has freed much before, blocks come to lie anywhere."""
    done = subprocess.run([sys.executable, "-c", BETWEEN], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40 * 2**20
