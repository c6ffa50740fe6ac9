"""Entropy coding of one level: compiled where that can be had, in plain NumPy and Python where it cannot.

Both functions write the codes they are given; with `data` they read codes from it into the array instead.
"""

import numpy as np

from maxtunnel.codec import plain
from maxtunnel.codec.arithmetic import squash_table, stretch_table
from maxtunnel.codec.contexts import reads_array
from maxtunnel.codec.prior import LevelPrior
from maxtunnel.native import coder


def is_fast() -> bool:
    """Whether the compiled coder can be used; the plain one is some thousand times as slow."""
    return coder.supported()


def learned(prior: LevelPrior, codes: np.ndarray, above: np.ndarray, data: bytes | None) -> bytes | None:
    """Code a level, (n, c, h, w), by a learned model, given the level above.

    Returns:
        What was written; None where the compiled coder had no room, as it takes over two bits a code.

    Raises:
        ValueError: a code is not of a 2x2 window, so the model has no row for it.
    """
    if max(int(array.max(initial=0)) for array in (codes, above)) > 3:
        raise ValueError("a learned model has codes 0 to 3 only")
    if not coder.supported():
        return plain.learned(prior, codes, above, data)
    return coder.learned(vars(prior), prior.reach, squash_table(), codes, above, data)


def adaptive(codes: np.ndarray, cells: int, peers: np.ndarray, data: bytes | None) -> bytes | None:
    """Code a level, (n, c, h, w), of windows of `cells` cells by a model that learns as it goes.

    Returns:
        What was written; None where the compiled coder had no room, as it takes over the least whole bits.
    """
    if not coder.supported():
        return plain.adaptive(codes, cells, peers, data)
    return coder.adaptive(codes, cells, (peers, reads_array(), squash_table(), stretch_table()), data)
