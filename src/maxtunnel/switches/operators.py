"""`pool`, `put` and `take` as operators of PyTorch: `maxtunnel::pool` and so on.

As such they can be compiled, exported, traced, mapped over a batch, differentiated in both modes any number
of times, and run on tensors without data; and whoever watches operators sees them. What they compute is in
`kernels`.

`put` is the adjoint of `take`, and `take` reads what `pool` chose: each is the other's derivative.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd.function import _SingleLevelFunction

from maxtunnel.native.arguments import memory_format
from maxtunnel.switches import kernels
from maxtunnel.switches.window import Pair, Window

_library = torch.library.Library("maxtunnel", "DEF")
_library.define("pool(Tensor x, int[] window) -> (Tensor, Tensor)")
_library.define("put(Tensor values, Tensor codes, int[] window, SymInt height, SymInt width) -> Tensor")
_library.define("take(Tensor plane, Tensor codes, int[] window) -> Tensor")


def pool(
    x: Float[Tensor, "n c h w"], window: Window
) -> tuple[Float[Tensor, "n c oh ow"], UInt8[Tensor, "n c oh ow"]]:
    """See `kernels.pool`."""
    return torch.ops.maxtunnel.pool(x, _numbers(window))


def put(
    values: Float[Tensor, "n c oh ow"], codes: UInt8[Tensor, "n c oh ow"], window: Window, size: Pair
) -> Float[Tensor, "n c h w"]:
    """See `kernels.put`."""
    return torch.ops.maxtunnel.put(values, codes, _numbers(window), *size)


def take(
    plane: Float[Tensor, "n c h w"], codes: UInt8[Tensor, "n c oh ow"], window: Window
) -> Float[Tensor, "n c oh ow"]:
    """See `kernels.take`."""
    return torch.ops.maxtunnel.take(plane, codes, _numbers(window))


def window_of(numbers: Sequence[int]) -> Window:
    """The window that an operator was given."""
    kernel, stride, padding, dilation = ((numbers[i], numbers[i + 1]) for i in range(0, 8, 2))
    return Window(kernel, stride, padding, dilation, bool(numbers[8]))


def _numbers(window: Window) -> list[int]:
    return [*window.kernel, *window.stride, *window.padding, *window.dilation, int(window.ceil_mode)]


def _pool(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    values, codes = kernels.pool(x, window_of(window))
    order = memory_format(x)
    return values.contiguous(memory_format=order), codes.contiguous(memory_format=order)


def _put(values: Tensor, codes: Tensor, window: list[int], height: int, width: int) -> Tensor:
    plane = kernels.put(values, codes, window_of(window), (height, width))
    return plane.contiguous(memory_format=memory_format(codes))


def _take(plane: Tensor, codes: Tensor, window: list[int]) -> Tensor:
    return kernels.take(plane, codes, window_of(window)).contiguous(memory_format=memory_format(codes))


def _pool_fake(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
    out = window_of(window).output_size((x.shape[-2], x.shape[-1]))
    values = x.new_empty((*x.shape[:2], *out)).contiguous(memory_format=memory_format(x))
    return values, torch.empty_like(values, dtype=torch.uint8)


def _put_fake(values: Tensor, codes: Tensor, window: list[int], height: int, width: int) -> Tensor:
    plane = values.new_empty((*codes.shape[:2], height, width))
    return plane.contiguous(memory_format=memory_format(codes))


def _take_fake(plane: Tensor, codes: Tensor, window: list[int]) -> Tensor:
    return torch.empty_like(codes, dtype=plane.dtype)


class _Pool(_SingleLevelFunction):
    @staticmethod
    def forward(x: Tensor, window: list[int]) -> tuple[Tensor, Tensor]:
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.maxtunnel.pool(x, window)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, list[int]], output: tuple[Tensor, Tensor]) -> None:
        (x, ctx.window), (_, codes) = inputs, output
        ctx.size = x.shape[-2:]
        ctx.mark_non_differentiable(codes)
        ctx.save_for_backward(codes)
        ctx.save_for_forward(codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        return torch.ops.maxtunnel.put(gradient, codes, ctx.window, *ctx.size), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        return torch.ops.maxtunnel.take(tangent, codes, ctx.window), None


class _Put(_SingleLevelFunction):
    @staticmethod
    def forward(values: Tensor, codes: Tensor, window: list[int], height: int, width: int) -> Tensor:
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.maxtunnel.put(values, codes, window, height, width)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, codes, ctx.window, *ctx.size = inputs
        ctx.save_for_backward(codes)
        ctx.save_for_forward(codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (codes,) = ctx.saved_tensors
        return torch.ops.maxtunnel.take(gradient, codes, ctx.window), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        (codes,) = ctx.saved_tensors
        return torch.ops.maxtunnel.put(tangent, codes, ctx.window, *ctx.size)


class _Take(_SingleLevelFunction):
    @staticmethod
    def forward(plane: Tensor, codes: Tensor, window: list[int]) -> Tensor:
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.maxtunnel.take(plane, codes, window)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, list[int]], output: Tensor) -> None:
        plane, codes, ctx.window = inputs
        ctx.size = plane.shape[-2:]
        ctx.save_for_backward(codes)
        ctx.save_for_forward(codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (codes,) = ctx.saved_tensors
        return torch.ops.maxtunnel.put(gradient, codes, ctx.window, *ctx.size), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        (codes,) = ctx.saved_tensors
        return torch.ops.maxtunnel.take(tangent, codes, ctx.window)


def _differentiable(function: Any) -> Any:
    """An operator's rule of autograd, also inside the transforms of `torch.func`."""

    def rule(*arguments: Any) -> Any:
        with enable_single_level_autograd_function():
            return function.apply(*arguments)

    return rule


def _mapped(operator: Any, tensors: int, outputs: int) -> Any:
    """The rule of vmap: what is mapped over joins the batch."""

    def rule(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:
        size = info.batch_size
        joined = [
            _first(x, dim, size).flatten(0, 1)
            for x, dim in zip(arguments[:tensors], in_dims[:tensors], strict=True)
        ]
        results = operator(*joined, *arguments[tensors:])
        if outputs == 1:
            return results.unflatten(0, (size, -1)), 0
        return tuple(x.unflatten(0, (size, -1)) for x in results), (0,) * outputs

    return rule


def _first(x: Tensor, dim: int | None, size: int) -> Tensor:
    """The mapped dimension in front; what is not mapped is repeated."""
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


for _name, _kernel, _fake, _function, _tensors, _outputs in (
    ("pool", _pool, _pool_fake, _Pool, 1, 2),
    ("put", _put, _put_fake, _Put, 2, 1),
    ("take", _take, _take_fake, _Take, 2, 1),
):
    _library.impl(_name, _kernel, "CompositeExplicitAutograd")
    _library.impl(_name, _differentiable(_function), "Autograd")
    torch.library.register_fake(f"maxtunnel::{_name}", _fake, lib=_library)
    torch.library.register_vmap(
        f"maxtunnel::{_name}", _mapped(getattr(torch.ops.maxtunnel, _name), _tensors, _outputs), lib=_library
    )
