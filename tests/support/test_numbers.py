"""Numbers that a person types."""

import pytest

from maxtunnel.support.numbers import parse_numbers


@pytest.mark.parametrize(
    ("text", "numbers"), [("1", (1,)), ("3,2", (3, 2)), (" 1, 12 ", (1, 12)), ("all", None)]
)
def test_what_is_understood(text, numbers):
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "3,", ",", "x", "-1", "1.5", "1 2", "²", "all,1"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"`levels` is .*: expected all, or numbers from 1"):
        parse_numbers(text)


def test_the_message_calls_it_by_its_name():
    with pytest.raises(ValueError, match="`seeds` is 'x'"):
        parse_numbers("x", "seeds")
