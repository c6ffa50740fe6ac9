"""Photographs with the switches and features that a model gives them, captured once and kept small."""

import math
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from maxtunnel.auditing.targets import Target
from maxtunnel.data.batches import PIECE, Pixels
from maxtunnel.data.images import to_float
from maxtunnel.models.mirrored import Level, levels_of
from maxtunnel.support.memory import free_memory
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.packing import pack, unpack


@dataclass(frozen=True, eq=False)
class Samples:
    """What a model makes of some photographs.

    Attributes:
        pixels: the photographs, uint8.
        template: the code of one photograph: names, windows and sizes of all levels.
        packed: level by level, as few bits a code as 1, 2, 4 or 8 allow.
        features: the values of the coarsest level, each channel divided by its root mean square (of the
            photographs that the decoders train on), float16.
        rms: that divisor, a value a channel.
    """

    pixels: Tensor
    template: SwitchCode
    packed: tuple[Tensor, ...]
    features: Tensor
    rms: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def levels(self) -> tuple[Level, ...]:
        """From coarsest to finest."""
        return levels_of(self.template)

    def images(self, numbers: Int64[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
        """Photographs in [0, 1]."""
        return to_float(self.pixels[numbers])

    def code(self, numbers: Int64[Tensor, " b"]) -> SwitchCode:
        """Their switches."""
        found = []
        for level, packed in zip(self.template.levels, self.packed, strict=True):
            shape = level.codes.permute(0, 2, 3, 1).shape[1:]
            codes = unpack(packed[numbers], shape, bits_each(level))
            found.append(level.with_codes(codes))
        return SwitchCode(tuple(found), self.template.image_size)

    def what(self, numbers: Int64[Tensor, " b"]) -> Float[Tensor, "b c oh ow"]:
        """Their features at the coarsest level, channels last, like the codes."""
        return self.features[numbers].float().contiguous(memory_format=torch.channels_last)


def bits_each(level: SwitchLevel) -> int:
    """Bits that a code takes in memory."""
    return next(bits for bits in (1, 2, 4, 8) if level.window.cells <= 2**bits)


def sample(
    target: Target,
    pixels: Pixels,
    seconds: float = math.inf,
    least: int = 64,
    rms: Tensor | None = None,
    on_progress: OnProgress = silent,
    phase: str = "capture",
) -> Samples:
    """Capture photographs in their order until all are done, time is up or half of the free memory is full.

    Args:
        target: the model.
        pixels: uint8 photographs.
        seconds: for all of it.
        least: that many are captured however long it takes.
        rms: divides the features; by default their own.
    """
    began, size = time.monotonic(), target.batch or PIECE
    codes: list[list[Tensor]] = []
    values: list[Tensor] = []
    template: SwitchCode | None = None
    most = len(pixels)
    done = 0
    while done < most and not (done >= least and time.monotonic() - began > seconds):
        images = to_float(_filled(pixels[done : min(done + size, most)], target.batch))
        found = target.record(images).levels
        count = min(size, most - done)
        code = SwitchCode(tuple(level.switches for level in found), (images.shape[-2], images.shape[-1]))
        if template is None:
            template = code[0].to("cpu")
            most = min(most, max(least, _fitting(template)))
        coarsest = levels_of(code)[0].number
        codes.append([pack(level.codes[:count].cpu(), bits_each(level)) for level in code.levels])
        values.append(found[coarsest - 1].values[:count].float().cpu())
        done += count
        on_progress(phase, done, most, "")
    assert template is not None
    if rms is None:
        rms = torch.cat([v.square().mean((0, 2, 3))[None] for v in values]).mean(0).sqrt().clamp(min=1e-6)
    features = [(v / rms[:, None, None]).clamp(-6e4, 6e4).half() for v in values]
    packed = tuple(torch.cat(level) for level in zip(*codes, strict=True))
    return Samples(pixels[:done], template, packed, torch.cat(features), rms)


def _filled(pixels: Tensor, batch: int | None) -> Tensor:
    """The photographs, the last one repeated where a fixed batch needs more."""
    if batch is None or len(pixels) == batch:
        return pixels
    return torch.cat([pixels, pixels[-1:].expand(batch - len(pixels), -1, -1, -1)])


def _fitting(template: SwitchCode) -> int:
    """How many photographs' codes and features fit into half of the free memory."""
    codes = sum(level.codes.numel() * bits_each(level) / 8 for level in template.levels)
    coarsest = template.levels[levels_of(template)[0].number - 1].codes.numel()
    return int(free_memory() / 2 / (codes + 6 * coarsest))
