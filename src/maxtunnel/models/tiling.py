"""Large images piece by piece, in bounded memory, with the result of the whole.

A pixel of the result depends on the pixels around it no farther than the layers reach, so a piece with a
margin of that width gives, inside the margin, what the whole image would give. Margins and pieces are
multiples of 2^blocks pixels, so that the windows of every level fall on the same pixels.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.models.tunnel import TunnelNetwork, code_of
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.switches.window import Pair

SIDE = 512  # of a piece: margins cost a third more work, and activations of 16 filters stay in a large cache


@dataclass(frozen=True)
class Piece:
    """One piece of a plane in pixels: the part that is kept, and the part that is computed around it."""

    top: int
    left: int
    bottom: int
    right: int
    outer_top: int
    outer_left: int
    outer_bottom: int
    outer_right: int

    def inner(self, level: int = 0) -> tuple[slice, slice]:
        """Where the kept part lies inside the computed one, `level` poolings further in."""
        return (
            slice((self.top - self.outer_top) >> level, (self.bottom - self.outer_top) >> level),
            slice((self.left - self.outer_left) >> level, (self.right - self.outer_left) >> level),
        )

    def kept(self, level: int = 0) -> tuple[slice, slice]:
        """Where the kept part lies in the plane, `level` poolings further in."""
        return slice(self.top >> level, self.bottom >> level), slice(self.left >> level, self.right >> level)

    @property
    def outer(self) -> tuple[slice, slice]:
        """Where the computed part lies in the plane."""
        return slice(self.outer_top, self.outer_bottom), slice(self.outer_left, self.outer_right)


def reach(network: TunnelNetwork, *, encoder: bool = False, decoder: bool = False) -> int:
    """Pixels that a margin needs for switches (encoder), for images from switches (decoder), or for both.

    Two 3x3 layers a block reach 2 cells of that block, so the paper's encoder reaches 2 (2^blocks - 1)
    pixels. What lies between it and the decoder is a window of up to 2^blocks pixels, of which the farthest
    may decide.
    """
    architecture = network.architecture
    layers = (architecture.reach if encoder else 0) + (network.decoder_reach if decoder else 0)
    pixels = architecture.multiple - 1 + layers
    return -(-pixels // network.multiple) * network.multiple


def pieces(size: Pair, side: int, margin: int) -> Iterator[Piece]:
    """The pieces of a plane, row by row."""
    for top in range(0, size[0], side):
        for left in range(0, size[1], side):
            bottom, right = min(top + side, size[0]), min(left + side, size[1])
            yield Piece(
                top, left, bottom, right,
                max(top - margin, 0), max(left - margin, 0),
                min(bottom + margin, size[0]), min(right + margin, size[1]),
            )  # fmt: skip


@torch.no_grad()
def reconstruct(
    network: TunnelNetwork,
    image: UInt8[Tensor, "3 h w"],
    side: int = SIDE,
    on_progress: OnProgress = silent,
) -> tuple[UInt8[Tensor, "3 h w"], float]:
    """An image rebuilt from its own switches; beyond the two images, memory does not grow with their size.

    Args:
        network: rebuilds it.
        image: of any size.
        side: of the pieces in pixels, a multiple of 2^blocks.
        on_progress: told the pieces done and their total.

    Returns:
        The reconstruction, and its RMSE before it was clipped and rounded.

    Raises:
        ValueError: `side` is no such multiple.
    """
    size = (image.shape[-2], image.shape[-1])
    output, squares = torch.empty_like(image), 0.0
    margin = reach(network, encoder=True, decoder=True)
    for piece in _progress(network, size, side, margin, on_progress):
        _, codes = network.encoder(_normalised(network, image, piece))
        rows, columns = _inside(piece, size)
        rebuilt = _rebuilt(network, codes, piece, size)
        squares += float((rebuilt - to_float(image[:, rows, columns])).square().sum(dtype=torch.float64))
        output[:, rows, columns] = to_uint8(rebuilt)
    return output, math.sqrt(squares / image.numel())


@torch.no_grad()
def encode(
    network: TunnelNetwork,
    image: UInt8[Tensor, "3 h w"],
    side: int = SIDE,
    on_progress: OnProgress = silent,
) -> SwitchCode:
    """The switches of one image of any size; arguments as for `reconstruct`."""
    size = (image.shape[-2], image.shape[-1])
    padded = network.architecture.padded_size(size)
    levels = [
        torch.empty(1, width, padded[0] >> level, padded[1] >> level, dtype=torch.uint8)
        for level, width in enumerate(network.architecture.widths, 1)
    ]
    for piece in _progress(network, size, side, reach(network, encoder=True), on_progress):
        _, codes = network.encoder(_normalised(network, image, piece))
        for level, (whole, part) in enumerate(zip(levels, codes, strict=True), 1):
            inner, kept = piece.inner(level), piece.kept(level)
            whole[(..., *kept)] = part[(..., *inner)].cpu()
    return code_of(levels, size)


def decode(
    network: TunnelNetwork,
    code: SwitchCode,
    side: int = SIDE,
    on_progress: OnProgress = silent,
    levels: Collection[int] | None = None,
) -> UInt8[Tensor, "3 h w"]:
    """One image of any size from its switches, clipped and rounded; arguments as for `reconstruct`.

    `levels` are those to make use of, as for `TunnelNetwork.decode`.

    Raises:
        ValueError: the code comes from another architecture, or holds more than one image.
    """
    output = torch.empty(3, *code.image_size, dtype=torch.uint8)
    for rows, columns, part in decode_pieces(network, code, side, on_progress, levels):
        output[:, rows, columns] = to_uint8(part)
    return output


def decode_pieces(
    network: TunnelNetwork,
    code: SwitchCode,
    side: int = SIDE,
    on_progress: OnProgress = silent,
    levels: Collection[int] | None = None,
) -> Iterator[tuple[slice, slice, Float[Tensor, "3 _ _"]]]:
    """The rows, the columns and the values, not clipped, of piece after piece; otherwise as `decode`."""
    if len(code) != 1:
        raise ValueError(f"the code holds {len(code)} images: expected one, such as code[0]")
    network.check(code)
    missing = network.missing(levels)
    margin = reach(network, decoder=True)
    for piece in _progress(network, code.image_size, side, margin, on_progress):
        rows, columns = piece.outer
        codes = [
            level.codes[..., rows.start >> i : rows.stop >> i, columns.start >> i : columns.stop >> i].to(
                network.device, memory_format=torch.channels_last
            )
            for i, level in enumerate(code.levels, 1)
        ]
        yield *_inside(piece, code.image_size), _rebuilt(network, codes, piece, code.image_size, missing)


def _progress(
    network: TunnelNetwork,
    size: Pair,
    side: int,
    margin: int,
    on_progress: OnProgress,
) -> Iterator[Piece]:
    """The pieces, told one after another."""
    if side < 1 or side % network.multiple:
        raise ValueError(f"pieces are {side} pixels wide: expected a multiple of {network.multiple}")
    padded = network.architecture.padded_size(size)
    todo = list(pieces(padded, side, margin))
    for done, piece in enumerate(todo, 1):
        yield piece
        on_progress("pieces", done, len(todo), "")


def _normalised(network: TunnelNetwork, image: UInt8[Tensor, "3 h w"], piece: Piece) -> Tensor:
    """What the encoder sees of a piece."""
    rows, columns = piece.outer
    part = to_float(image[None, :, rows, columns])
    return network.normalise(part, (image.shape[-2], image.shape[-1]), rows, columns)


@torch.no_grad()
def _rebuilt(
    network: TunnelNetwork, codes: Sequence[Tensor], piece: Piece, size: Pair, missing: Collection[int] = ()
) -> Float[Tensor, "3 _ _"]:
    """The part of the image that a piece is for, on the CPU."""
    rows, columns = piece.inner()
    output = network.decoder(codes, None, missing)[..., rows, columns]
    return network.denormalise(output, size, *piece.kept())[0].cpu()


def _inside(piece: Piece, size: Pair) -> tuple[slice, slice]:
    """Rows and columns of the image that a piece is for; the plane may be larger."""
    rows, columns = piece.kept()
    return slice(rows.start, min(rows.stop, size[0])), slice(columns.start, min(columns.stop, size[1]))
