"""The running average of weights, which is what a training leaves behind where its recipe says so."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# Steps over which the average goes at least. At first it goes over half of those that were done, so that the
# weights that the training began with are soon forgotten.
_LEAST = 10


class Average:
    """An exponential average of parameters.

    Args:
        parameters: of a training.
        share: of the steps, reckoned back from the present one, that the average goes over.

    Attributes:
        weights: the average, a tensor a parameter.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], share: float) -> None:
        self._parameters, self._share = list(parameters), share
        self.weights = [p.detach().clone(memory_format=torch.preserve_format) for p in self._parameters]

    @torch.no_grad()
    def update(self, step: int, steps: int) -> None:
        """Take in the parameters after `step` of `steps` steps, counted from 1."""
        over = min(max(self._share * steps, _LEAST), (step + 9) / 2)
        torch._foreach_lerp_(self.weights, [p.detach() for p in self._parameters], 1 / over)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The parameters are their averages meanwhile."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange parameters and averages."""
        for parameter, weight in zip(self._parameters, self.weights, strict=True):
            kept = parameter.detach().clone(memory_format=torch.preserve_format)
            parameter.copy_(weight)
            weight.copy_(kept)

    def tensors(self) -> dict[str, Tensor]:
        """The average by the number of its parameter, for a state that is saved."""
        return {str(number): weight for number, weight in enumerate(self.weights)}
