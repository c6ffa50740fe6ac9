"""The one place that decides how encoder and decoder are computed.

- On a CPU natively in one call, where C++ is faster than PyTorch's layers.
- On a GPU with Triton, where no gradient is asked for, layer by layer; but bias and ReLU of a layer that is
  pooled or unpooled are done by the kernel that reads its sums anyway (`switches.fused`). A training step
  needs what the ReLU gave for its gradient, so there they stay apart.
- Otherwise layer by layer.

All give the same results (tests/native/test_planar.py, tests/switches/test_kernels.py); `native.disabled`
turns the first two off.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, cast

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
from maxtunnel.native.arguments import is_watched
from maxtunnel.switches import kernels
from maxtunnel.switches.window import PAPER_WINDOW

if TYPE_CHECKING:
    from maxtunnel.models.encoder import Encoder
    from maxtunnel.models.layers import Conv3x3
    from maxtunnel.models.mirrored import Codes, MirroredDecoder

_counting = threading.Lock()
# How many threads are inside `exact` at this moment, and what the setting was before the first of them.
_threads, _before = 0, "none"


def encode(
    encoder: Encoder, x: Float[Tensor, "n 3 h w"]
) -> tuple[Float[Tensor, "n c oh ow"], tuple[UInt8[Tensor, "n _ _ _"], ...]]:
    """The deepest features and the codes, finest level first; NaN is not looked for."""
    widths = encoder.widths if not torch.is_grad_enabled() and x.dtype == torch.float32 else None
    if widths and _planar(widths, encoder):
        return planar.encode(x, widths, list(encoder.parameters()))
    fused = _fused(encoder, x, max(widths) * (x.numel() // 3)) if widths else None
    with exact(x.device):
        return encoder.blocks(x) if fused is None else _encode_fused(encoder, x, fused)


def decode(
    decoder: MirroredDecoder, codes: Codes, what: Tensor | None, missing: Collection[int]
) -> Float[Tensor, "n 3 h w"]:
    """What the decoder makes of codes."""
    simple = what is None and not missing and codes[0].dtype == torch.uint8 and not torch.is_grad_enabled()
    widths = decoder.widths if simple else None
    if widths and _planar(widths, decoder):
        return planar.decode(codes, widths, list(decoder.parameters()))
    fused = _fused(decoder, codes[0], 4 * max(widths) * (codes[0].numel() // widths[0])) if widths else None
    if fused is not None:
        return _decode_fused(decoder, codes, fused)
    return last(decoder.layers(codes, what, missing))


def squared_error(
    decoder: MirroredDecoder,
    codes: Codes,
    target: Float[Tensor, "n 3 h w"],
    what: Tensor | None = None,
    missing: Collection[int] = (),
) -> Float[Tensor, ""]:
    """Sum of (decoded codes - target)^2."""
    simple = what is None and not missing and codes[0].dtype == torch.uint8 and torch.is_grad_enabled()
    widths = decoder.widths if simple else None
    if widths and _planar(widths, decoder):
        return planar.squared_error(codes, target, widths, list(decoder.parameters()))
    return sum_of_squares(decoder(codes, what, missing), target)


def sum_of_squares(output: Float[Tensor, "n 3 h w"], target: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
    """Sum of (output - target)^2 in float32, with a gradient of one pass."""
    target = target.contiguous(memory_format=torch.channels_last)
    return F.mse_loss(output.float(), target, reduction="sum")


def _encode_fused(
    encoder: Encoder, x: Float[Tensor, "n 3 h w"], fused: ModuleType
) -> tuple[Float[Tensor, "n c oh ow"], tuple[UInt8[Tensor, "n _ _ _"], ...]]:
    """As `encoder.blocks`."""
    x, codes = x.contiguous(memory_format=torch.channels_last), []
    for first, second in _pairs(encoder):
        sums = F.conv2d(first(x), second.weight, padding=1)
        x, where = fused.pool(sums, PAPER_WINDOW, second.bias)
        codes.append(where)
    return x, tuple(codes)


def _decode_fused(
    decoder: MirroredDecoder, codes: Sequence[UInt8[Tensor, "n _ _ _"]], fused: ModuleType
) -> Float[Tensor, "n 3 h w"]:
    """As the last of `decoder.layers`."""
    bias: Tensor | None = None
    sums = decoder.bias_code[:, None, None].expand(codes[-1].shape)
    for where, (first, second) in zip(codes[::-1], _pairs(decoder), strict=True):
        size = 2 * where.shape[-2], 2 * where.shape[-1]
        x = first(fused.put(sums, where, PAPER_WINDOW, size, bias))
        sums, bias = F.conv2d(x, second.weight, padding=1), second.bias
    assert bias is not None
    # The last layer has no ReLU.
    return sums + bias[:, None, None]


def _pairs(half: Encoder | MirroredDecoder) -> Iterator[tuple[Conv3x3, Conv3x3]]:
    """The two layers of each block."""
    layers = cast("list[Conv3x3]", list(half.convs))
    return zip(layers[::2], layers[1::2], strict=True)


def _fused(half: Encoder | MirroredDecoder, given: Tensor, most: int) -> ModuleType | None:
    """The kernels for a GPU, where they take this half, of float32, and planes of so many values."""
    weights = list(half.parameters())
    fused = kernels.fused_for(weights[0], most)
    if fused is None or is_watched(given) or is_watched(weights[0]) or _watched(half):
        return None
    float32 = all(weight.dtype == torch.float32 for weight in weights)
    return fused if float32 and not torch.is_autocast_enabled(weights[0].device.type) else None


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
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
