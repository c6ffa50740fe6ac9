"""A model that is audited, and what an observer sees of it."""

import copy
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxtunnel.support.files import one_line
from maxtunnel.switches.capture import NoSwitches, Recording, Swap, record, tensors_in

Preprocess = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Target:
    """A model, and how photographs are shown to it.

    Attributes:
        model: runs in eval mode, and is left in the mode it was in.
        name: for the report.
        preprocess: from photographs, float32 RGB in [0, 1], to what the model takes.
        batch: images at a time, where the model takes only that many (an exported program).
        levels: numbers of the poolings that an observer sees, in call order from 1; None for all.
        swap: replaces what the model's pooling gives.
    """

    model: nn.Module
    name: str
    preprocess: Preprocess = lambda images: images
    batch: int | None = None
    levels: tuple[int, ...] | None = None
    swap: Swap | None = None

    def observed(self, levels: Collection[int] | None, preprocess: Preprocess | None = None) -> "Target":
        """The same model, of which an observer sees only these levels; None changes nothing."""
        numbers = self.levels if levels is None else tuple(sorted({*levels}))
        return replace(self, levels=numbers, preprocess=preprocess or self.preprocess)

    def shows(self, number: int) -> bool:
        """Whether an observer sees the pooling of this number."""
        return self.levels is None or number in self.levels

    def record(self, images: Float[Tensor, "n 3 h w"]) -> Recording:
        """One forward pass, with the levels that an observer sees.

        Raises:
            NoSwitches: the model has no 2-d max pooling.
            ValueError: the model fails, with its own words; or it has no such levels.
        """
        try:
            with evaluating(self.model):
                found = record(self.model, self.preprocess(images), swap=self.swap)
            self._check_levels(len(found.levels))
            found.levels = [level for level in found.levels if self.shows(level.number)]
            return found
        except ValueError as error:
            kind = NoSwitches if isinstance(error, NoSwitches) else ValueError
            raise kind(f"{self.name}: {error}") from error
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as error:
            shape = "x".join(map(str, images.shape))
            raise ValueError(
                f"{self.name} fails on {shape} photographs ({type(error).__name__}: {one_line(error)}): "
                "give a model of one batch of images, and the `size` and `preprocess` that it was made for"
            ) from error

    def _check_levels(self, count: int) -> None:
        if self.levels is None:
            return
        wrong = [number for number in self.levels if not 1 <= number <= count]
        if wrong or not self.levels:
            asked = ", ".join(map(str, wrong or self.levels)) or "empty"
            raise ValueError(f"`levels` is {asked}: expected numbers of poolings, in call order 1 to {count}")

    def try_out(self, images: Float[Tensor, "n 3 h w"]) -> Recording:
        """`record` of as few of the images as the model takes; ValueError where it returns NaN."""
        found = self.record(images[torch.arange(self.batch or 1) % len(images)])
        for tensor in tensors_in(found.output):
            if tensor.is_floating_point() and bool(tensor.isnan().any()):
                raise ValueError(
                    f"{self.name} returns NaN: look for NaN or infinity in its weights, and at `preprocess`"
                )
        return found

    def untrained(self, seed: int) -> "Target":
        """A copy whose weights are drawn anew by each layer's own `reset_parameters`.

        Raises:
            ValueError: the model cannot be copied, or no layer knows how to draw its weights.
        """
        try:
            model = copy.deepcopy(self.model)
        except Exception as error:
            raise ValueError(
                f"{self.name} cannot be copied ({type(error).__name__}: {one_line(error)})"
            ) from error
        layers = [module for module in model.modules() if hasattr(module, "reset_parameters")]
        if not layers:
            raise ValueError(f"no layer of {self.name} knows how to draw its weights anew")
        devices = {tensor.device for tensor in model.parameters() if tensor.device.type == "cuda"}
        with torch.random.fork_rng(sorted(device.index or 0 for device in devices)):
            torch.manual_seed(seed)
            for layer in layers:
                layer.reset_parameters()  # type: ignore[operator]
        return replace(self, model=model, name=f"untrained {self.name}")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode while entered. It is set module by module: an exported program refuses `model.eval()`."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training
