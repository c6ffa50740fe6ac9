"""Where an audit comes from: what another person needs to do it again."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Origin:
    """Who asked for what, in words.

    Attributes:
        command: the command line, where there was one.
        model: as it was named.
        data, holdout: the folders.
        resize: how photographs were warped.
        preprocess: the model's own, as it was given.
    """

    command: str = ""
    model: str = ""
    data: str = ""
    holdout: str = ""
    resize: str = ""
    preprocess: str = ""


NO_ORIGIN = Origin()


@dataclass(frozen=True)
class AuditRecord:
    """What an audit was of, and when.

    Attributes:
        date: when it ended, in ISO 8601.
        origin: who asked for what.
        weights_sha256: of the model's parameters and buffers, by name.
        observed: numbers of the levels that the observer was given.
        withheld: number and name of each level that the observer was not given.
        seconds_per_step: of the decoder of known switches that reads more.
    """

    date: str
    origin: Origin
    weights_sha256: str
    observed: tuple[int, ...]
    withheld: tuple[str, ...]
    seconds_per_step: float


def hash_of_weights(model: nn.Module) -> str:
    """SHA-256 of the names, types, shapes and bytes of a model's parameters and buffers."""
    return hash_of_tensors(sorted(model.state_dict().items(), key=lambda item: item[0]))


def hash_of_tensors(named: Iterable[tuple[str, object]]) -> str:
    """SHA-256 of tensors with their names; what is no tensor counts by its name alone."""
    found = hashlib.sha256()
    for name, tensor in named:
        found.update(name.encode())
        if isinstance(tensor, Tensor) and not tensor.is_quantized and tensor.layout == torch.strided:
            found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            found.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return found.hexdigest()
