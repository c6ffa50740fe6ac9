import re

import pytest

from maxtunnel.support import parts
from maxtunnel.support.jobs import open_job
from maxtunnel.support.parts import Parts, complete, here, in_order
from maxtunnel.support.places import Place


def test_rows_come_in_the_order_of_their_parts():
    assert list(in_order(iter([(2, "c"), (0, "a"), (3, "d"), (1, "b")]))) == ["a", "b", "c", "d"]
    assert list(in_order(here(str.upper, ["a", "b"]))) == ["A", "B"]


def test_what_is_there_is_not_done_again():
    asked, there = [], {1: 10, 3: 30}

    def cut(number):
        asked.append(number)
        return number

    assert list(complete(there, lambda part: 10 * part, Parts(range(5), cut), here)) == [0, 20, 40]
    assert (asked, there) == ([0, 2, 4], {number: 10 * number for number in range(5)})


def test_a_job_finds_its_own_files_and_no_others(tmp_path):
    folder, own = Place(str(tmp_path / "job")), re.compile(r"part-\d+")
    assert open_job(folder, "one", own) == {}
    for name in ("part-1", "part-2", "notes"):
        (folder / name).write_bytes(b"12345")
    assert open_job(folder, "one", own) == {"part-1": 5, "part-2": 5}
    with pytest.raises(ValueError, match="other settings: name a new folder, or delete it"):
        open_job(folder, "two", own)
    assert sorted(folder.files()) == ["_job.json", "notes", "part-1", "part-2"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "part-1").write_bytes(b"")
    with pytest.raises(ValueError, match="nothing can go on from it: name a new folder"):
        open_job(Place(str(tmp_path / "mine")), "one", own)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["part-1"]


def test_memory_is_given_back_every_few_seconds(monkeypatch):
    """Else it grows with the parts, as their rows are kept between what they needed."""
    given, clock = [], iter(range(0, 1000, 2))
    monkeypatch.setattr(parts.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(parts, "give_back_freed", lambda: given.append(len(given)))
    assert len(list(here(abs, range(20)))) == 20
    assert 3 <= len(given) <= 10
