"""What a training step changes, saved and restored exactly."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.training.average import Average
from maxtunnel.training.engine import make_optimizer
from maxtunnel.training.recipes import Recipe


class State:
    """A module, its optimiser, the average of its weights and the step they have reached.

    Args:
        module: saved whole.
        trained: the part of it that is trained.
        recipe: names the optimiser, its rates and the average.

    Attributes:
        step: batches that are done.
        seconds: how long they took, as the last save had it.
        average: of the weights; None where the recipe has none.
    """

    def __init__(self, module: nn.Module, trained: nn.Module, recipe: Recipe) -> None:
        self.module, self.step, self.seconds = module, 0, 0.0
        self.optimizer = make_optimizer(trained, recipe)
        self._parameters = list(trained.parameters())
        self.average = Average(self._parameters, recipe.average) if recipe.average else None

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a step changes or needs, by name."""
        tensors = {f"module.{name}": tensor for name, tensor in self.module.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{index}.{key}"] = value
        if self.average is not None:
            tensors |= {f"average.{name}": weight for name, weight in self.average.tensors().items()}
        return tensors

    def in_use(self) -> AbstractContextManager[None]:
        """The module's weights are those to use meanwhile: their average, where there is one."""
        return nullcontext() if self.average is None else self.average.in_use()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` returned earlier."""
        self.module.load_state_dict(
            {
                name.removeprefix("module."): tensor
                for name, tensor in tensors.items()
                if name.startswith("module.")
            }
        )
        self.optimizer.state.clear()
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                parameter = self._parameters[int(index)]
                # A fused optimiser counts its steps where the parameters lie, any other one on the CPU.
                fused = self.optimizer.defaults.get("fused")
                device = parameter.device if fused or key != "step" else torch.device("cpu")
                value = tensor.to(device, copy=True)
                if value.ndim == 4:
                    value = value.contiguous(memory_format=torch.channels_last)
                self.optimizer.state[parameter][key] = value
            elif name.startswith("average.") and self.average is not None:
                self.average.weights[int(name.removeprefix("average."))].copy_(tensor)

    def save(self, run: Path) -> None:
        """Write RUN/state.safetensors in one step."""
        with replacing(run / "state.safetensors") as temporary:
            tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
            save_file(tensors, temporary, {"step": str(self.step), "seconds": repr(self.seconds)})

    def load(self, run: Path) -> None:
        """Read RUN/state.safetensors; a run that was killed before its first save starts over."""
        path = run / "state.safetensors"
        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                step, seconds = int(metadata["step"]), float(metadata.get("seconds", 0))
                self.restore({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
                self.step, self.seconds = step, seconds
        except (SafetensorError, OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
            raise FormatError(
                f"{path} is damaged: {one_line(error)}; take another copy of it, or train in another folder"
            ) from None
