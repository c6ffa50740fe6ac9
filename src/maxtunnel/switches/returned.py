"""Whether the indices of a pooling leave a model with its output, found by changing them.

The model runs again with the indices of one pooling drawn anew and everything else as it was. What changes in
the output came from these indices. Where old and new values are the old and new indices (or window codes),
they leave as such, in whatever order, type and place; where they are not, the output is computed from them.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maxtunnel.switches.codes import SwitchLevel
from maxtunnel.switches.recording import Evidence, Finding

_DEEPEST = 20  # objects in objects that are looked into
_FEW = 16  # changed numbers that may be those of a level by chance
_COMPUTED = "the output changes with them: it is computed from them, or holds them in another form"


class Leaves:
    """The numbers in what a model returned.

    Attributes:
        values: by where it stands in the output, every array of numbers, flat and copied.
        later: in words, iterators: they compute when they are read, and can be read only once.
        closed: in words, all that cannot be looked into, with the iterators.
    """

    def __init__(self, output: Any) -> None:
        self.values: dict[str, Tensor] = {}
        self.later: list[str] = []
        self.closed: list[str] = []
        self._open: list[int] = []
        self._read(output, "the output")

    def _read(self, part: Any, place: str) -> None:
        array = _array(part)
        if array is not None:
            self.values[place] = array
        elif isinstance(part, Iterator):
            self.later.append(f"{place} is {_article(part)}, which computes when it is read")
            self.closed.append(self.later[-1])
        elif (inside := _inside(part)) is None or len(self._open) > _DEEPEST:
            self.closed.append(f"{place} is {_article(part)}, which cannot be looked into")
        elif id(part) not in self._open:
            self._open.append(id(part))
            for key, value in inside:
                self._read(value, f"{place}{key}")
            self._open.pop()


def finding(level: SwitchLevel, before: Leaves, after: Leaves, changed: SwitchLevel) -> Finding:
    """Whether a level's indices leave with the output.

    Args:
        level: as the model pools.
        before: the output.
        after: the output when the level was `changed`, and nothing else.
    """
    forms = {place: _form(level, changed, b, a) for place, b, a in _both(before, after)}
    if not any(forms.values()):
        # A list of one tensor for each image holds them only as a whole.
        forms = {"the output": _form(level, changed, *_joined(before, after))}
    places = [f"{form}, in {place}" for place, form in forms.items() if form]
    if places:
        return Finding(Evidence.YES, "; ".join(places))
    if before.closed:
        return Finding(Evidence.UNKNOWN, "; ".join(before.closed))
    return Finding() if same_leaves(before, after) else Finding(Evidence.UNKNOWN, _COMPUTED)


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers and objects."""
    yield from Leaves(output).values.values()


def same_leaves(a: Leaves, b: Leaves) -> bool:
    """Whether two outputs hold the same numbers in the same places."""
    return a.values.keys() == b.values.keys() and all(_equal(a.values[p], b.values[p]) for p in a.values)


def _both(before: Leaves, after: Leaves) -> Iterator[tuple[str, Tensor, Tensor]]:
    """What stands in the same place of both outputs, in the same shape and type."""
    for place, old in before.values.items():
        new = after.values.get(place)
        if new is not None and (new.shape, new.dtype) == (old.shape, old.dtype):
            yield place, old, new


def _joined(before: Leaves, after: Leaves) -> tuple[Tensor, Tensor]:
    pairs = [(old, new) for _, old, new in _both(before, after) if not old.is_complex()]
    empty = torch.empty(0, dtype=torch.float64)
    return (
        torch.cat([empty, *(pair[0] for pair in pairs)]),
        torch.cat([empty, *(pair[1] for pair in pairs)]),
    )


def _form(level: SwitchLevel, changed: SwitchLevel, before: Tensor, after: Tensor) -> str:
    """In which form the indices of a level are in an array; empty where they are not found."""
    moved = (before != after) & (before == before)
    found = torch.stack([before[moved], after[moved]])
    dtype = str(before.dtype).removeprefix("torch.")
    indices = torch.stack([level.indices(), changed.indices()]).flatten(1).cpu()
    wanted = _changed(indices, before.dtype)
    if wanted.numel():
        if _holds(found, wanted):
            return f"as indices ({dtype})"
        if found.shape[1] >= _FEW and _holds(wanted, found):
            return f"as indices ({dtype}), a part of them"
    # A code is a small number, which an array of others may hold by chance: nothing else may have changed.
    codes = _changed(torch.stack([level.codes, changed.codes]).flatten(1).cpu(), before.dtype)
    if codes.shape[1] >= _FEW and codes.shape == found.shape and _holds(found, codes):
        return f"as window codes ({dtype})"
    if wanted.shape[1] >= _FEW and wanted.shape == found.shape and not before.is_complex():
        shifts = [(pair[1].double() - pair[0].double()).sort().values for pair in (found, wanted)]
        if torch.equal(*shifts):
            return f"as indices with an offset ({dtype})"
    return ""


