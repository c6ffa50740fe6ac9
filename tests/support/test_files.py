"""Names are handed out once, quickly however many there are."""

import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxtunnel.support import files
from maxtunnel.support.files import FormatError, FreeNames, check_file, check_folder, one_line, with_kind


def test_a_name_that_is_taken_gets_the_next_number():
    names = FreeNames()
    given_out = [names.take(name) for name in ("a", "b", "a", "a", "b")]
    assert given_out == ["a", "b", "a-2", "a-3", "b-2"]


def test_a_name_that_looks_like_a_numbered_one_is_not_handed_out_again():
    names = FreeNames()
    given_out = [names.take(name) for name in ("a-2", "a", "a", "a-3", "a", "a-2")]
    assert given_out == ["a-2", "a", "a-3", "a-3-2", "a-4", "a-2-2"]


def test_names_that_are_one_file_on_some_systems_are_handed_out_once():
    names = FreeNames()
    given_out = [names.take(name) for name in ("IMG_1", "img_1", "caf\u00e9", "cafe\u0301")]
    assert given_out == ["IMG_1", "img_1-2", "caf\u00e9", "cafe\u0301-2"]


@given(st.lists(st.sampled_from(["a", "a-2", "a-3", "a-2-2", "b"])))
def test_no_name_comes_twice_and_each_is_the_first_free_one(asked):
    names, taken = FreeNames(), set()
    for name in asked:
        candidates = [name, *(f"{name}-{number}" for number in range(2, len(asked) + 2))]
        free = names.take(name)
        assert free == next(candidate for candidate in candidates if candidate not in taken)
        taken.add(free)


def test_a_name_asked_for_often_is_not_searched_for_from_the_start(monkeypatch):
    class Counting(set):
        looked = 0

        def __contains__(self, name):
            Counting.looked += 1
            return super().__contains__(name)

    names = FreeNames()
    monkeypatch.setattr(names, "_taken", Counting())
    for _ in range(1000):
        names.take("photograph")
    assert Counting.looked < 3000


def test_a_read_only_file_system_is_no_missing_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match=f"this user may not write to {tmp_path}: give another folder"):
        check_folder(tmp_path / "new" / "folder")
    monkeypatch.setattr(files.os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(ValueError, match=f"{tmp_path} is on a read-only file system"):
        check_folder(tmp_path)


def test_an_error_without_words_is_told_by_its_kind():
    assert one_line(EOFError()) == one_line(EOFError(" \n")) == with_kind(EOFError()) == "EOFError"
    assert one_line(ValueError("a\nb")) == "a b"
    assert with_kind(ValueError("a\nb")) == "ValueError: a b"


def test_what_is_missing_or_empty_is_refused_in_the_same_words(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(FormatError, match=r"a\.pth does not exist: expected a network$"):
        check_file(path, "a network")
    path.touch()
    with pytest.raises(FormatError, match=r"a\.pth is empty: expected a network$"):
        check_file(path, "a network")
    path.write_bytes(b"x")
    check_file(path, "a network")
    check_file(tmp_path, "a network")
    for impossible in ("\0", "x" * 5000):
        with pytest.raises(FormatError, match="does not exist"):
            check_file(impossible, "a network")
