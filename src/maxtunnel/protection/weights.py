"""The fine-tuned weights as files that PyTorch's own `load_state_dict` takes."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from maxtunnel.support.files import replacing

FORMAT = "maxtunnel protected weights 1"


def save_weights(state: Mapping[str, Tensor], path: Path, about: Mapping[str, str]) -> None:
    """Write a state dict; `about` and the format become the file's metadata."""
    with replacing(path) as temporary:
        save_file(dict(state), temporary, {"format": FORMAT, **about})


def how_to_load(path: str | Path) -> str:
    """The lines of Python that give a model these weights."""
    return (
        "from safetensors.torch import load_file\n"
        f'model.load_state_dict(load_file("{path}"), strict=False)  # tensors only: no extra state\n'
    )
