"""A model that is fine-tuned, seen from outside: its outputs, and the planes that it pools, with gradient."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from maxtunnel.auditing.targets import Target, evaluating
from maxtunnel.protection.levels import Pooled
from maxtunnel.protection.outputs import Outputs, outputs_in
from maxtunnel.protection.unpooling import GradientsThroughUnpooling
from maxtunnel.support.choices import BatchNorm, Trained
from maxtunnel.support.files import with_kind
from maxtunnel.switches.recorder import PoolingRecorder
from maxtunnel.switches.recording import PooledLevel


@dataclass(frozen=True, eq=False)
class Pass:
    """What a model made of some photographs: its outputs, and the levels that an observer sees."""

    outputs: Outputs
    levels: tuple[Pooled, ...]


class Student:
    """The model, whose weights are changed in place, and beside it the weights that it had.

    It runs where it is, and in eval mode, as it will be used: dropout does nothing, and normalisation by a
    batch's own statistics happens only where `batch_norm` is `updated`.

    Args:
        target: the model, how photographs are shown to it, and the levels that an observer sees.
        batch_norm, temperature: see `ProtectionConfig`.

    Raises:
        ValueError: it is a TorchScript program, or all its weights are frozen.
    """

    def __init__(self, target: Target, batch_norm: BatchNorm = "frozen", temperature: float = 0.5) -> None:
        self.target, self.temperature, self._updated = target, temperature, batch_norm == "updated"
        model = target.model
        if isinstance(model, torch.jit.ScriptModule):
            raise ValueError(
                f"{target.name} is a TorchScript program, which gives no gradient to what it pools: give "
                "the file.py:callable that builds the model"
            )
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError(
                f"{target.name} has no weight that may be trained: requires_grad is False for all of them "
                "(call model.requires_grad_(True) in build()), or it has none"
            )
        self._frozen: list[nn.Parameter] = []
        self._original = {
            name: tensor.detach().clone()
            for named in (model.named_parameters(), model.named_buffers())
            for name, tensor in named
        }

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Pass:
        """One pass with gradients.

        Raises:
            ValueError: the model fails, with its own words.
        """
        found: list[Pooled] = []

        def keep(x: Tensor, level: PooledLevel) -> tuple[Tensor, Tensor]:
            if not passing.busy:
                found.append(Pooled(len(found) + 1, x, level.switches))
            return level.values, level.switches.codes

        model, passing = self.target.model, GradientsThroughUnpooling(found, self.temperature)
        recorder = PoolingRecorder(model, keep, lambda number: False)
        with self._running(), self._normalising(), recorder, passing:
            returned = model(self._shown(images))
        seen = tuple(level for level in found if self.target.shows(level.number))
        return Pass(outputs_in(returned), seen)

    def original(self, images: Float[Tensor, "n 3 h w"]) -> Outputs:
        """What the model put out before it was changed, without gradients."""
        with self._running(), torch.no_grad():
            return outputs_in(functional_call(self.target.model, self._original, (self._shown(images),)))

    def outputs(self, images: Float[Tensor, "n 3 h w"], model: nn.Module | None = None) -> Outputs:
        """What the model, or one with a mitigation around it, puts out now, without gradients."""
        with self._running(), torch.no_grad():
            return outputs_in((model or self.target.model)(self._shown(images)))

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers that are trained, and all weights that the model has."""
        whole = sum(weight.numel() for weight in self.target.model.parameters())
        return sum(weight.numel() for weight in self.parameters), whole

    def restrict(self, trained: Trained, images: Float[Tensor, "n 3 h w"]) -> None:
        """Keep, of `parameters`, those that shall be `trained`; tried on photographs.

        Raises:
            ValueError: no gradient reaches the planes that are pooled, or the outputs.
        """
        passed = self(images)
        planes = [level.plane.sum() for level in passed.levels if level.plane.requires_grad]
        if not planes:
            raise ValueError(
                f"{self.target.name}: no gradient reaches what it pools: the weights before its poolings are "
                "frozen, or its forward pass runs without gradients"
            )
        if not any(output.requires_grad for output in passed.outputs.values()):
            raise ValueError(
                f"{self.target.name}: no gradient reaches its outputs, so they cannot be kept by distillation"
            )
        if trained == "before-pooling":
            total = torch.stack([plane.double() for plane in planes]).sum()
            gradients = torch.autograd.grad(total, self.parameters, allow_unused=True)
            pairs = [*zip(self.parameters, gradients, strict=True)]
            self.parameters = [weight for weight, gradient in pairs if gradient is not None]
            self._frozen = [weight for weight, gradient in pairs if gradient is None]
            for weight in self._frozen:
                weight.requires_grad_(False)

    def restore(self) -> None:
        """Give the model the weights and buffers that it had."""
        model = self.target.model
        with torch.no_grad():
            for named in (model.named_parameters(), model.named_buffers()):
                for name, tensor in named:
                    tensor.copy_(self._original[name])

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Give the model what `state` copied of it."""
        self.target.model.load_state_dict(state, strict=False)

    def release(self) -> None:
        """Leave the model as it was."""
        self.restore()
        for weight in self.parameters:
            weight.grad = None
        for weight in self._frozen:
            weight.requires_grad_(True)

    def state(self) -> dict[str, Tensor]:
        """A copy of the model's state dict: its tensors, each for itself, on the CPU."""
        state = self.target.model.state_dict().items()
        return {name: t.detach().cpu().clone().contiguous() for name, t in state if isinstance(t, Tensor)}

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Eval mode, and the state of the process kept; what the model raises, in words."""
        try:
            with evaluating(self.target.model, self.target.settings):
                yield
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise ValueError(f"{self.target.name} fails with gradients ({with_kind(error)})") from error

    @contextmanager
    def _normalising(self) -> Iterator[None]:
        """Batch normalisation by the batch itself, where that is asked for; eval mode ends it."""
        if self._updated:
            for module in self.target.model.modules():
                if isinstance(module, _BatchNorm):
                    module.training = True
        yield

    def _shown(self, images: Tensor) -> Tensor:
        """The photographs as the model takes them: preprocessed, where its layers are and in their type."""
        like = self.like
        return self.target.preprocess(images).to(like.device, like.dtype)

    @property
    def like(self) -> Tensor:
        """A weight of the first layer: where it lies the model runs, and its type is that of images."""
        weights = [p for p in self.target.model.parameters() if p.is_floating_point()]
        return next((weight for weight in weights if weight.ndim > 1), weights[0])
