"""A network's file of settings: safetensors with its weights, and what they are of as metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from maxtunnel.support.files import FormatError, one_line, replacing
from maxtunnel.support.records import from_json, to_json

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Kind(Generic[Settings]):
    """One kind of such files.

    Attributes:
        name: what messages call it, behind "no" or "a damaged".
        format: what its metadata say.
        settings: the dataclass of what its weights are of.
    """

    name: str
    format: str
    settings: type[Settings]

    def write(self, path: str | Path, settings: Settings, tensors: Mapping[str, Tensor]) -> None:
        """Write the file in one step; `tensors` are the network's state dict."""
        with replacing(path) as temporary:
            ordered = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(ordered, temporary, {"format": self.format, "settings": json.dumps(to_json(settings))})

    def read(self, path: str | Path) -> tuple[Settings, dict[str, Tensor]]:
        """Settings and tensors of a file that `write` wrote; FormatError for any other."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                # Before anything is read that may be large.
                if metadata.get("format") != self.format:
                    raise FormatError(f"{path} is no {self.name}: its metadata does not say {self.format!r}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise FormatError(f"{path} cannot be read as a safetensors file: {one_line(error)}") from None
        try:
            _check(tensors)
            return from_json(self.settings, json.loads(metadata["settings"])), tensors
        except (ValueError, KeyError, RecursionError) as error:
            raise self.damaged(path, error) from None

    def damaged(self, path: str | Path, error: Exception) -> FormatError:
        """What to raise where a file is of this kind but does not hold together."""
        return FormatError(f"{path} is a damaged {self.name}: {one_line(error)}")


def _check(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        expected = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
        if tensor.dtype != expected or not bool(tensor.isfinite().all()):
            raise ValueError(f"{name[:80]} holds {tensor.dtype}, or values that are not finite")
        if name == "deviation" and not bool((tensor > 0).all()):
            raise ValueError("a deviation is not above 0")
