"""What a training step is given."""

from collections.abc import Callable

# What a phase's `forward` takes (tensors, lists of tensors, None), and what makes it for a step, from 0.
Batch = tuple[object, ...]
Batches = Callable[[int], Batch]
