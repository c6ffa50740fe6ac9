"""The checks that all tests run under find what is wrong."""

import importlib
import sys

import pytest
import torch

pytest.importorskip("beartype")

MODULE = """
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

if TYPE_CHECKING:
    from fractions import Fraction

Json = Union[int, list["Json"]]


def same(a: Float[Tensor, "n c"], b: Float[Tensor, "n"]) -> Float[Tensor, "c"]:
    return inner(a[0]) if b.sum() else a[:, 0]


def inner(a: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return a


def count(number: int, *others: str) -> int:
    return number if not others else others[0]


def known_to_type_checkers(fraction: "Fraction", number: int) -> int:
    return number


def recursive(content: Json, number: int) -> int:
    return number


def each(images: UInt8[Tensor, "n"]):
    yield from images


@dataclass(frozen=True)
class Pair:
    a: Float[Tensor, "n"]
    b: Float[Tensor, "n"]

    @property
    def first(self) -> float:
        return self.a

    @classmethod
    def of(cls, number: int) -> "Pair":
        return cls(torch.zeros(number), torch.zeros(number))

    def longer(self, other: "Pair") -> "Pair":
        return other if len(other.a) > 1 else other.a
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A module of a package whose signatures are checked."""
    from checked_types import install_checks

    folder = tmp_path_factory.mktemp("checked")
    (folder / "signatures").mkdir()
    (folder / "signatures" / "__init__.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    install_checks("signatures")
    yield importlib.import_module("signatures")
    sys.path.remove(str(folder))


def zeros(*shape):
    return torch.zeros(*shape)


RIGHT = {
    "one name, one size": lambda m: m.same(zeros(2, 3), torch.ones(2)),
    # In the call inside another one `n` is 3.
    "names of a call are its own": lambda m: m.same(zeros(2, 3), torch.ones(2)),
    "type checkers alone": lambda m: m.known_to_type_checkers("anything", 1),
    "a generator": lambda m: list(m.each(zeros(2).byte())),
    "recursive": lambda m: m.recursive([1, [2]], 1),
    "a dataclass": lambda m: m.Pair(zeros(2), zeros(2)),
    "a method's own class": lambda m: m.Pair.of(2).longer(m.Pair.of(3)),
}
WRONG = {
    "another size of the same name": lambda m: m.same(zeros(2, 3), torch.ones(3)),
    "what comes back": lambda m: m.same(zeros(2, 3), zeros(2)),
    "dimensions": lambda m: m.inner(zeros(2, 3)),
    "kind of number": lambda m: m.inner(zeros(2).byte()),
    "keyword": lambda m: m.same(zeros(2, 3), b=torch.ones(3)),
    "no tensor": lambda m: m.inner([1.0]),
    "plain argument": lambda m: m.count("1"),
    "plain result": lambda m: m.count(1, "a"),
    "further arguments": lambda m: m.count(1, 2),
    "beside what type checkers alone know": lambda m: m.known_to_type_checkers("anything", "1"),
    "beside what is recursive": lambda m: m.recursive([1], "1"),
    "argument of a generator": lambda m: m.each(zeros(2)),
    "fields of a dataclass": lambda m: m.Pair(zeros(2), zeros(3)),
    "property": lambda m: m.Pair(zeros(2), zeros(2)).first,
    "class method": lambda m: m.Pair.of("2"),
    "a method's own class": lambda m: m.Pair.of(2).longer(zeros(2)),
    "what a method gives of its own class": lambda m: m.Pair.of(2).longer(m.Pair.of(1)),
}


@pytest.mark.parametrize("call", RIGHT.values(), ids=RIGHT)
def test_what_is_right_passes(checked, call):
    call(checked)


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused(checked, call):
    for _ in range(3):
        with pytest.raises(Exception, match=r"[Tt]ype-?check|violates type hint"):
            call(checked)


def test_what_is_called_again_and_again_is_still_looked_at(checked):
    found = []
    for _ in range(90):
        try:
            checked.inner(zeros(2, 3))
        except Exception as error:  # noqa: BLE001
            found.append(error)
    # All of the first fifty, and every tenth of the others; in the next test all again.
    assert len(found) == 54


def test_what_differs_from_all_calls_before_is_looked_at_at_once(checked):
    for _ in range(75):
        checked.inner(zeros(2))
    for other in (zeros(2, 3), zeros(2).byte(), [1.0]):
        with pytest.raises(Exception, match="violates type hint"):
            checked.inner(other)


def test_shapes_can_be_left_unchecked_for_what_is_timed(checked, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    assert checked.inner(zeros(2, 3)).shape == (2, 3)


def test_the_package_is_checked():
    from maxtunnel.data.images import to_float

    with pytest.raises(Exception, match="violates type hint"):
        to_float(torch.zeros(1, 3, 8, 8))
