"""The switches of any PyTorch model, taken from a forward pass that leaves the model as it was.

Below autograd every 2-d max pooling, whatever called it, is one operation that computes the indices too:
`aten::max_pool2d_with_indices`. A dispatch mode stands there while the model runs, so no layer is replaced
and no model has to be written in a certain way.
"""

import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from maxtunnel.switches.codes import SwitchCode, SwitchLevel, from_indices, refuse_nan, to_indices
from maxtunnel.switches.window import Pair, Window

_POOLINGS = ("max_pool2d_with_indices", "max_pool2d")
# Poolings that pick a maximum too, but not in windows that a code describes.
_OTHER_POOLINGS = (
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "max_pool3d_with_indices",
    "mkldnn_max_pool2d",
    "quantized_max_pool2d",
)
_POOLINGS_1D = ("max_pool1d", "max_pool1d_with_indices", "adaptive_max_pool1d")


class NoSwitches(ValueError):
    """The model pools no maximum that a switch describes; the message says what it does instead."""


@dataclass(frozen=True, eq=False)
class PooledLevel:
    """One max pooling that ran: its switches, and the values that it picked (the *what*)."""

    switches: SwitchLevel
    values: Float[Tensor, "n c oh ow"]


# Takes a level's number in call order, from 1, the pooled plane and what pooling made of it; gives the values and the
# codes that the model goes on with.
Swap = Callable[[int, Tensor, PooledLevel], tuple[Tensor, Tensor]]


@dataclass
class Record:
    """What one forward pass did.

    Attributes:
        levels: every 2-d max pooling in call order.
        not_covered: poolings of other kinds, in words.
        unpoolings: how many times the model itself unpooled with indices.
        returned: names of the levels whose indices are among the model's outputs.
        output: what the model returned.
    """

    levels: list[PooledLevel] = field(default_factory=list)
    not_covered: list[str] = field(default_factory=list)
    unpoolings: int = 0
    returned: list[str] = field(default_factory=list)
    output: Any = None


def capture(model: nn.Module, images: Float[Tensor, "n c h w"]) -> SwitchCode:
    """The switches of every 2-d max pooling that `model` runs on `images`, in call order.

    `nn.MaxPool2d`, the functional `max_pool2d`, exported and scripted programs are seen, with any geometry.
    The model runs in the mode it is in, without gradients; its buffers, its modes and the random state are
    afterwards as before, also when it raises.

    Args:
        model: takes `images` as its one argument; they are brought to its device and floating-point type.
        images: whatever the model takes.

    Returns:
        One level a call, each with the name of the module that made it.

    Raises:
        NoSwitches: there is no 2-d max pooling; adaptive, 1-d and 3-d pooling are named.
        ValueError: a pooled value is NaN, or a level mixes images.
    """
    found = record(model, images)
    if found.not_covered:
        getLogger("maxtunnel").warning("not covered, so not in the code: %s", ", ".join(found.not_covered))
    size = images.shape[-2], images.shape[-1]
    return SwitchCode(tuple(level.switches for level in found.levels), size)


def record(
    model: nn.Module, images: Float[Tensor, "n c h w"], *, swap: Swap | None = None, check: bool = True
) -> Record:
    """Run `model` on `images` and note every pooling; see `capture`.

    Args:
        swap: puts other values and switches in the place of those found.
        check: raise NoSwitches where there are none.
    """
    _refuse_lazy(model)
    watch = Watch(model, swap)
    with _as_it_was(model), watch, torch.no_grad():
        watch.found.output = model(_for_model(model, images))
    found = watch.found
    found.returned = watch.among(found.output)
    for level in found.levels:
        if len(level.values) != len(images):
            raise ValueError(
                f"{level.switches.name} pools a batch of {len(level.values)}, but images are {len(images)}: "
                "give (n, c, h, w); levels that mix or split images are not covered"
            )
        refuse_nan(level.values)
    if check and not found.levels:
        raise NoSwitches(_nothing(found))
    return found


