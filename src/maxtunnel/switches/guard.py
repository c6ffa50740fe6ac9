"""What is global to the process, kept as it was around code that is not ours.

A model's file, its `build()`, its forward pass, a preprocessing and a metric may all change the grad mode,
the default dtype, the random states, ... Training our decoders afterwards must not notice.
"""

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

_Setting = tuple[Callable[[], Any], Callable[[Any], object]]


def _default_device() -> torch.device | None:
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


def _set_path(folders: list[str]) -> None:
    sys.path[:] = folders


def _set_filters(filters: list[Any]) -> None:
    # `catch_warnings` would make every warning of a model appear again in each forward pass.
    warnings.resetwarnings()
    warnings.filters[:] = filters  # type: ignore[index]


def _attribute(place: Any, name: str) -> _Setting:
    return lambda: getattr(place, name), lambda value: setattr(place, name, value)


def _autocast(device: str) -> _Setting:
    return (
        lambda: torch.is_autocast_enabled(device),
        lambda value: torch.set_autocast_enabled(device, value),
    )


def _deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


# What a person's code goes on with the next time it runs: a model may need the defaults it was made with.
_THEIRS: dict[str, _Setting] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (_default_device, torch.set_default_device),
    "sys.path": (lambda: list(sys.path), _set_path),
    "working folder": (os.getcwd, os.chdir),
}
_OURS: dict[str, _Setting] = {
    "threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic": (
        _deterministic,
        lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1]),
    ),
    "anomaly": (_anomaly, lambda both: torch.autograd.set_detect_anomaly(*both)),
    **{f"autocast of {device}": _autocast(device) for device in ("cpu", "cuda")},
    # What convolutions of a GPU round to: in TF32 an encoder would give other switches.
    "precision of convolutions": _attribute(torch.backends.cudnn.conv, "fp32_precision"),  # type: ignore[attr-defined]
    "precision of products": _attribute(torch.backends.cuda.matmul, "fp32_precision"),
    **{
        f"cudnn.{name}": _attribute(torch.backends.cudnn, name)
        for name in ("benchmark", "deterministic", "enabled")
    },
    "warning filters": (lambda: list(warnings.filters), _set_filters),
    "numpy errors": (np.geterr, lambda kinds: np.seterr(**kinds)),
}
Settings = dict[str, Any]


@contextmanager
def keeping_state(theirs: Settings | None = None) -> Iterator[None]:
    """Whatever runs inside, the state of the process is afterwards as it was, also after an exception.

    Kept are the grad and inference modes, the default dtype and device, the random states of Python, NumPy
    and PyTorch, threads, deterministic and autocast flags, warning filters, `sys.path`, the working folder.

    Args:
        theirs: defaults, `sys.path` and folder as a person's code left them the last time: in force inside,
            and noted again at the end. Begin with an empty dict.
    """
    kept = {name: read() for name, (read, _) in (_THEIRS | _OURS).items()}
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    with _random_states():
        try:
            # Leaving this restores grad and inference modes, however those inside were entered.
            with torch.inference_mode(inference):
                torch.set_grad_enabled(grad)
                _put(_THEIRS, theirs or {})
                yield
        finally:
            if theirs is not None:
                theirs.update((name, read()) for name, (read, _) in _THEIRS.items())
            _put(_THEIRS | _OURS, kept)


def _put(settings: dict[str, _Setting], values: Settings) -> None:
    for name, value in values.items():
        read, write = settings[name]
        # Writing costs time, and some of it, like threads, has effects of its own.
        if read() != value:
            write(value)


@contextmanager
def _random_states() -> Iterator[None]:
    python, numpy, torch_ = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torch_)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def restoring(model: nn.Module) -> Iterator[None]:
    """In the end, restore the model's buffers and modes."""
    # A frozen program has no mode.
    kept = [(module, getattr(module, "training", None), dict(module._buffers)) for module in model.modules()]
    contents = {id(b): b.clone() for _, _, buffers in kept for b in buffers.values() if b is not None}
    try:
        yield
    finally:
        for module, training, buffers in kept:
            if training is not None:
                module.training = training
            for name, buffer in buffers.items():
                if module._buffers[name] is not buffer:
                    module._buffers[name] = buffer
                if buffer is not None and not torch.equal(buffer, contents[id(buffer)]):
                    with torch.no_grad():
                        buffer.copy_(contents[id(buffer)])
