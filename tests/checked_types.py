"""Shapes and types of a package's signatures, checked by beartype and jaxtyping while tests run.

jaxtyping's own decorator has every argument looked at twice, and binds the arguments of functions without
shapes too: a training of small networks took twice its time. Here beartype's checks stand alone, and where
there are shapes, in one context of names (`n`, `c`, ...) for each call. A function that is called again and
again in one test, as in each step of a training, has its shapes checked at the first calls, and after that
at every tenth and wherever an argument has a type, a shape or a kind of number that none had in its place.
"""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import wraps
from types import FunctionType, SimpleNamespace
from typing import Any, ForwardRef, get_args, get_type_hints

import jaxtyping
from beartype import beartype

FIRST = 50  # calls of a function in a test whose shapes are all checked
THEN = 10  # of so many later calls one
_whole = jaxtyping.jaxtyped
_test = 0


def install_checks(package: str) -> None:
    """Check all that is imported from the package henceforth."""
    jaxtyping.install_import_hook(package, "beartype.beartype")
    # The hook writes `@jaxtyping.jaxtyped(typechecker=...)` before every function and class.
    jaxtyping.jaxtyped = lambda typechecker: lambda thing: _checked(thing, typechecker)


def begin_test() -> None:
    """The calls of each function are counted anew."""
    global _test
    _test += 1


def _checked(thing: Any, typechecker: Any) -> Any:
    if inspect.isclass(thing):
        made = vars(thing).get("__init__") if is_dataclass(thing) else None
        # One that is written out has been here before.
        if made and not hasattr(made, "__wrapped__"):
            thing.__init__ = _checked(made, typechecker)
        return thing
    plain = isinstance(thing, FunctionType) and not inspect.isgeneratorfunction(thing)
    if not plain or inspect.iscoroutinefunction(thing) or hasattr(thing, "__no_type_check__"):
        return _whole(thing, typechecker=typechecker)
    hints = {name: _resolved(hint, thing) for name, hint in thing.__annotations__.items()}
    if not hints:
        return thing
    if any(map(_is_recursive, hints.values())):
        return _whole(thing, typechecker=typechecker)
    thing.__annotations__ = hints
    checked = beartype(thing)
    return _in_one_context(checked, thing) if any(map(_has_shape, hints.values())) else checked


def _in_one_context(checked: Callable[..., Any], unchecked: Callable[..., Any]) -> Callable[..., Any]:
    context = _whole("context")
    calls, test, seen = 0, _test, set[Any]()

    @wraps(checked)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls, test, seen
        if test != _test:
            calls, test, seen = 0, _test, set()
        calls += 1
        kinds = (*map(_kind, args), *((name, _kind(value)) for name, value in kwargs.items()))
        known = kinds in seen
        seen.add(kinds)
        if jaxtyping.config.jaxtyping_disable or (known and calls > FIRST and calls % THEN):
            return unchecked(*args, **kwargs)
        with context:
            return checked(*args, **kwargs)

    return call


def _kind(value: Any) -> Any:
    """What of an argument the checks look at, but for what is inside of a list."""
    what = (str(getattr(value, name, "")) for name in ("shape", "dtype"))
    return (type(value), *what) if hasattr(value, "dtype") else type(value)


def _resolved(hint: Any, function: FunctionType) -> Any:
    """The hint without names in quotes; `Any` where such a name is known to type checkers alone.

    The class that a method belongs to is not there yet: its name is left for the first call to look up.
    """
    spaces = SimpleNamespace(__annotations__={"it": hint}), function.__globals__
    try:
        return get_type_hints(*spaces, include_extras=True)["it"]
    except NameError:
        return hint if hint == function.__qualname__.rpartition(".")[0] else Any


def _is_recursive(hint: Any) -> bool:
    return _any_part(hint, lambda part: isinstance(part, ForwardRef))


def _has_shape(hint: Any) -> bool:
    return _any_part(hint, lambda part: inspect.isclass(part) and issubclass(part, jaxtyping.AbstractArray))


def _any_part(hint: Any, holds: Callable[[Any], bool]) -> bool:
    parts = hint if isinstance(hint, list) else get_args(hint)
    return holds(hint) or any(_any_part(part, holds) for part in parts)