class Watch:
    """While entered, every 2-d max pooling is noted, and replaced where `swap` says so.

    Args:
        model: gives the levels their names.
        swap: as for `record`.
    """

    def __init__(self, model: nn.Module, swap: Swap | None = None) -> None:
        self.found, self.in_1d = Record(), False
        self._swap = swap
        self._names = {module: name.replace("_orig_mod.", "") for name, module in model.named_modules()}
        self._running: list[nn.Module] = []
        self._uses: dict[str, int] = {}
        self._indices: dict[str, Tensor] = {}

    def __enter__(self) -> "Watch":
        with ExitStack() as stack:
            if "torch._dynamo" in sys.modules:
                # A compiled model must run its Python code, or nothing is seen.
                stack.enter_context(torch.compiler.set_stance("force_eager"))
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", "Using `torch.compile.* global hooks")
            # Hooks of PyTorch itself, not of the model.
            for hook in (
                modules.register_module_forward_pre_hook(lambda module, _: self._running.append(module)),
                modules.register_module_forward_hook(lambda *_: self._leave(), always_call=True),
            ):
                stack.callback(hook.remove)
            stack.enter_context(_Functions(self))
            stack.enter_context(_Operations(self))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def pool(self, x: Tensor, *geometry: Any, **more: Any) -> tuple[Tensor, Tensor]:
        """Do what the model asked for, and note it."""
        values, indices = torch.ops.aten.max_pool2d_with_indices.default(x, *geometry, **more)
        name = self._name("max_pool2d")
        try:
            window = _window(*geometry, **more)
        except ValueError as error:
            self.found.not_covered.append(f"{name} ({error})")
            return values, indices
        # A plane without a batch counts as a batch of one.
        shape = (1, *x.shape)[-4:]
        size = shape[-2], shape[-1]
        codes = from_indices(indices.view(shape[:2] + indices.shape[-2:]), window, size)
        level = PooledLevel(SwitchLevel(codes, window, size, name), values.view(codes.shape))
        if self._swap is not None:
            changed, codes = self._swap(len(self.found.levels) + 1, x.view(shape), level)
            values = changed.view(values.shape)
            indices = to_indices(codes, window, size).view(indices.shape)
            level = PooledLevel(level.switches.with_codes(codes), changed)
        self.found.levels.append(level)
        self._indices[name] = indices
        return values, indices

    def leave_out(self, what: str) -> None:
        """Note a pooling that no code describes."""
        text = f"{what} in {self._place() or 'the model itself'}"
        if text not in self.found.not_covered:
            self.found.not_covered.append(text)

    def among(self, output: Any) -> list[str]:
        """The levels whose indices are part of `output`."""
        places = {tensor.data_ptr() for tensor in tensors_in(output) if tensor.dtype == torch.int64}
        return [name for name, indices in self._indices.items() if indices.data_ptr() in places]

    def _leave(self) -> None:
        self._running.pop()

    def _place(self) -> str:
        return next((self._names[m] for m in reversed(self._running) if m in self._names), "")

    def _name(self, function: str) -> str:
        """The path of a pooling module, or of the module that called the function, numbered if need be."""
        place = self._place()
        if not (self._running and isinstance(self._running[-1], nn.MaxPool2d)):
            place = f"{place}.{function}".lstrip(".")
        place = place or function
        self._uses[place] = self._uses.get(place, 0) + 1
        return place if self._uses[place] == 1 else f"{place}#{self._uses[place]}"


class _Operations(TorchDispatchMode):
    """Sees every operation below autograd."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in _POOLINGS and not self._watch.in_1d:
            both = self._watch.pool(*args, **(kwargs or {}))
            # Under inference mode the pooling without indices comes this far, and returns only values.
            return both if name == _POOLINGS[0] else both[0]
        if name in _OTHER_POOLINGS and not self._watch.in_1d:
            self._watch.leave_out(name.removesuffix("_with_indices"))
        self._watch.found.unpoolings += name == "max_unpool2d"
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    """Sees 1-d pooling, which below autograd is 2-d pooling of planes one pixel high."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").split(".")[0]
        if name not in _POOLINGS_1D:
            return func(*args, **(kwargs or {}))
        self._watch.leave_out(name.removesuffix("_with_indices"))
        self._watch.in_1d = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self._watch.in_1d = False


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and dicts."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        yield from (tensor for part in output.values() for tensor in tensors_in(part))
    elif isinstance(output, tuple | list):
        yield from (tensor for part in output for tensor in tensors_in(part))


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Put back, in the end, the model's buffers and modes and every random state."""
    kept = [(module, module.training, dict(module._buffers)) for module in model.modules()]
    contents = {id(b): b.clone() for _, _, buffers in kept for b in buffers.values() if b is not None}
    python, numpy, torch_ = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        for module, training, buffers in kept:
            module.training = training
            for name, buffer in buffers.items():
                if module._buffers[name] is not buffer:
                    module._buffers[name] = buffer
                if buffer is not None and not torch.equal(buffer, contents[id(buffer)]):
                    with torch.no_grad():
                        buffer.copy_(contents[id(buffer)])
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torch_)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def _for_model(model: nn.Module, images: Tensor) -> Tensor:
    """The images on the model's device, in its floating-point type."""
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    return images if first is None else images.to(first.device, first.dtype)


def _refuse_lazy(model: nn.Module) -> None:
    if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise ValueError("the model has lazy layers without weights: run it once before capturing")


def _window(
    kernel: list[int],
    stride: list[int] | tuple[()] = (),
    padding: list[int] | int = 0,
    dilation: list[int] | int = 1,
    ceil_mode: bool = False,
) -> Window:
    pairs = [_pair(value) for value in (kernel, stride or kernel, padding, dilation)]
    return Window(pairs[0], pairs[1], pairs[2], pairs[3], ceil_mode)


def _pair(value: list[int] | int) -> Pair:
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers[0], numbers[-1]


def _nothing(found: Record) -> str:
    if found.not_covered:
        return (
            "the model has no 2-d max pooling whose switches can be taken; not covered: "
            f"{', '.join(found.not_covered)}"
        )
    return "the model has no max pooling: it has no switches, so nothing can leak through them"
