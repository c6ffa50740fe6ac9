"""A gradient through a model's own unpooling: where it puts values by its own indices, it learns of them.

Indices are whole numbers, so a model that unpools would not notice, while it is trained, that a maximum came
to lie elsewhere and its output with it. Here an unpooling by a level's own indices has, beside its own
gradient, that of the shares of the level's cells (`models.surrogate`). What it gives stays the same.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from maxtunnel.models.surrogate import put_shares
from maxtunnel.protection.levels import Pooled, passes, shares_of


class GradientsThroughUnpooling(TorchFunctionMode):
    """While entered, `max_unpool2d` by the indices of a pooling passes a gradient to what was pooled.

    Args:
        pooled: the poolings of the pass so far, to which somebody else adds each as it runs.
        temperature: of the softmax.

    Attributes:
        busy: whether what runs is no part of the model: the shares are found by pooling again.
    """

    def __init__(self, pooled: Sequence[Pooled], temperature: float) -> None:
        super().__init__()
        self._pooled, self._temperature, self.busy = pooled, temperature, False
        # With the indices themselves, so that no other tensor comes to lie where they are.
        self._levels: dict[int, tuple[Tensor, Pooled]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = len(self._pooled)
        result = func(*args, **(kwargs or {}))
        if len(self._pooled) == before + 1 and isinstance(result, tuple):
            indices = result[1]
            self._levels[indices.data_ptr()] = indices, self._pooled[-1]
        elif getattr(func, "__name__", "") == "max_unpool2d":
            values, indices = [*args, *(kwargs or {}).values()][:2]
            _, level = self._levels.get(indices.data_ptr(), (None, None))
            if level is not None and indices.shape[-3:] == level.switches.codes.shape[-3:] and passes(level):
                return result + self._no_more_than_its_gradient(values, level, result)
        return result

    def _no_more_than_its_gradient(self, values: Tensor, level: Pooled, result: Tensor) -> Tensor:
        """Zeros, whose gradient is that of the level's shares."""
        self.busy = True
        try:
            (shares,) = shares_of([level], self._temperature)
        finally:
            self.busy = False
        plane = put_shares(values.detach().view(level.switches.codes.shape), shares)
        down, right = result.shape[-2] - plane.shape[-2], result.shape[-1] - plane.shape[-1]
        return F.pad(plane - plane.detach(), (0, right, 0, down)).view(result.shape)
