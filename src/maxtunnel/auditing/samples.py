"""Photographs with the switches and features that a model gives them, captured once and kept small."""

import math
import time
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from maxtunnel.auditing.loading import load_target
from maxtunnel.auditing.origin import hash_of_weights
from maxtunnel.auditing.targets import Target
from maxtunnel.data.batches import PIECE, Pixels
from maxtunnel.data.images import to_float
from maxtunnel.models.mirrored import Level, levels_of
from maxtunnel.support.memory import free_memory
from maxtunnel.support.parts import Parts, Spread, here, in_order
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.packing import pack, unpack

LEAST_CAPTURED = 16
_FIRST = 8  # photographs at a time, before it is known how long one takes


@dataclass(frozen=True, eq=False)
class Samples:
    """What a model makes of some photographs.

    Attributes:
        pixels: the photographs.
        template: the code of one photograph: names, windows and sizes of the levels that an observer sees.
        numbers: of these levels among all poolings of the model, in call order from 1.
        packed: level by level, as few bits a code as 1, 2, 4 or 8 allow.
        features: the values of the coarsest level, each channel divided by its root mean square (over the
            photographs that the decoders train on), float16.
        rms: that divisor, one value a channel.
    """

    pixels: UInt8[Tensor, "n 3 h w"]
    template: SwitchCode
    numbers: tuple[int, ...]
    packed: tuple[UInt8[Tensor, "n _"], ...]
    features: Float[Tensor, "n c oh ow"]
    rms: Float[Tensor, " c"]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def levels(self) -> tuple[Level, ...]:
        """From coarsest to finest; their numbers are those in the code."""
        return levels_of(self.template)

    @property
    def by_number(self) -> dict[int, SwitchLevel]:
        """One photograph's level of each number, in call order."""
        return dict(zip(self.numbers, self.template.levels, strict=True))

    @property
    def coarsest_first(self) -> tuple[int, ...]:
        """The numbers of the levels in the model, from coarsest to finest."""
        return tuple(self.numbers[level.number - 1] for level in self.levels)

    def images(self, chosen: Int64[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
        """Some of the photographs, in [0, 1]."""
        return to_float(self.pixels[chosen])

    def code(self, chosen: Int64[Tensor, " b"]) -> SwitchCode:
        """The switches of some of the photographs."""
        found = []
        for level, packed in zip(self.template.levels, self.packed, strict=True):
            shape = level.codes.permute(0, 2, 3, 1).shape[1:]
            codes = unpack(packed[chosen], shape, bits_each(level)).permute(0, 3, 1, 2)
            found.append(level.with_codes(codes))
        return SwitchCode(tuple(found), self.template.image_size)

    def what(self, chosen: Int64[Tensor, " b"]) -> Float[Tensor, "b c oh ow"]:
        """The features of some of the photographs at the coarsest level, channels last, like the codes."""
        return self.features[chosen].float().contiguous(memory_format=torch.channels_last)


def bits_each(level: SwitchLevel) -> int:
    """Bits that a code takes in memory."""
    return next(bits for bits in (1, 2, 4, 8) if level.window.cells <= 2**bits)


def sample(
    target: Target,
    pixels: Pixels,
    seconds: float = math.inf,
    least: int = LEAST_CAPTURED,
    rms: Float[Tensor, " c"] | None = None,
    on_progress: OnProgress = silent,
    phase: str = "capture",
    spread: Spread = here,
    again: "Again | None" = None,
) -> Samples:
    """Capture photographs in their order until all are done, time is up or half of the free memory is full.

    Args:
        target: the model.
        pixels: the photographs.
        seconds: for all of it; they are captured a few at a time, so that little more is taken.
        least: this many are captured however long it takes.
        rms: divides the features; by default their own.
        on_progress: told how many photographs are captured.
        phase: its name for `on_progress`.
        spread: captures the photographs after the first few, with the model that `again` loads.
        again: how workers come by the model; with an engine it must be given.
    """
    if again is not None and spread is not here:
        return _sample_apart(target, pixels, seconds, least, rms, on_progress, phase, spread, again)
    began, size = time.monotonic(), target.batch or (PIECE if seconds == math.inf else _FIRST)
    pieces: list[_Piece] = []
    done, most, each = 0, len(pixels), 0.0
    while done < most and not (done >= least and time.monotonic() - began + size * each > seconds):
        piece = _capture(target, pixels[done : min(done + size, most)])
        if not pieces:
            most = min(most, max(least, _fitting(piece.template)))
        pieces.append(piece)
        done += len(piece.values)
        each = (time.monotonic() - began) / done
        if target.batch is None and seconds < math.inf:
            size = PIECE if each == 0 else max(_FIRST, min(PIECE, int(0.1 * seconds / each)))
        on_progress(phase, done, most, "")
    return _joined(pixels[:done], pieces, rms)


@dataclass(frozen=True)
class Again:
    """Captures photographs with a model that every worker loads by its name: a work that can be pickled.

    Attributes:
        text, preprocess: what `load_target` takes.
        levels: as of `Target`.
        weights: hash of the model's weights, which must be the same everywhere.
        device: where the model runs; what it gives comes back to the CPU.
    """

    text: str
    preprocess: str | None
    levels: tuple[int, ...] | None
    weights: str
    device: str = "cpu"

    def __call__(self, pixels: UInt8[Tensor, "n 3 h w"]) -> "_Piece":
        """The fields of `Samples` for a few photographs."""
        return _capture(_load_again(self), pixels)


@cache
def _load_again(again: Again) -> Target:
    """The model, loaded once in each process."""
    target = load_target(again.text, again.preprocess).observed(again.levels)
    if hash_of_weights(target.model) != again.weights:
        raise ValueError(
            f"{again.text} has other weights in each process: give one that loads its weights from a file, "
            "or seeds what draws them"
        )
    if again.device != "cpu":
        target.model.to(again.device)
    return target


def _sample_apart(
    target: Target,
    pixels: Pixels,
    seconds: float,
    least: int,
    rms: Float[Tensor, " c"] | None,
    on_progress: OnProgress,
    phase: str,
    spread: Spread,
    again: Again,
) -> Samples:
    """`sample` with all but the first few photographs captured elsewhere, as many at a time as here."""
    began, size = time.monotonic(), target.batch or PIECE
    pieces = [_capture(target, pixels[: min(size, len(pixels))])]
    most, done = min(len(pixels), max(least, _fitting(pieces[0].template))), len(pieces[0].values)

    def cut(number: int) -> UInt8[Tensor, "n 3 h w"]:
        # A copy: of a view, all photographs would be sent along.
        return pixels[number * size : min((number + 1) * size, most)].clone()

    parts = Parts(range(1, -(-most // size)), cut)
    for piece in in_order(spread(again, parts)):
        pieces.append(piece)
        done += len(piece.values)
        on_progress(phase, done, most, "")
        if done >= least and time.monotonic() - began > seconds:
            break
    return _joined(pixels[:done], pieces, rms)


@dataclass(frozen=True, eq=False)
class _Piece:
    """The fields of `Samples` for a few photographs, the features not yet divided."""

    template: SwitchCode
    numbers: tuple[int, ...]
    packed: tuple[Tensor, ...]
    values: Tensor


def _capture(target: Target, pixels: UInt8[Tensor, "n 3 h w"]) -> _Piece:
    """Run the model once."""
    found = target.record(to_float(_filled(pixels, target.batch))).levels
    code = SwitchCode(tuple(level.switches for level in found), (pixels.shape[-2], pixels.shape[-1]))
    return _Piece(
        # A copy: a view would keep the codes of all photographs, not packed.
        SwitchCode.concatenate([code[0].to("cpu")]),
        tuple(level.number for level in found),
        tuple(
            pack(level.codes[: len(pixels)].cpu().permute(0, 2, 3, 1), bits_each(level))
            for level in code.levels
        ),
        found[_coarsest(code)].values[: len(pixels)].float().cpu(),
    )


def _joined(pixels: UInt8[Tensor, "n 3 h w"], pieces: list[_Piece], rms: Tensor | None) -> Samples:
    if rms is None:
        squares = [piece.values.square().mean((0, 2, 3)) for piece in pieces]
        rms = torch.stack(squares).mean(0).sqrt().clamp(min=1e-6)
    features = [(piece.values / rms[:, None, None]).clamp(-6e4, 6e4).half() for piece in pieces]
    packed = tuple(torch.cat(level) for level in zip(*(piece.packed for piece in pieces), strict=True))
    return Samples(pixels, pieces[0].template, pieces[0].numbers, packed, torch.cat(features), rms)


def _coarsest(code: SwitchCode) -> int:
    """The place of the coarsest level among `code.levels`."""
    return levels_of(code)[0].number - 1


def _filled(pixels: Tensor, batch: int | None) -> Tensor:
    """The photographs, the last one repeated where a fixed batch needs more."""
    if batch is None or len(pixels) == batch:
        return pixels
    return torch.cat([pixels, pixels[-1:].expand(batch - len(pixels), -1, -1, -1)])


def _fitting(template: SwitchCode) -> int:
    """How many photographs' codes and features fit into half of the free memory."""
    codes = sum(level.codes.numel() * bits_each(level) / 8 for level in template.levels)
    coarsest = template.levels[_coarsest(template)].codes.numel()
    return int(free_memory() / 2 / (codes + 6 * coarsest))
