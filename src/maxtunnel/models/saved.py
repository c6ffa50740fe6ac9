"""A network's file of settings: safetensors with its weights, and what they are of as metadata."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from maxtunnel.models.file_parts import damaged, json_entry, take_weights, unreadable
from maxtunnel.support.files import FormatError, replacing
from maxtunnel.support.records import from_json, to_json

Settings = TypeVar("Settings")
Network = TypeVar("Network", bound=nn.Module)


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

    def write(
        self, path: str | Path, settings: Settings, tensors: Mapping[str, Tensor], half: bool = False
    ) -> None:
        """Write the file in one step.

        Args:
            path: of the file.
            settings: what the weights are of.
            tensors: the network's state dict.
            half: of what has several axes, keep half precision: half the size, and answers that differ a bit.
        """
        with replacing(path) as temporary:
            ordered = {
                name: (tensor.half() if half and tensor.ndim > 1 else tensor).contiguous()
                for name, tensor in tensors.items()
            }
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
            raise unreadable(path, error) from None
        try:
            _check(tensors)
            whole = {
                name: tensor.float() if tensor.dtype == torch.float16 else tensor
                for name, tensor in tensors.items()
            }
            return from_json(self.settings, json_entry(metadata, "settings")), whole
        except (ValueError, RecursionError) as error:
            raise self.damaged(path, error) from None

    def load(self, path: str | Path, make: Callable[[Settings], Network]) -> Network:
        """The network of a file that `write` wrote, to be trained on; FormatError for any other.

        Args:
            path: of the file.
            make: gives the network of such settings, with whatever weights; called on the meta device.
        """
        settings, tensors = self.read(path)
        try:
            # Nothing is allocated for what the settings claim: shapes are compared on the meta device.
            with torch.device("meta"):
                network = make(settings)
            take_weights(network, tensors)
        except (ValueError, RuntimeError) as error:
            raise self.damaged(path, error) from None
        return network.requires_grad_(True)

    def holds(self, path: str | Path) -> bool:
        """Whether a file says that it is of this kind; no other file is looked at any further."""
        try:
            with safe_open(path, framework="pt") as file:
                return (file.metadata() or {}).get("format") == self.format
        except (SafetensorError, OSError):
            return False

    def damaged(self, path: str | Path, error: Exception) -> FormatError:
        """What to raise where a file is of this kind but does not hold together."""
        return damaged(path, self.name, error)


def _check(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        expected = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
        halved = expected == torch.float32 and tensor.dtype == torch.float16 and tensor.ndim > 1
        if (tensor.dtype != expected and not halved) or not bool(tensor.isfinite().all()):
            raise ValueError(f"{name[:80]} holds {tensor.dtype}, or values that are not finite")
        if name == "deviation" and not bool((tensor > 0).all()):
            raise ValueError("a deviation is not above 0")
