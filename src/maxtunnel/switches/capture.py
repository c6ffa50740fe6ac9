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

from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.indices import from_indices, to_indices
from maxtunnel.switches.pooling import refuse_nan
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
    """One max pooling that ran.

    Attributes:
        number: among the 2-d max poolings of the forward pass, in call order from 1.
        switches: the positions of its maxima (the *where*).
        values: the maxima (the *what*).
    """

    number: int
    switches: SwitchLevel
    values: Float[Tensor, "n c oh ow"]


# From the planes to be pooled and the level that max pooling makes of them, to the values and the codes that
# the model continues with.
Swap = Callable[[Tensor, PooledLevel], tuple[Tensor, Tensor]]


@dataclass
class Recording:
    """What the poolings of one forward pass did.

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
    The model runs in the mode it is in, without gradients. Its buffers, its modes and the random state are
    restored afterwards, also when it raises.

    Args:
        model: takes `images` as its one argument; they are brought to its device and floating-point type.
        images: of any size and number of channels that the model takes.

    Returns:
        One level for each call, with the name of the module that made the call.

    Raises:
        NoSwitches: there is no 2-d max pooling; adaptive, 1-d and 3-d pooling are named.
        ValueError: a pooled value is NaN, or a pooling sees another number of images than were given.
    """
    found = record(model, images)
    if found.not_covered:
        getLogger("maxtunnel").warning("not covered, so not in the code: %s", ", ".join(found.not_covered))
    size = images.shape[-2], images.shape[-1]
    return SwitchCode(tuple(level.switches for level in found.levels), size)


def record(
    model: nn.Module, images: Float[Tensor, "n c h w"], *, swap: Swap | None = None, check: bool = True
) -> Recording:
    """Run `model` on `images` as `capture` does, and keep all that its poolings did.

    Args:
        model, images: as for `capture`.
        swap: replaces the values and switches of every pooling.
        check: raise NoSwitches where there are none.
    """
    _refuse_lazy(model)
    recorder = PoolingRecorder(model, swap)
    with _restoring(model), recorder, torch.no_grad():
        output = model(_for_model(model, images))
    found = recorder.recording
    found.output, found.returned = output, recorder.returned_in(output)
    for level in found.levels:
        if len(level.values) != len(images):
            raise ValueError(
                f"{level.switches.name} pools a batch of {len(level.values)}, but images are {len(images)}: "
                "give (n, c, h, w); models that mix or split images are not covered"
            )
        refuse_nan(level.values)
    if check and not found.levels:
        raise NoSwitches(_why_none(found))
    return found


class PoolingRecorder:
    """While entered, it records every 2-d max pooling that runs, and swaps its result if it is told to.

    Args:
        model: gives the levels their names.
        swap: as for `record`.

    Attributes:
        recording: of what has run so far; it lacks what depends on the model's output.
        in_1d: whether a 1-d pooling is running.
    """

    def __init__(self, model: nn.Module, swap: Swap | None = None) -> None:
        self.recording, self.in_1d = Recording(), False
        self._swap = swap
        self._names = {module: name.replace("_orig_mod.", "") for name, module in model.named_modules()}
        self._running: list[nn.Module] = []
        self._uses: dict[str, int] = {}
        self._indices: dict[str, Tensor] = {}

    def __enter__(self) -> "PoolingRecorder":
        with ExitStack() as stack:
            if "torch._dynamo" in sys.modules:
                # A compiled model must run its Python code, or no pooling is seen.
                stack.enter_context(torch.compiler.set_stance("force_eager"))
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", "Using `torch.compile.* global hooks")
            # PyTorch's own hooks, so that the model's stay as they are.
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
        """Pool as the model asked for, and record it."""
        values, indices = torch.ops.aten.max_pool2d_with_indices.default(x, *geometry, **more)
        name = self._name("max_pool2d")
        try:
            window = _window(*geometry, **more)
        except ValueError as error:
            self.recording.not_covered.append(f"{name} ({error})")
            return values, indices
        # A plane without a batch counts as a batch of one.
        shape = (1, *x.shape)[-4:]
        size = shape[-2], shape[-1]
        codes = from_indices(indices.view(shape[:2] + indices.shape[-2:]), window, size)
        number = len(self.recording.levels) + 1
        level = PooledLevel(number, SwitchLevel(codes, window, size, name), values.view(codes.shape))
        if self._swap is not None:
            changed, codes = self._swap(x.view(shape), level)
            values = changed.view(values.shape)
            indices = to_indices(codes, window, size).view(indices.shape)
            level = PooledLevel(number, level.switches.with_codes(codes), changed)
        self.recording.levels.append(level)
        self._indices[name] = indices
        return values, indices

    def leave_out(self, function: str) -> None:
        """Record a pooling function whose choice no code describes."""
        text = f"{function} in {self._place() or 'the model itself'}"
        if text not in self.recording.not_covered:
            self.recording.not_covered.append(text)

    def returned_in(self, output: Any) -> list[str]:
        """Names of the levels whose indices are part of `output`."""
        places = {tensor.data_ptr() for tensor in tensors_in(output) if tensor.dtype == torch.int64}
        return [name for name, indices in self._indices.items() if indices.data_ptr() in places]

    def _leave(self) -> None:
        self._running.pop()

    def _place(self) -> str:
        """The path of the innermost module that is running; empty for the model itself."""
        return next((self._names[m] for m in reversed(self._running) if m in self._names), "")

    def _name(self, function: str) -> str:
        """The path of the pooling module, or of the function and its caller; when used again, with #2, ..."""
        place = self._place()
        if not (self._running and isinstance(self._running[-1], nn.MaxPool2d)):
            place = f"{place}.{function}".lstrip(".")
        place = place or function
        self._uses[place] = self._uses.get(place, 0) + 1
        return place if self._uses[place] == 1 else f"{place}#{self._uses[place]}"


class _Operations(TorchDispatchMode):
    """Sees every operation below autograd."""

    def __init__(self, recorder: PoolingRecorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in _POOLINGS and not self._recorder.in_1d:
            both = self._recorder.pool(*args, **(kwargs or {}))
            # In inference mode the pooling without indices is seen here too; its caller wants values only.
            return both if name == _POOLINGS[0] else both[0]
        if name in _OTHER_POOLINGS and not self._recorder.in_1d:
            self._recorder.leave_out(name.removesuffix("_with_indices"))
        self._recorder.recording.unpoolings += name == "max_unpool2d"
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    """Sees 1-d pooling, which below autograd is 2-d pooling of planes one pixel high."""

    def __init__(self, recorder: PoolingRecorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").split(".")[0]
        if name not in _POOLINGS_1D:
            return func(*args, **(kwargs or {}))
        self._recorder.leave_out(name.removesuffix("_with_indices"))
        self._recorder.in_1d = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self._recorder.in_1d = False


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and dicts."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        yield from (tensor for part in output.values() for tensor in tensors_in(part))
    elif isinstance(output, tuple | list):
        yield from (tensor for part in output for tensor in tensors_in(part))


@contextmanager
def _restoring(model: nn.Module) -> Iterator[None]:
    """In the end, restore the model's buffers and modes and every random state."""
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


def _why_none(found: Recording) -> str:
    if found.not_covered:
        return (
            "the model has no 2-d max pooling whose switches can be taken; not covered: "
            f"{', '.join(found.not_covered)}"
        )
    return "the model has no max pooling: it has no switches, so nothing can leak through them"
