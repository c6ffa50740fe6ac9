import errno
import logging

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


def test_a_file_system_without_locks_is_no_end(tmp_path, caplog, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with open(tmp_path / "lock", "w") as file:
        assert take(file)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{tmp_path / 'lock'} cannot be locked here (No locks available)" in caplog.text.replace(
        "[Errno 37] ", ""
    )
    assert "no other process does the same work" in caplog.text
