"""A copy of a model with its weights drawn anew, and what of the trained ones is still in it.

Each layer draws its weights by its own `reset_parameters`. What no layer draws, like a plain `nn.Parameter`,
is drawn from a normal distribution with the mean and the standard deviation that the trained tensor has.
Weights that are computed from others (spectral norm, weight norm, any parametrisation) are made plain, drawn,
and computed again. No failing layer stops this: its weights are drawn by the rule, or named as kept.
"""

import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from maxtunnel.support.files import with_kind

_STATISTICS = {"running_mean": 0.0, "running_var": 1.0}
_ITERATIONS = 15  # of the power method, after which a spectral norm is near enough


@dataclass(frozen=True)
class Drawn:
    """How the weights of an untrained copy came about.

    Attributes:
        by_rule: names of tensors that no layer drew: normal, with the trained mean and standard deviation.
        kept: names of the tensors that are still the trained ones.
        share_kept: of all trained numbers, the share that is kept.
        same_levels: names of the levels whose switches are the trained model's on all photographs tried.
    """

    by_rule: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    share_kept: float = 0.0
    same_levels: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What a reader must know about the copy; empty where every layer drew its own weights."""
        texts = []
        if self.by_rule:
            texts.append(
                f"{_some(self.by_rule)}: no layer draws them, so they are normal with the trained mean and "
                "standard deviation"
            )
        if self.kept:
            texts.append(
                f"{self.share_kept:.1%} of the weights are still the trained ones: {_some(self.kept)}"
            )
        if self.same_levels:
            texts.append(f"the switches of {_some(self.same_levels)} are those of the trained model")
        return "; ".join(texts)


def redrawn(model: nn.Module, seed: int, attempt: int = 0) -> tuple[nn.Module, Drawn]:
    """A copy of the model with new weights, drawn otherwise than by `torch.manual_seed(seed)`.

    It seeds PyTorch: keep the random states around it.

    Args:
        model: is left as it is.
        seed, attempt: another draw for each pair.

    Raises:
        ValueError: the model cannot be copied, or none of its weights can be drawn.
    """
    torch.manual_seed(_apart(seed, attempt))
    with torch.no_grad(), _in_words():
        model = _copied(model)
        wrap_again = [wrap for module in [*model.modules()] for wrap in _unwrapped(module)]
        trained = {name: weight.clone() for name, weight in model.named_parameters()}
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        asked = _draw_by_layers(model)
        by_rule, kept = _draw_rest(model, trained)
        held = {**trained, **_other_state(model, asked, buffers)}
        for wrap in wrap_again:
            wrap()
    kept += [name for name in held if name not in trained]
    total = sum(tensor.numel() for tensor in held.values())
    share = sum(held[name].numel() for name in kept) / max(total, 1)
    if share == 1 or not trained:
        raise ValueError(
            f"none of its {total:,} weights can be drawn anew: they are no parameters, or constant"
        )
    return model, Drawn(tuple(by_rule), tuple(kept), share)


@contextmanager
def _in_words() -> Iterator[None]:
    """Layers may fail in any way when they are copied, or when weights that they compute are made plain."""
    try:
        with warnings.catch_warnings():
            # What is deprecated in a model is not for those who audit it to mend.
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        text = with_kind(error)
        raise ValueError(f"it cannot be copied with other weights ({text})") from error


def _apart(seed: int, attempt: int) -> int:
    """A seed that nobody chooses by hand: a `build()` that seeds 0 would draw the very same weights."""
    return int.from_bytes(hashlib.sha256(f"untrained {seed} {attempt}".encode()).digest()[:7])


def _copied(model: nn.Module) -> nn.Module:
    # A weight that a hook computes is no leaf of the graph, which `deepcopy` refuses.
    computed = [
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    return copy.deepcopy(model, {id(value): value.detach().clone() for value in computed})


def _unwrapped(module: nn.Module) -> Iterator[Callable[[], object]]:
    """Make the computed weights of a layer plain parameters; gives what makes them computed again."""
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            remove_weight_norm(module, hook.name)
            yield partial(weight_norm, module, hook.name, hook.dim)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, hook.name)
            yield partial(_spectral_again, module, hook)
    if parametrize.is_parametrized(module):
        _own_class(module)
        for name, steps in list(module.parametrizations.items()):  # type: ignore[union-attr, operator]
            steps = list(steps)
            _plain(module, name)
            yield partial(_parametrize_again, module, name, steps)


def _own_class(module: nn.Module) -> None:
    """A parametrised layer has a class of its own, which its copy shares and would change for both."""
    kind = type(module)
    inside = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    module.__class__ = type(kind.__name__, kind.__bases__, inside)


def _plain(module: nn.Module, name: str) -> None:
    with torch.enable_grad():
        parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    # A frozen weight that was computed from several others comes back as a buffer.
    frozen = module._buffers.pop(name, None)
    if frozen is not None:
        module.register_parameter(name, nn.Parameter(frozen.detach().clone(), requires_grad=False))


def _spectral_again(module: nn.Module, hook: SpectralNorm) -> None:
    spectral_norm(module, hook.name, hook.n_power_iterations, hook.eps, hook.dim)
    again = next(
        each
        for each in module._forward_pre_hooks.values()
        if isinstance(each, SpectralNorm) and each.name == hook.name
    )
    for _ in range(_ITERATIONS):
        setattr(module, hook.name, again.compute_weight(module, do_power_iteration=True))


def _parametrize_again(module: nn.Module, name: str, steps: list[nn.Module]) -> None:
    for step in steps:
        # It asks the step for its right inverse; where there is none, the step takes what was drawn.
        parametrize.register_parametrization(module, name, step)
    training = [step.training for step in steps]
    for step in steps:
        step.training = True
    for _ in range(_ITERATIONS):
        getattr(module, name)
    for step, mode in zip(steps, training, strict=True):
        step.training = mode


def _draw_by_layers(model: nn.Module) -> set[nn.Module]:
    """Every layer that can draws its weights; what is NaN then was drawn by none. Returns these layers."""
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.fill_(float("nan"))
    asked = set()
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset):
            try:
                reset()
            # It may need arguments, or fail in any other way: the rule draws for it then.
            except Exception:  # noqa: BLE001
                continue
            asked.add(module)
    return asked


def _draw_rest(model: nn.Module, trained: dict[str, Tensor]) -> tuple[list[str], list[str]]:
    """Draw by the rule what no layer drew; names of what was drawn so, and of what had to be kept."""
    by_rule, kept = [], []
    for name, weight in model.named_parameters():
        before = trained[name]
        if not weight.is_floating_point():
            kept.append(name)
        elif not bool(weight.isfinite().all()):
            spread = before.double().std() if before.numel() > 1 else torch.zeros(())
            if float(spread) > 0:
                weight.copy_(before.double().mean() + spread * torch.randn(before.shape, dtype=torch.float64))
                by_rule.append(name)
            else:
                weight.copy_(before)
                kept.append(name)
    return by_rule, kept


def _other_state(model: nn.Module, asked: set[nn.Module], before: dict[str, Tensor]) -> dict[str, Tensor]:
    """What else may carry training: buffers that no layer drew. Statistics begin anew."""
    found = {}
    for path, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is None or not buffer.is_floating_point() or name in module._non_persistent_buffers_set:
                continue
            full = f"{path}.{name}".lstrip(".")
            if name in _STATISTICS:
                if module not in asked:
                    buffer.fill_(_STATISTICS[name])
            elif buffer.numel() > 1 and torch.equal(buffer, before.get(full, buffer)):
                found[full] = buffer
    return found


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
