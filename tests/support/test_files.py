"""Names are handed out once, quickly however many there are."""

from hypothesis import given
from hypothesis import strategies as st

from maxtunnel.support.files import FreeNames


def test_a_name_that_is_taken_gets_the_next_number():
    names = FreeNames()
    given_out = [names.take(name) for name in ("a", "b", "a", "a", "b")]
    assert given_out == ["a", "b", "a-2", "a-3", "b-2"]


def test_a_name_that_looks_like_a_numbered_one_is_not_handed_out_again():
    names = FreeNames()
    given_out = [names.take(name) for name in ("a-2", "a", "a", "a-3", "a", "a-2")]
    assert given_out == ["a-2", "a", "a-3", "a-3-2", "a-4", "a-2-2"]


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
