"""What a training step changes, saved and restored exactly; and the log of a run."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from maxtunnel.support.files import FormatError, replacing
from maxtunnel.training.recipes import Recipe


class State:
    """A module, its optimiser and the step they have reached.

    Args:
        module: saved whole.
        trained: the part of it that is trained.
        recipe: names the optimiser and its rates.
    """

    def __init__(self, module: nn.Module, trained: nn.Module, recipe: Recipe) -> None:
        self.module, self.recipe, self.step = module, recipe, 0
        groups: dict[float, dict[str, Any]] = {}
        for p in trained.parameters():
            factor = recipe.bias_rate if p.ndim == 1 else (8 / p.shape[1]) ** recipe.width_rate
            groups.setdefault(factor, {"params": [], "factor": factor})["params"].append(p)
        self.optimizer: torch.optim.Optimizer
        if recipe.optimizer == "adagrad":
            self.optimizer = torch.optim.Adagrad(groups.values(), eps=recipe.epsilon)
        else:
            self.optimizer = torch.optim.AdamW(
                groups.values(), betas=recipe.betas, eps=recipe.epsilon, weight_decay=0.0, fused=True
            )
        self._parameters = list(trained.parameters())

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a step changes or needs, by name."""
        tensors = {f"module.{name}": tensor for name, tensor in self.module.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{index}.{key}"] = value
        return tensors

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
                # A step count is a float on the CPU wherever the parameters lie.
                value = tensor.clone() if key == "step" else tensor.to(parameter.device, copy=True)
                if value.ndim == 4:
                    value = value.contiguous(memory_format=torch.channels_last)
                self.optimizer.state[parameter][key] = value

    def save(self, run: Path) -> None:
        """Write RUN/state.safetensors in one step."""
        with replacing(run / "state.safetensors") as temporary:
            tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
            save_file(tensors, temporary, {"step": str(self.step)})

    def load(self, run: Path) -> None:
        """Read RUN/state.safetensors; a run that was killed before its first save starts over."""
        path = run / "state.safetensors"
        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                self.step = int(file.metadata()["step"])
                self.restore({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
            raise FormatError(f"{path} is damaged: {' '.join(str(error).split())[:300]}") from None


class Log:
    """metrics.csv of a run, and TensorBoard events where the `tensorboard` extra is installed.

    Args:
        run: the run's folder.
        step: the step that is resumed; rows from after it are dropped.
        measure: what the phase calls its measure.
        writes: False in all processes but one; then nothing is written.
    """

    def __init__(self, run: Path, step: int, measure: str, writes: bool = True) -> None:
        self.writes, self._path, self._events = writes, run / "metrics.csv", None
        if not writes:
            return
        self._columns = ("step", "loss", measure, "learning_rate", "images_per_second")
        rows = []
        if self._path.exists():
            with self._path.open(newline="") as file:
                rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= step]
        with replacing(self._path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([self._columns, *rows])
        self._events = _events(run, step)

    def row(self, step: int, *values: float) -> None:
        """Note loss, measure, learning rate and images per second at `step`."""
        if not self.writes:
            return
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow([step, *(f"{value:.6g}" for value in values)])
        if self._events is not None:
            for name, value in zip(self._columns[1:], values, strict=True):
                self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        if self._events is not None:
            self._events.close()


def _events(run: Path, step: int) -> Any:
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(run / "tensorboard", purge_step=step + 1)
