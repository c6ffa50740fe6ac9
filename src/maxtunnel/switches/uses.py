"""Operations that say something about switches without being a 2-d max pooling.

A model can pool by `unfold(...).amax(...)`, and unpool by `scatter_`: both are seen here, by what PyTorch's
operators are given.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from maxtunnel.switches.window import Pair

_MAXIMA_OF_A_DIMENSION = ("amax", "argmax", "amin", "argmin", "aminmax", "cummax", "sort", "topk")
_MAXIMA_OF_TWO = ("maximum", "minimum", "fmax", "fmin")
_WRITES = (
    "scatter", "scatter_add", "scatter_reduce", "index_put", "_index_put_impl", "_unsafe_index_put", "put",
    "index_add", "index_copy", "index_fill",
)  # fmt: skip
_READS = ("gather", "index", "take", "index_select", "_unsafe_index", "embedding")


def takes_maxima(function: Any, args: Any) -> bool:
    """Whether an operator picks the largest (or smallest) of several places, as a pooling does.

    Vectors and matrices, like the scores of a classifier, have no places; nor have the channels of a pixel.
    """
    x = args[0] if args else None
    if not isinstance(x, Tensor) or not x.is_floating_point():
        return False
    name = function.overloadpacket.__name__
    if name in _MAXIMA_OF_TWO:
        return all(isinstance(part, Tensor) and _is_part(part) for part in args[:2])
    if name in ("scatter_reduce", "scatter_reduce_"):
        return "amax" in args or "amin" in args
    if name not in _MAXIMA_OF_A_DIMENSION and not (
        name in ("max", "min") and function._overloadname.startswith("dim")
    ):
        return False
    over = args[1] if len(args) > 1 else None
    return x.ndim > 2 and not (x.ndim == 4 and over in (1, [1]))


def index_use(
    name: str, args: Iterable[Any], kwargs: dict[str, Any], own: list[tuple[Tensor, Pair]]
) -> Literal["writes", "reads"] | None:
    """Whether an operator is told by a model's own indices where to write or read.

    Args:
        name: of the operator.
        args, kwargs: what it is given.
        own: the indices of each pooling, and the size of its planes.
    """
    plain = name.rstrip("_")
    if plain not in _WRITES and plain not in _READS:
        return None
    found = any(_names_places(given, *level) for given in _indices_in((args, kwargs)) for level in own)
    return ("writes" if plain in _WRITES else "reads") if found else None


def _is_part(x: Tensor) -> bool:
    """Whether it is a view of some places of larger planes, like every other row and column."""
    return x.ndim > 2 and x.untyped_storage().nbytes() > x.numel() * x.element_size()


def _indices_in(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        if given.dtype in (torch.int32, torch.int64) and given.numel():
            yield given
    elif isinstance(given, dict):
        yield from _indices_in([*given.values()])
    elif isinstance(given, list | tuple):
        for part in given:
            yield from _indices_in(part)


def _names_places(given: Tensor, indices: Tensor, size: Pair) -> bool:
    """Whether `given` are indices in any order, with an offset for each plane, or their rows or columns."""
    if given.numel() != indices.numel():
        return False
    given, indices = given.flatten(), indices.flatten()
    forms = (
        (given % math.prod(size), indices),
        (given, indices // size[1]),
        (given, indices % size[1]),
    )
    return any(torch.equal(a.sort().values, b.sort().values) for a, b in forms)
