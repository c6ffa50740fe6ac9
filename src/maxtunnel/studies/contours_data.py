"""The photographs of `study contours`: squares to train on, and whole ones to measure on.

What is to be learnt where annotators differ: a pixel of the shrunk photograph is a contour where at least
half of them drew one in its area, and counts nowhere where fewer did (`data.dense.consensus`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from maxtunnel.data.bsds import read_bsds
from maxtunnel.data.dense import Labels, consensus, resize_contours
from maxtunnel.data.folders import evenly_spaced
from maxtunnel.data.images import resize
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.training.dense import DenseData

Pixels = UInt8[Tensor, "3 h w"]


@dataclass(frozen=True, eq=False)
class Photograph:
    """One to measure on.

    Attributes:
        pixels: at its own size.
        contours: what each annotator drew, at that size.
    """

    pixels: Pixels
    contours: Labels


@dataclass(frozen=True, eq=False)
class Parts:
    """What a study reads.

    Attributes:
        trained: squares of the photographs of `train` and `val`.
        photographs: how many those are.
        tested: some of `test`.
        available: how many there are of these.
        identity: of all of it.
    """

    trained: DenseData
    photographs: int
    tested: tuple[Photograph, ...]
    available: int
    identity: str


def read_parts(
    data: str, shrink: int, crop: int, tested: int | None, on_progress: OnProgress = silent
) -> Parts:
    """Read BSDS500.

    Args:
        data: its folder with `images` and `groundTruth`.
        shrink, crop, tested: see `contours_config.Settings`.
        on_progress: told, as phase `read`, how many photographs are read.

    Raises:
        FormatError: a file is missing or damaged.
        ValueError: the squares are larger than a photograph that is shrunk.
    """
    splits = [read_bsds(data, split) for split in ("train", "val", "test")]
    test = splits[2].part(evenly_spaced(len(splits[2]), tested))
    total, digest = len(splits[0]) + len(splits[1]) + len(test), hashlib.sha256()
    images, masks, measured = [], [], []
    for number, (part, place) in enumerate(
        (each, place) for each in (*splits[:2], test) for place in range(len(each))
    ):
        on_progress("read", number, total, "")
        pixels, labels = part.pair(place)
        digest.update(pixels.contiguous().numpy().tobytes() + labels.contiguous().numpy().tobytes())
        if part is test:
            measured.append(Photograph(pixels, labels))
        else:
            for image, mask in squares(small(pixels, shrink), agreed(labels, shrink), crop):
                images.append(image)
                masks.append(mask)
    on_progress("read", total, total, "")
    return Parts(
        trained=DenseData(torch.stack(images), torch.stack(masks)),
        photographs=len(splits[0]) + len(splits[1]),
        tested=tuple(measured),
        available=len(splits[2]),
        identity=digest.hexdigest()[:16],
    )


def small(pixels: Pixels, shrink: int) -> UInt8[Tensor, "3 H W"]:
    """The photograph with so many times fewer pixels a side, averaged over areas; a rest is left out."""
    height, width = (side // shrink for side in pixels.shape[1:])
    whole = pixels[:, : height * shrink, : width * shrink]
    return whole.contiguous() if shrink == 1 else resize(whole, (height, width), "antialias")


def agreed(labels: Labels, shrink: int) -> UInt8[Tensor, "H W"]:
    """What is to be learnt at that size: 1 for a contour, 255 for what does not count, and 0."""
    height, width = (side // shrink for side in labels.shape[1:])
    whole = labels[:, : height * shrink, : width * shrink]
    return consensus(resize_contours(whole, (height, width)))


def squares(
    pixels: Pixels, mask: UInt8[Tensor, "h w"], side: int
) -> Sequence[tuple[UInt8[Tensor, "3 s s"], UInt8[Tensor, "s s"]]]:
    """As many squares as cover the photograph, from one end of it to the other.

    Raises:
        ValueError: the photograph is smaller.
    """
    height, width = mask.shape
    if side > min(height, width):
        raise ValueError(
            f"`crop` is {side}: the photographs are {width}x{height} once they are shrunk, so give at most "
            f"{min(height, width)}"
        )
    found = []
    for top in _starts(height, side):
        for left in _starts(width, side):
            place = (slice(top, top + side), slice(left, left + side))
            found.append((pixels[:, place[0], place[1]].contiguous(), mask[place].contiguous()))
    return found


def _starts(length: int, side: int) -> list[int]:
    """Where squares begin that cover a length, evenly, the first and the last at its ends."""
    count = -(-length // side)
    return [round(number * (length - side) / max(1, count - 1)) for number in range(count)]


def others_of(photographs: Sequence[Photograph]) -> list[int]:
    """For each photograph the number of another one: half of them further on, of those of its size.

    One that is alone of its size has the next of any size.
    """
    sizes = [tuple(each.pixels.shape) for each in photographs]
    found = []
    for number, size in enumerate(sizes):
        alike = [place for place, other in enumerate(sizes) if other == size]
        away = alike[(alike.index(number) + len(alike) // 2) % len(alike)]
        found.append(away if away != number else (number + 1) % len(sizes))
    return found
