"""The one place that decides how encoder and decoder are computed: natively in one call, or layer by layer.

Both give the same results (tests/native/test_planar.py); `native.disabled` turns the native way off.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import (
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_pre_hooks,
)

from maxtunnel.native import planar

if TYPE_CHECKING:
    from maxtunnel.models.encoder import Encoder
    from maxtunnel.models.mirrored import Codes, MirroredDecoder

_counting = threading.Lock()
# How many threads are inside `_exact` at this moment, and what the setting was before the first of them.
_threads, _before = 0, "none"


def encode(
    encoder: Encoder, x: Float[Tensor, "n 3 h w"]
) -> tuple[Float[Tensor, "n c oh ow"], tuple[UInt8[Tensor, "n _ _ _"], ...]]:
    """The deepest features and the codes, finest level first; NaN is not looked for."""
    if not torch.is_grad_enabled() and x.dtype == torch.float32 and _planar(encoder.widths, encoder):
        return planar.encode(x, encoder.widths, list(encoder.parameters()))
    with _exact(x.device):
        return encoder.blocks(x)


def decode(
    decoder: MirroredDecoder, codes: Codes, what: Tensor | None, missing: Collection[int]
) -> Float[Tensor, "n 3 h w"]:
    """What the decoder makes of codes."""
    widths = decoder.widths
    if widths and what is None and not missing and not torch.is_grad_enabled() and _planar(widths, decoder):
        return planar.decode(codes, widths, list(decoder.parameters()))
    return last(decoder.layers(codes, what, missing))


def squared_error(
    decoder: MirroredDecoder, codes: Codes, target: Float[Tensor, "n 3 h w"], what: Tensor | None = None
) -> Float[Tensor, ""]:
    """Sum of (decoded codes - target)^2."""
    widths = decoder.widths
    if widths and what is None and torch.is_grad_enabled() and _planar(widths, decoder):
        return planar.squared_error(codes, target, widths, list(decoder.parameters()))
    return sum_of_squares(decoder(codes, what), target)


def sum_of_squares(output: Float[Tensor, "n 3 h w"], target: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
    """Sum of (output - target)^2 in float32, with a gradient of one pass."""
    target = target.contiguous(memory_format=torch.channels_last)
    return F.mse_loss(output.float(), target, reduction="sum")


@contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """Convolutions of a GPU in float32, not TF32, meanwhile: what defines switches is not rounded away.

    The setting is that of the whole process, so the last thread that leaves puts back what the first found.
    """
    if device.type != "cuda":
        yield
        return
    _count_exact(1)
    try:
        yield
    finally:
        _count_exact(-1)


def _count_exact(change: int) -> None:
    global _threads, _before
    settings = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    with _counting:
        if _threads == 0:
            _before = settings.fp32_precision
        _threads += change
        settings.fp32_precision = "ieee" if _threads else _before


def _planar(widths: tuple[int, ...], half: nn.Module) -> bool:
    return planar.supported(widths, half.parameters()) and not _watched(half)


def _watched(half: nn.Module) -> bool:
    """Whether hooks wait for a layer's output, which the native way does not have."""
    return any(
        layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
        for layer in half.modules()
        if layer is not half
    ) or bool(
        _global_forward_hooks
        or _global_forward_pre_hooks
        or _global_backward_hooks
        or _global_backward_pre_hooks
    )


def last(layers: Iterator[tuple[str, Float[Tensor, "n _ _ _"]]]) -> Float[Tensor, "n _ _ _"]:
    """What the last of some layers gives; the outputs before it are let go as it is computed."""
    return deque(layers, maxlen=1)[0][1]
