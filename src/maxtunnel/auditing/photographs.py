"""Which photographs an audit reads, which of them its decoders train on, and which it measures on."""

import torch

from maxtunnel.data.batches import Pixels
from maxtunnel.support.memory import free_memory

SEARCHED = 1000  # most photographs to measure on, and to search the right one among
MOST = 10_000  # most photographs to train on
LEAST = 8  # of either


def check_photographs(images: object) -> None:
    """Refuse what is no batch of photographs; values in [0, 1] would be black, and leak nothing.

    Raises:
        ValueError: `images` are not uint8 of shape (n, 3, h, w).
    """
    shape, dtype = tuple(getattr(images, "shape", ())), getattr(images, "dtype", None)
    if dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3:
        given = f"{dtype} of shape {shape}" if dtype else type(images).__name__
        raise ValueError(f"the photographs are {given}: give uint8 RGB, 0 to 255, of shape (n, 3, h, w)")


def at_most(pixels: int) -> int:
    """How many photographs of so many pixels to read: all that are used, in a quarter of free memory."""
    return max(16, min(MOST + SEARCHED, free_memory() // (4 * 3 * pixels)))


def split(images: Pixels, holdout: Pixels | None, seed: int) -> tuple[Pixels, Pixels]:
    """Photographs to train on and photographs to measure on, both in an order drawn by `seed`.

    Raises:
        ValueError: there are too few, or their sizes differ.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)[: at_most(images.shape[-2] * images.shape[-1])]
    if holdout is None:
        count = min(SEARCHED, len(images) // 10)
        seen, held = images[order[count:]], images[order[:count]]
    else:
        seen, held = images[order], holdout[torch.randperm(len(holdout), generator=generator)[:SEARCHED]]
        if seen.shape[1:] != held.shape[1:]:
            raise ValueError(
                f"`images` are {tuple(seen.shape[1:])} but `holdout` is {tuple(held.shape[1:])}: "
                "give photographs of one size"
            )
    if len(seen) < LEAST or len(held) < LEAST:
        raise ValueError(
            f"{len(seen)} photographs to train on and {len(held)} to measure on: give at least {LEAST} of "
            "each (without `holdout` a tenth is held out)"
        )
    return seen, held
