"""What systems lack is asked for in one file, which is tried as on Windows too."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from maxtunnel.support import system
from maxtunnel.support.locks import take

SOURCE = Path(__file__).parents[2] / "src" / "maxtunnel"
# Windows has none of these.
LACKING = re.compile(
    r"\b(fcntl|termios|pwd)\b|import resource"
    r"|os\.(sysconf|statvfs|uname|get[eu]*id|fork|killpg|setsid|sched_\w+|nice|mkfifo)\b"
    r"|signal\.SIG(KILL|HUP|USR\d|ALRM|CHLD|PIPE)"
)


@pytest.fixture
def windows(monkeypatch):
    """As on Windows, where `held` names the files that are locked."""
    held = set()

    def locking(handle, mode, count):
        if handle in held:
            raise PermissionError(13, "Permission denied")
        held.add(handle)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(system, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2), raising=False)
    return held


def test_what_windows_lacks_is_asked_for_in_one_file():
    found = [path for path in SOURCE.rglob("*.py") if LACKING.search(path.read_text(encoding="utf-8"))]
    assert found == [SOURCE / "support" / "system.py"]


def test_a_lock_of_windows(tmp_path, windows):
    with (tmp_path / "lock").open("w") as file:
        assert take(file)
        # Another process's, as far as Windows says.
        assert windows == {file.fileno()}
        assert not take(file)


def test_main_memory():
    assert 1e8 < system.main_memory() < 1e15


def test_main_memory_of_windows(windows, monkeypatch):
    def say(pointer):
        pointer._obj.value = 8 * 2**20
        return 1

    kernel = SimpleNamespace(GetPhysicallyInstalledSystemMemory=say)
    import ctypes

    monkeypatch.setattr(system, "ctypes", ctypes, raising=False)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    assert system.main_memory() == 8 * 2**30


def test_folders(tmp_path, windows, monkeypatch):
    assert not system.is_read_only(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert system.cache_folder() == tmp_path
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert system.cache_folder() == tmp_path / ".cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert system.cache_folder() == tmp_path / "there"
    assert not system.is_read_only(tmp_path)