def _changed(pairs: Tensor, dtype: torch.dtype) -> Tensor:
    """The pairs of old and new value that differ in this type."""
    pairs = pairs.to(dtype)
    return pairs[:, pairs[0] != pairs[1]]


def _holds(found: Tensor, wanted: Tensor) -> bool:
    """Whether all pairs of old and new value that are wanted are among those found, each as often."""
    if found.shape[1] < wanted.shape[1]:
        return False
    kinds, number = torch.unique(torch.cat([wanted, found], 1), dim=1, return_inverse=True)
    counts = [
        torch.bincount(part, minlength=kinds.shape[1])
        for part in number.split([wanted.shape[1], found.shape[1]])
    ]
    return bool((counts[1] >= counts[0]).all())


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether they hold the same numbers, NaN included."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())


def _array(part: Any) -> Tensor | None:
    """The numbers of a tensor, an array, a number, a text, or a list of numbers, flat; else None."""
    if isinstance(part, Tensor):
        return _flat(part)
    if isinstance(part, np.ndarray | np.generic):
        return _from_numpy(np.asarray(part))
    if part is None or isinstance(part, str | torch.dtype | torch.device):
        # A text changes where it is made from indices.
        part = repr(part).encode()
    if isinstance(part, bytes | bytearray | memoryview):
        return _from_numpy(np.frombuffer(bytes(part), np.uint8))
    if _is_number(part):
        return _from_numpy(np.asarray(part))
    try:
        return _from_numpy(np.asarray(part)) if isinstance(part, list | tuple) and _is_number(part) else None
    except ValueError:  # lists of different lengths
        return None


def _is_number(part: Any) -> bool:
    """Whether it is a number, or begins with one, or with what begins with one."""
    while isinstance(part, list | tuple) and part:
        part = part[0]
    return isinstance(part, bool | int | float | complex)


def _flat(tensor: Tensor) -> Tensor | None:
    if tensor.is_meta:
        return None
    if tensor.is_nested:
        return torch.cat([part.detach().flatten().cpu() for part in tensor.unbind()])
    tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor
    tensor = tensor.dequantize() if tensor.is_quantized else tensor
    array = tensor.detach().flatten().resolve_conj().resolve_neg().cpu().clone()
    # Of the other unsigned types PyTorch knows no order.
    return array.long() if array.dtype in (torch.uint16, torch.uint32, torch.uint64) else array


def _from_numpy(array: Any) -> Tensor | None:
    if array.dtype.kind not in "biufc":
        return None
    array = array.astype(array.dtype.newbyteorder("="))
    array = array.astype(np.float64) if array.dtype == np.longdouble else array
    return _flat(torch.from_numpy(array))


def _inside(part: Any) -> list[tuple[str, Any]] | None:
    """What an object is made of, with the text that leads there; None where that cannot be told."""
    if isinstance(part, Mapping):
        return [(f"[{key!r}]", value) for key, value in part.items()]
    if isinstance(part, list | tuple | set | frozenset):
        return [(f"[{number}]", value) for number, value in enumerate(part)]
    if isinstance(part, np.ndarray) and part.dtype == object:
        return [(f"[{number}]", value) for number, value in enumerate(part.flat)]
    if isinstance(part, nn.Module):
        return [(f".{name}", tensor) for name, tensor in part.state_dict().items()]
    # A function may hold anything.
    if callable(part):
        return None
    if dataclasses.is_dataclass(part):
        return [(f".{field.name}", getattr(part, field.name, None)) for field in dataclasses.fields(part)]
    slots = [name for kind in type(part).__mro__ for name in np.atleast_1d(getattr(kind, "__slots__", []))]
    held = {name: getattr(part, name) for name in slots if hasattr(part, name)} | getattr(
        part, "__dict__", {}
    )
    return [(f".{name}", value) for name, value in held.items()] if held or slots else None


def _article(part: Any) -> str:
    name = type(part).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
