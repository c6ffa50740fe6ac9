"""A training step as one CUDA graph: recorded once, then replayed without a launch from Python."""

from collections.abc import Callable

import torch
from torch import Tensor

from maxtunnel.training.batch import Batch

_WARM = 3  # steps that are done before the recording: libraries choose their kernels, the optimiser its state


class Graph:
    """A function of a batch that is replayed, for batches whose tensors have the shapes of the first ones.

    Args:
        step: what to do; it may change tensors, such as weights, but may not wait for the device.
    """

    def __init__(self, step: Callable[[Batch], Tensor]) -> None:
        self._step, self._done = step, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Batch = ()
        self._result: Tensor | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """What the function gives for this batch.

        Raises:
            ValueError: a tensor has another shape than in the batch that was recorded.
        """
        if self._done < _WARM:
            self._done += 1
            return self._warm(batch)
        if self._graph is None:
            self._inputs = _map(Tensor.clone, batch)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._result = self._step(self._inputs)
            self._graph = graph
        for mine, given in zip(_tensors(self._inputs), _tensors(batch), strict=True):
            # One photograph would be copied to the places of all.
            if mine.shape != given.shape:
                raise ValueError(
                    f"a batch holds {tuple(given.shape)} where the first ones held {tuple(mine.shape)}: "
                    "give batches of one shape"
                )
            mine.copy_(given, non_blocking=True)
        self._graph.replay()
        assert self._result is not None
        return self._result.clone()

    def _warm(self, batch: Batch) -> Tensor:
        """The step on a stream of its own, as the recording needs."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return result


def _map(change: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """The same batch with every tensor changed."""
    return tuple(
        change(part)
        if isinstance(part, Tensor)
        else [change(each) for each in part]
        if isinstance(part, list)
        else part
        for part in batch
    )


def _tensors(batch: Batch) -> list[Tensor]:
    """All tensors of a batch, in order."""
    found: list[Tensor] = []
    for part in batch:
        found += [part] if isinstance(part, Tensor) else part if isinstance(part, list) else []
    return found
