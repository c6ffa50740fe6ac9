"""Which photographs an audit reads, which of them its decoders train on, and which it measures on."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from maxtunnel.auditing.config import SEARCHED
from maxtunnel.data import is_store, read_photographs
from maxtunnel.data.batches import Pixels
from maxtunnel.data.folders import folder_name, list_names, read_files
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError
from maxtunnel.support.memory import free_memory
from maxtunnel.support.progress import OnProgress, silent

MOST = 10_000  # most photographs to train on
LEAST = 8  # of either
LEAST_READ = 160  # where there are so many; a tenth of them is held out
_PIECE = 64  # photographs that are read at a time


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


@dataclass(frozen=True, eq=False)
class Source:
    """A folder or a store of photographs, from which as many are read as are needed.

    Attributes:
        path: of it.
        size, resize: how photographs are made square.
    """

    path: Path
    size: int
    resize: Resize

    def read(
        self, most: int, seconds: float | None = None, on_progress: OnProgress = silent
    ) -> tuple[Pixels, tuple[tuple[Path, str], ...]]:
        """Photographs spread evenly over the source, and the files that cannot be read, each with the reason.

        The order is such that the first of them, however few, are spread over all of it.

        Args:
            most: files to read at most; fewer where memory is short.
            seconds: after which no more are read than LEAST_READ.
            on_progress: told, as phase `read`, how many are done.
        """
        most = min(most, at_most(self.size * self.size))
        if is_store(self.path):
            # They are read from the disk where they are used.
            pixels = read_photographs(self.path, self.size, self.resize)
            return _chosen(pixels.pixels, spread(len(pixels.pixels))[:most]), pixels.skipped
        names = list_names(self.path)
        files = [Path(self.path, names[number]) for number in spread(len(names))[:most]]
        return self._read(files, seconds, on_progress)

    def _read(
        self, files: Sequence[Path], seconds: float | None, on_progress: OnProgress
    ) -> tuple[Pixels, tuple[tuple[Path, str], ...]]:
        began, done, total = time.monotonic(), 0, len(files)
        pixels: list[Tensor] = []
        skipped: list[tuple[Path, str]] = []
        while done < total:
            if seconds is not None and done >= LEAST_READ and time.monotonic() - began > seconds:
                break
            piece = files[done : done + _PIECE]
            done += len(piece)
            try:
                found = read_files(piece, self.size, self.resize)
            except FormatError:
                # Not one of these can be read; others may.
                skipped += [(path, f"{path} cannot be read as an image") for path in piece]
                if done == total and not pixels:
                    raise
                continue
            pixels.append(found.pixels)
            skipped += found.skipped
            on_progress("read", done, total, folder_name(self.path))
        return torch.cat(pixels), tuple(skipped)


def spread(count: int) -> list[int]:
    """Numbers below `count` in an order whose every beginning lies evenly over all of them."""
    bits = max(1, (count - 1).bit_length())
    reversed_bits = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [number for number in reversed_bits if number < count]


def _chosen(pixels: Pixels, numbers: Sequence[int]) -> Pixels:
    which = torch.tensor(numbers, dtype=torch.long)
    return pixels[which] if isinstance(pixels, Tensor) else pixels.select(which)


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
