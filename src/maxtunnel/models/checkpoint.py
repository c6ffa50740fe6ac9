"""A network's file: safetensors with its weights, what they are of, and how they came about."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from maxtunnel.models.architecture import PAPER_LAYERS, Architecture
from maxtunnel.models.file_parts import damaged, entry, json_entry, unreadable
from maxtunnel.models.provenance import Provenance
from maxtunnel.support.files import FormatError, replacing

FORMAT = "maxtunnel network 1"
_WIDEST = 4096  # channels of a strong decoder that a file may ask for


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a network's file holds.

    Attributes:
        architecture: filters per block.
        strong_width: channels of a strong decoder; None for a mirrored one.
        scale: of the images inside the network.
        provenance: how the network came about.
        tensors: float32 and finite, by name: `mean`, `encoder...`, `decoder...`; without the last where the
            decoder that an imported encoder comes with was never trained.
    """

    architecture: Architecture
    strong_width: int | None
    scale: float
    provenance: Provenance
    tensors: Mapping[str, Tensor]


def write_checkpoint(path: str | Path, checkpoint: Checkpoint, half: bool = False) -> None:
    """Write the file in one step; with `half` the decoder's weights as float16."""
    metadata = {
        "format": FORMAT,
        "architecture": str(checkpoint.architecture),
        "scale": repr(checkpoint.scale),
        "info": json.dumps(checkpoint.provenance.to_json(), sort_keys=True),
    }
    if checkpoint.strong_width is not None:
        metadata["decoder"] = f"strong {checkpoint.strong_width}"
    tensors = {
        name: (tensor.half() if half and name.startswith("decoder.") else tensor).contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote; FormatError for any other file."""
    metadata, tensors = _read(path)
    try:
        header = _parse(metadata)
        mean = tensors.get("mean")
        if mean is None:
            raise ValueError("mean is missing")
        if mean.ndim != 3 or mean.shape[0] != 3 or mean.numel() == 0:
            raise ValueError(f"mean is {tuple(mean.shape)}, expected (3, height, width)")
        tensors = {
            name: t.float() if t.dtype == torch.float16 and name.startswith("decoder.") else t
            for name, t in tensors.items()
        }
        if any(t.dtype != torch.float32 or not bool(t.isfinite().all()) for t in tensors.values()):
            raise ValueError("a tensor is not float32 or not finite")
    except (ValueError, RecursionError) as error:
        raise damaged(path, "network", error) from None
    return Checkpoint(header.architecture, header.strong_width, header.scale, header.provenance, tensors)


@dataclass(frozen=True, eq=False)
class Header:
    """What the file says of the network before its weights.

    Attributes:
        shapes: of the tensors, by name.
    """

    architecture: Architecture
    strong_width: int | None
    scale: float
    provenance: Provenance
    shapes: Mapping[str, tuple[int, ...]]


def read_header(path: str | Path) -> Header:
    """The header of a network's file, without its weights; FormatError for any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from None
    _check_format(path, metadata)
    try:
        header = _parse(metadata)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "network", error) from None
    return replace(header, shapes=shapes)


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and little-endian float32 values, sorted by name; in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def hash_encoder(encoder: str, mean: Tensor, scale: float, architecture: Architecture) -> bytes:
    """The first 16 bytes of a hash of all that decides the switches.

    Args:
        encoder: `hash_tensors` of its weights.
        mean: the mean image, (3, h, w).
        scale: of the images inside the network.
        architecture: counts where the shapes of the weights do not say all: in what has no ReLU, and in which
            layers are pooled, where they are not two a block.
    """
    form = " linear" * architecture.linear
    if set(architecture.layers) != {PAPER_LAYERS}:
        form += f" layers {'-'.join(map(str, architecture.layers))}"
    return hashlib.sha256(f"{encoder} {hash_tensors({'mean': mean})} {scale!r}{form}".encode()).digest()[:16]


def _read(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise unreadable(path, error) from None


def _check_format(path: str | Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{path} is no maxtunnel network: its metadata does not say {FORMAT!r}")


def _parse(metadata: Mapping[str, str]) -> Header:
    scale = float(entry(metadata, "scale"))
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale is {scale}: expected a positive number")
    provenance = Provenance.from_json(json_entry(metadata, "info"))
    architecture = Architecture.parse(entry(metadata, "architecture"))
    return Header(architecture, _strong_width(metadata), scale, provenance, {})


def _strong_width(metadata: Mapping[str, str]) -> int | None:
    if "decoder" not in metadata:
        return None
    kind, _, width = metadata["decoder"].partition(" ")
    short = width.isascii() and width.isdigit() and len(width) < 6
    if kind != "strong" or not short or not 0 < int(width) <= _WIDEST:
        raise ValueError(f"the decoder is {metadata['decoder'][:40]!r}: expected 'strong' and its width")
    return int(width)
