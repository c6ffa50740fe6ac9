"""What is wrong with values: of a CPU said at once, of a GPU, which nobody waits for, when a result leaves.

A result of a GPU carries its checks: numbers that the GPU works out when it comes to them. What is computed
from a result carries them on. Whatever brings values to the host waits for the GPU anyway (`cpu`, `item`, a
comparison, a file): there, and nowhere else, all checks are read together, and the first that found a fault
raises. So a fault is said of every result that it has spoilt, of no other, and in the thread that takes it.

    checks = awaited([Check(number, say)])     # raises here, where the number lies on a CPU
    result = carrying(values, checks)
    result.clamp(0, 1)[3].cpu()                # and here, where it lies on a GPU
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

# What gives values to the host otherwise than as a tensor there.
_LEAVING = frozenset(
    (
        "cpu", "item", "tolist", "numpy", "equal", "allclose", "is_nonzero",
        "__array__", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__",
        "__repr__", "__format__", "__reduce_ex__", "__dlpack__",
    )
)  # fmt: skip
# These ask for the class, and would show it, or take the checks along into a file.
_OF_PLAIN = frozenset(("__deepcopy__", "__format__", "__reduce_ex__", "__repr__"))


@dataclass(frozen=True, eq=False)
class Check:
    """A number that a device works out, and what it says on the host.

    Attributes:
        number: of any type.
        say: what is wrong with it; nothing where all is well.
    """

    number: Shaped[Tensor, ""]
    say: Callable[[float], str]


class Carrier(Tensor):
    """A tensor of a GPU that carries checks, as everything does that is computed from it."""

    checks: tuple[Check, ...] = ()

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What the function gives, with the checks of all that it was given; ValueError where it leaves."""
        kwargs, name = kwargs or {}, getattr(function, "__name__", "")
        checks = checks_of((args, kwargs))
        with torch._C.DisableTorchFunctionSubclass():
            if name in _OF_PLAIN:
                args = (plain(args[0]), *args[1:])
            result = function(*args, **kwargs)
            if name in _LEAVING or _cannot_carry(name, result, (*args, *kwargs.values())):
                refuse(checks)
            return carrying(result, checks)


def awaited(checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks of a GPU, to be carried; ValueError where one of the CPU's has found a fault."""
    refuse([check for check in checks if not is_awaited(check.number)])
    return tuple(check for check in checks if is_awaited(check.number))


def carrying(result: Any, checks: Sequence[Check]) -> Any:
    """The same, tensors in it with these checks besides their own; ValueError where one is on the host."""
    if isinstance(result, tuple | list):
        parts = [carrying(part, checks) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    if not checks or not isinstance(result, Tensor):
        return result
    if not is_awaited(result):
        refuse(checks)
        return result
    carrier = result if isinstance(result, Carrier) else result.as_subclass(Carrier)
    carrier.checks = tuple(dict.fromkeys((*carrier.checks, *checks)))
    return carrier


def checks_of(given: object) -> tuple[Check, ...]:
    """The checks that anything carries, however deep in lists and dictionaries, each once."""
    return tuple(dict.fromkeys(check for carrier in _carriers(given) for check in carrier.checks))


def plain(given: Any) -> Any:
    """The same without checks, also in lists, for work inside; `checks_of` has these."""
    if isinstance(given, tuple | list):
        return type(given)([plain(part) for part in given])
    return given.as_subclass(Tensor) if isinstance(given, Carrier) else given


def refuse(checks: Sequence[Check]) -> None:
    """Wait for all numbers, read them together, and raise ValueError for the first that is wrong."""
    if not checks:
        return
    device = checks[0].number.device
    numbers = torch.stack([check.number.detach().to(device, torch.float64) for check in checks])
    for number, check in zip(numbers.tolist(), checks, strict=True):
        message = check.say(number)
        if message:
            raise ValueError(message)


def is_awaited(values: Tensor) -> bool:
    """Whether looking at these would make the processor wait."""
    return values.is_cuda


def _carriers(given: object) -> Iterator[Carrier]:
    if isinstance(given, Carrier):
        yield given
    elif isinstance(given, dict):
        yield from _carriers(list(given.values()))
    elif isinstance(given, list | tuple):
        for part in given:
            yield from _carriers(part)


def _cannot_carry(name: str, result: object, given: Sequence[object]) -> bool:
    """Whether values end inside a tensor that was there before and knows of no checks."""
    if name in ("__setitem__", "__set__"):
        return not isinstance(given[0], Carrier)
    parts = result if isinstance(result, list | tuple) else (result,)
    before = {id(part) for part in given}
    return any(
        isinstance(part, Tensor) and id(part) in before and not isinstance(part, Carrier) for part in parts
    )
