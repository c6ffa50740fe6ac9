"""The photographs of a source, decoded, one after the other or all at one size."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxtunnel.data.finding import Source
from maxtunnel.data.images import Missing, read_image
from maxtunnel.data.images import resize as warp
from maxtunnel.data.sources import File, Image
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError

# Told of every photograph: how many are done, and how many of these were skipped.
OnRead = Callable[[int, int], None]


def unheard(done: int, skipped: int) -> None:
    """Tell nobody."""


def read(image: Image) -> UInt8[Tensor, "3 h w"]:
    """The pixels of a photograph that a source hands out; FormatError where there are none."""
    if isinstance(image, Missing):
        raise FormatError(f"{image.name} {image.reason}")
    return read_image(image)


@dataclass(frozen=True, eq=False)
class Square:
    """Photographs of one size.

    Attributes:
        pixels: of those that could be read, in the order of the source.
        kept: their numbers in the source.
        reasons: of each of the others, by its number, the rest of a sentence that begins with its name.
    """

    pixels: UInt8[np.ndarray, "n 3 s s"]
    kept: Int64[np.ndarray, " n"]
    reasons: dict[int, str]


def read_square(
    source: Source,
    size: int,
    resize: Resize,
    workers: int = 1,
    strict: bool = False,
    on_read: OnRead = unheard,
) -> Square:
    """All photographs of a source, warped to a square of `size` pixels.

    Args:
        source: small enough for all to be in memory.
        size, resize: of the square, and how it is made.
        workers: decoding threads.
        strict: raise FormatError for one that cannot be read.
        on_read: told of every photograph.
    """
    buffer = np.empty((len(source.labels), 3, size, size), np.uint8)
    reasons: dict[int, str] = {}
    for done, (position, reason) in enumerate(_fill(buffer, source, resize, workers, strict), 1):
        if reason:
            reasons[position] = reason
        on_read(done, len(reasons))
    kept = np.delete(np.arange(len(buffer)), [*reasons])
    for target, position in enumerate(kept.tolist()):
        if target != position:
            buffer[target] = buffer[position]
    return Square(buffer[: len(kept)], kept, reasons)


def _fill(
    buffer: UInt8[np.ndarray, "n 3 s s"], source: Source, resize: Resize, workers: int, strict: bool
) -> Iterator[tuple[int, str]]:
    """Read images into the buffer; yields the position of each, and why it could not be read, if so."""
    size = buffer.shape[-1]

    def put(position: int, image: Image) -> tuple[int, str]:
        try:
            buffer[position] = warp(read(image), (size, size), resize).numpy()
        except FormatError as error:
            if strict:
                raise
            name = str(image if isinstance(image, File) else image.name)
            return position, str(error).removeprefix(name).strip()
        return position, ""

    # Few images wait, so that those of a Parquet file are not all in memory.
    waiting: deque[Future[tuple[int, str]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for position, image in source.images(np.arange(len(buffer))):
            waiting.append(pool.submit(put, position, image))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
