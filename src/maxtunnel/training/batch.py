"""What a training step is given."""

from collections.abc import Callable

# What a phase's `forward` takes (tensors, lists of tensors, tuples of settings, None), and what makes it for
# a step, from 0.
Batch = tuple[object, ...]
Batches = Callable[[int], Batch]
