from pathlib import Path

from maxtunnel.support.memory import free_memory

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
