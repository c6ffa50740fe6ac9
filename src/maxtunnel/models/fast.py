"""The one place that decides how encoder and decoder are computed: natively in one call, or layer by layer.

Both give the same results (tests/native/test_planar.py); `native.disabled` turns the native way off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks

from maxtunnel.native import planar

if TYPE_CHECKING:
    from maxtunnel.models.encoder import Encoder
    from maxtunnel.models.mirrored import Codes, MirroredDecoder


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
    return _last(decoder.layers(codes, what, missing))


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
    """Convolutions of a GPU in float32, not TF32, meanwhile: what defines switches is not rounded away."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.backends.cudnn.conv.fp32_precision = before  # type: ignore[attr-defined]


def _planar(widths: tuple[int, ...], half: nn.Module) -> bool:
    return planar.supported(widths, half.parameters()) and not _watched(half)


def _watched(half: nn.Module) -> bool:
    """Whether hooks wait for a layer's output, which the native way does not have."""
    return any(
        layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
        for layer in half.modules()
        if layer is not half
    ) or bool(_global_forward_hooks or _global_forward_pre_hooks)


def _last(layers: Iterator[tuple[str, Tensor]]) -> Tensor:
    return deque(layers, maxlen=1)[0][1]
