import errno
import logging
import subprocess
import sys

import pytest

from maxtunnel.support.locks import take

fcntl = pytest.importorskip("fcntl")


def test_one_at_a_time_holds_a_lock(tmp_path, caplog):
    with open(tmp_path / "lock", "w") as first, open(tmp_path / "lock", "w") as second:
        assert take(first)
        assert not take(second)
        first.close()
        assert take(second)
    assert not caplog.records


def test_without_locks_it_is_ours_and_a_warning_says_so(tmp_path, caplog, monkeypatch):
    # An import of what stands there as None fails, as on Windows.
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with open(tmp_path / "lock", "w") as first, open(tmp_path / "lock", "w") as second:
        assert take(first)
        assert take(second)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert f"{tmp_path / 'lock'} cannot be locked here" in caplog.text
    assert "no other process does the same work" in caplog.text


def test_a_file_system_without_locks_is_no_end(tmp_path, caplog, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with open(tmp_path / "lock", "w") as file:
        assert take(file)
    assert "No locks available" in caplog.text


def test_the_package_is_imported_where_there_are_no_locks():
    code = """
import sys
sys.modules["fcntl"] = None
import importlib, pkgutil, maxtunnel
for room in pkgutil.iter_modules(maxtunnel.__path__, "maxtunnel."):
    if room.ispkg:
        importlib.import_module(room.name)
import maxtunnel.commands.app, maxtunnel.data.preparation, maxtunnel.native.build
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
