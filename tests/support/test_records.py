"""Records go to JSON and come back the same, and what is no record is named."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from maxtunnel.support.records import changed, from_json, to_json


@dataclass(frozen=True)
class Inner:
    interval: tuple[float, float]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    number: int
    inner: Inner
    settings: Mapping[str, float | str | None]
    rest: tuple[Inner, ...] = ()
    maybe: float | None = None


RECORD = Outer(
    "a", 3, Inner((0.5, 1.0), ("x", "y")), {"rate": 0.1, "name": "n", "none": None}, (Inner((1.0, 2.0)),)
)


def test_what_is_written_is_read():
    assert from_json(Outer, json.loads(json.dumps(to_json(RECORD)))) == RECORD


def test_a_whole_number_is_a_float_and_a_default_may_be_absent():
    assert from_json(Inner, {"interval": [0, 1]}) == Inner((0.0, 1.0))
    assert type(from_json(Inner, {"interval": [0, 1]}).interval[0]) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, "Outer.kind is 'c': expected one of 'a', 'b'"),
        ({"number": True}, "Outer.number is 'True': expected int"),
        ({"number": "3"}, "expected int"),
        ({"inner": {"interval": [0.5]}}, "expected 2 values"),
        ({"inner": {}}, "Inner.interval is missing"),
        ({"inner": 3}, "int is no Inner"),
        ({"maybe": "x"}, "expected float or NoneType"),
        ({"other": 1}, "no 'other'"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_json(Outer, to_json(RECORD) | change)


def test_a_record_is_changed_where_something_is_given():
    inner = RECORD.inner
    assert changed(RECORD, kind=None, number=None) == RECORD
    assert changed(RECORD, number=5, maybe=2) == Outer("a", 5, inner, RECORD.settings, RECORD.rest, 2.0)
    assert changed(RECORD, inner={"interval": [0, 1]}).inner == Inner((0.0, 1.0))
    with pytest.raises(ValueError, match=r"Outer.number is 'x': expected int"):
        changed(RECORD, number="x")
    with pytest.raises(ValueError, match="no 'other'"):
        changed(RECORD, other=1)


@pytest.mark.parametrize("value", [[], None, "text", 3])
def test_only_objects_are_records(value):
    with pytest.raises(ValueError, match="is no Outer"):
        from_json(Outer, value)
