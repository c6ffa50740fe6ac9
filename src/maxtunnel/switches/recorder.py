"""Sees the poolings of a model while it runs, whatever calls them, and replaces none of its layers.

Below autograd every 2-d max pooling is one operation that computes the indices too,
`aten::max_pool2d_with_indices`, and `maxtunnel.pool` is `maxtunnel::pool`. A dispatch mode stands there while
the model runs. A mode holds for its own thread alone, so threads that the model starts are noticed.
"""

import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from maxtunnel.switches.codes import SwitchLevel
from maxtunnel.switches.indices import from_indices, to_indices
from maxtunnel.switches.operators import window_of
from maxtunnel.switches.recording import PooledLevel, Recording, Swap
from maxtunnel.switches.uses import index_use, takes_maxima
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
# PyTorch's own operators; any other may pool inside.
_NAMESPACES = {
    "_c10d_functional", "aten", "c10d", "debugprims", "inductor", "maxtunnel", "mkldnn", "mkldnn_prepacked",
    "onednn", "prim", "prims", "profiler", "quantized", "rngprims", "sparse",
}  # fmt: skip


class PoolingRecorder:
    """While entered, it records every 2-d max pooling that runs, and swaps its result if it is told to.

    Args:
        model: gives the levels their names.
        swap: replaces the values and switches of every pooling.
        observed: whether the level of this number is kept; by default all are.
        trace: look for operations that take the model's own indices too.

    Attributes:
        recording: of what has run so far; it lacks what depends on the model's output.
        in_1d: whether a 1-d pooling is running.
    """

    def __init__(
        self,
        model: nn.Module,
        swap: Swap | None = None,
        observed: Callable[[int], bool] = lambda number: True,
        *,
        trace: bool = False,
    ) -> None:
        self.recording, self.in_1d = Recording(), False
        self._swap, self._observed, self._trace = swap, observed, trace
        self._names = {module: name.replace("_orig_mod.", "") for name, module in model.named_modules()}
        self._running: list[nn.Module] = []
        self._uses: dict[str, int] = {}
        self._indices: list[tuple[Tensor, Pair]] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> "PoolingRecorder":
        with ExitStack() as stack:
            if "torch._dynamo" in sys.modules:
                # A compiled model must run its Python code, or no pooling is seen.
                stack.enter_context(torch.compiler.set_stance("force_eager"))
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", "Using `torch.compile.* global hooks")
            # PyTorch's own hooks, so that the model's stay as they are.
            for hook in (
                modules.register_module_forward_pre_hook(lambda module, _: self._enter(module)),
                modules.register_module_forward_hook(lambda *_: self._leave(), always_call=True),
            ):
                stack.callback(hook.remove)
            stack.enter_context(_threads(self))
            stack.enter_context(_Functions(self))
            stack.enter_context(_Operations(self))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    @property
    def here(self) -> bool:
        """Whether this is the thread in which the model was called."""
        return threading.get_ident() == self._thread

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
        # A view that is made below autograd has no gradient, and whoever swaps may want that of the planes.
        planes = x if x.ndim == 4 else x.view((1, *x.shape)[-4:])
        size = planes.shape[-2], planes.shape[-1]
        codes = from_indices(indices.view(planes.shape[:2] + indices.shape[-2:]), window, size)
        level = self._level(SwitchLevel(codes, window, size, name), values.view(codes.shape))
        changed, codes = self._record(planes, level)
        if codes is level.switches.codes:
            return changed.view(values.shape), indices
        return changed.view(values.shape), to_indices(codes, window, size).view(indices.shape)

    def pool_ours(self, x: Tensor, window: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Pool as `maxtunnel.pool` does, and record it."""
        values, codes = torch.ops.maxtunnel.pool(x, window)
        size = x.shape[-2], x.shape[-1]
        switches = SwitchLevel(codes, window_of(window), size, self._name("pool"))
        return self._record(x, self._level(switches, values))

    def leave_out(self, function: str) -> None:
        """Record an operation that picks maxima, and whose choice no code describes."""
        _add(self.recording.not_covered, f"{function} in {self._place() or 'the model itself'}")

    def run_unseen(self, reason: str) -> None:
        """Record why poolings may run that are not seen."""
        _add(self.recording.unseen, f"{reason} in {self._place() or 'the model itself'}")

    def see(self, function: Any, args: Any, kwargs: Any) -> None:
        """Record an operation that is no 2-d max pooling, where it says something about switches."""
        name = function.overloadpacket.__name__
        if name in _OTHER_POOLINGS:
            self.leave_out(name.removesuffix("_with_indices"))
        elif takes_maxima(function, args):
            self.leave_out(name)
        elif function.namespace not in _NAMESPACES:
            self.run_unseen(f"the operator {function.namespace}::{name} may pool inside")
        elif name == "max_unpool2d" or function.namespace == "maxtunnel":
            if name != "take":
                self._use_indices("unpool" if name == "put" else name, writes=True)
        elif self._trace and (use := index_use(name, args, kwargs, self._indices)):
            self._use_indices(name.strip("_"), writes=use == "writes")

    def _level(self, switches: SwitchLevel, values: Tensor) -> PooledLevel:
        self.recording.ran += 1
        return PooledLevel(self.recording.ran, switches, values)

    def _record(self, x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
        """Values and codes that the model continues with; a copy of them is kept."""
        values, codes = level.values, level.switches.codes
        if self._swap is not None:
            values, codes = self._swap(x, level)
        if self._observed(level.number):
            # The model may write into its own later.
            kept = level.switches.with_codes(_copy(codes))
            self.recording.levels.append(PooledLevel(level.number, kept, _copy(values)))
        if self._trace:
            window, size = level.switches.window, level.switches.size
            self._indices.append((to_indices(codes, window, size), size))
        return values, codes

    def _use_indices(self, name: str, *, writes: bool) -> None:
        self.recording.unpoolings += writes
        _add(self.recording.index_uses, f"{name} in {self._place() or 'the model itself'}")

    def _enter(self, module: nn.Module) -> None:
        if self.here:
            self._running.append(module)
        elif module in self._names:
            _add(self.recording.unseen, f"{self._names[module]} runs in a thread of its own")

    def _leave(self) -> None:
        if self.here:
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
        if self._recorder.in_1d:
            return func(*args, **(kwargs or {}))
        if func is torch.ops.maxtunnel.pool.default:
            return self._recorder.pool_ours(*args)
        if name in _POOLINGS:
            both = self._recorder.pool(*args, **(kwargs or {}))
            # In inference mode the pooling without indices is seen here too; its caller wants values only.
            return both if name == _POOLINGS[0] else both[0]
        self._recorder.see(func, args, kwargs or {})
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


@contextmanager
def _threads(recorder: PoolingRecorder) -> Iterator[None]:
    """Notice threads that the model starts, and work that it gives to threads."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def seen_start(thread: threading.Thread) -> None:
        if recorder.here:
            recorder.run_unseen("a thread is started")
        start(thread)

    def seen_submit(executor: ThreadPoolExecutor, /, *args: Any, **kwargs: Any) -> Any:
        if recorder.here:
            recorder.run_unseen("a thread is given work")
        return submit(executor, *args, **kwargs)

    with (
        _replaced(threading.Thread, "start", seen_start),
        _replaced(ThreadPoolExecutor, "submit", seen_submit),
    ):
        yield


@contextmanager
def _replaced(place: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, function)
    try:
        yield
    finally:
        setattr(place, name, before)


def _copy(tensor: Tensor) -> Tensor:
    """A copy that is no tensor of an inference mode, wherever it is made."""
    with torch.inference_mode(False), torch.no_grad():
        return tensor.clone()


def _add(texts: list[str], text: str) -> None:
    if text not in texts:
        texts.append(text)


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
