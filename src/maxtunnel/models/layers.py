"""The layer of encoder and decoder: a 3x3 convolution with a ReLU, as one operation with one gradient.

What it saves over the two apart is passes over memory: the ReLU works in place, and its gradient is one
pass of ours. The last layer of a decoder, whose three channels leave a general convolution mostly idle, has
kernels of its own on a CPU (`convolution.cpp`), which give float32 whatever they are given.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from maxtunnel.native import convolution


def conv3x3(
    x: Float[Tensor, "n c h w"],
    weight: Float[Tensor, "d c 3 3"],
    bias: Float[Tensor, " d"],
    relu: bool = False,
) -> Float[Tensor, "n d h w"]:
    """Convolution of stride 1 with a border of zeros, then a ReLU where asked for.

    Under autocast `x` and `weight` are taken in its dtype, as by PyTorch's own convolution.
    """
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    if torch.compiler.is_compiling():
        y = F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=1)
        return F.relu(y) if relu else y
    return _Conv3x3.apply(x, weight, bias, relu)


class Conv3x3(nn.Module):
    """`conv3x3` with its weights, uniform in +-`bound`, and its biases, 0.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        bound: of the weights.
        slope: of the activation below zero, 0 for a ReLU; None for no activation.
        generator: draws the weights.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        bound: float,
        slope: float | None = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        weight = torch.empty(channels_out, channels_in, 3, 3).uniform_(-bound, bound, generator=generator)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(torch.zeros(channels_out))
        self.slope = slope

    def forward(self, x: Float[Tensor, "n c h w"], activated: bool = True) -> Float[Tensor, "n d h w"]:
        """The layer's output, or what it is before the activation."""
        if not activated:
            return conv3x3(x, self.weight, self.bias)
        y = conv3x3(x, self.weight, self.bias, relu=self.slope == 0)
        return F.leaky_relu(y, self.slope) if self.slope else y


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        if _to_colours(x, weight, relu):
            y = convolution.convolve_to_colours(x, weight, bias)
        else:
            y = F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=1)
            y = y.relu_() if relu else y
        ctx.save_for_backward(x, weight, *([y] if relu else []))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight, *active = ctx.saved_tensors
        needed = list(ctx.needs_input_grad[:3])
        for y in active:
            gradient = _mask(gradient, y)
        to_colours = _to_colours(x, weight, bool(active)) and any(needed[1:])
        of_weight, of_bias = (
            convolution.colours_weight_gradient(x, gradient.float()) if to_colours else (None, None)
        )
        if to_colours:
            needed[1:] = False, False
        of_x, *general = torch.ops.aten.convolution_backward(
            gradient.to(x.dtype), x, weight.to(x.dtype), list(weight.shape[:1]),
            [1, 1], [1, 1], [1, 1], False, [0, 0], 1, needed,
        )  # fmt: skip
        if not to_colours:
            of_weight, of_bias = (None if part is None else part.to(weight.dtype) for part in general)
        return of_x, of_weight, of_bias, None


def _to_colours(x: Tensor, weight: Tensor, relu: bool) -> bool:
    """Whether the kernels for three channels apply."""
    return weight.shape[0] == 3 and not relu and weight.dtype == torch.float32 and convolution.supported(x)


def _mask(gradient: Tensor, y: Tensor) -> Tensor:
    """The gradient of a ReLU whose result was `y`."""
    if convolution.supported(y):
        return convolution.mask(gradient, y)
    return torch.ops.aten.threshold_backward(gradient, y, 0)
