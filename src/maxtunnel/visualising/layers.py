"""The layers of a model while it runs, by name: what its modules give out, and what functions give it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.overrides import TorchFunctionMode

from maxtunnel.support.choices import meant

# Functions whose results are layers where no module of PyTorch's calls them. A name may end in an underscore.
_FUNCTIONS = {
    "adaptive_avg_pool2d", "add", "avg_pool2d", "batch_norm", "cat", "clamp", "clamp_min", "conv2d",
    "conv_transpose2d", "convolution", "linear", "max_pool2d", "max_pool2d_with_indices", "mean", "pool",
    "relu", "threshold",
}  # fmt: skip


class UnknownLayer(ValueError):
    """The model has no layer of this name; the message says which it has."""


class Enough(BaseException):
    """All layers that are wanted have run: nothing after them is needed."""


class Layers(TorchFunctionMode):
    """While entered, every layer that runs is noted, and the outputs of those that are wanted are kept.

    A layer is a module, named by its path, or a function that a module of the person's own calls, named by
    that path and the function; used again, with #2, ... So it is in `switches.capture`.

    Args:
        model: gives the names.
        wanted: names of the layers whose outputs are kept. Once all are, the pass ends with Enough.

    Attributes:
        shapes: of one image, by the name of each layer.
        kept: the outputs that are wanted, as autograd knows them.
    """

    def __init__(self, model: nn.Module, wanted: Sequence[str] = ()) -> None:
        super().__init__()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.kept: dict[str, Tensor] = {}
        self._wanted = set(wanted)
        self._names = {module: name.replace("_orig_mod.", "") for name, module in model.named_modules()}
        self._running: list[nn.Module] = []
        self._uses: dict[str, int] = {}

    def __enter__(self) -> "Layers":
        self._hooks = (
            modules.register_module_forward_pre_hook(lambda module, _: self._running.append(module)),
            modules.register_module_forward_hook(self._leave, always_call=True),
        )
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").split(".")[0].rstrip("_")
        if name in _FUNCTIONS and not self._in_pytorchs_own():
            first = result[0] if isinstance(result, tuple) else result
            place = next((self._names[m] for m in reversed(self._running) if m in self._names), "")
            self._note(f"{place}.{name}".lstrip("."), first)
        return result

    def choose(self, name: str) -> Tensor:
        """The output of a layer that was wanted.

        Raises:
            UnknownLayer: none of this name ran.
        """
        if name in self.kept:
            return self.kept[name]
        raise UnknownLayer(self._unknown(name))

    def _unknown(self, name: str) -> str:
        if not self.shapes:
            return f"no layer {name!r} was seen, nor any other: inside a scripted program none can be"
        return f"there is no layer {name!r}{meant(name, self.shapes)}: there are {', '.join(self.shapes)}"

    def _in_pytorchs_own(self) -> bool:
        return bool(self._running) and type(self._running[-1]).__module__.startswith("torch.nn.")

    def _leave(self, module: nn.Module, given: Any, result: Any) -> None:
        self._running.pop()
        if self._names.get(module):
            self._note(self._names[module], result)

    def _note(self, name: str, result: Any) -> None:
        if not isinstance(result, Tensor) or result.ndim not in (2, 4) or not result.is_floating_point():
            return
        self._uses[name] = self._uses.get(name, 0) + 1
        name = name if self._uses[name] == 1 else f"{name}#{self._uses[name]}"
        self.shapes[name] = tuple(result.shape[1:])
        if name in self._wanted:
            # A ReLU may write into the layer's own output.
            with torch._C.DisableTorchFunctionSubclass():
                self.kept[name] = result.clone()
            if self._wanted == self.kept.keys():
                raise Enough
