"""The parts of a network's file, and what is wrong with one, in plain words."""

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from maxtunnel.support.files import FormatError, one_line
from maxtunnel.support.numbers import counted
from maxtunnel.support.records import Json


def unreadable(path: str | Path, error: Exception) -> FormatError:
    """What to raise where a file is no safetensors file, or only the beginning of one."""
    return FormatError(
        f"{path} cannot be read as a safetensors file: it is cut off or of another kind; take another copy "
        f"({one_line(error)})"
    )


def damaged(path: str | Path, kind: str, error: Exception) -> FormatError:
    """What to raise where a file is of a kind, such as `network`, but does not hold together."""
    return FormatError(f"{path} is a damaged {kind}: {one_line(error)}; take another copy")


def entry(metadata: Mapping[str, str], name: str) -> str:
    """An entry of the metadata; ValueError where there is none."""
    if name not in metadata:
        raise ValueError(f"its metadata has no `{name}`")
    return metadata[name]


def json_entry(metadata: Mapping[str, str], name: str) -> Json:
    """What an entry of the metadata says in JSON; ValueError where it is none."""
    text = entry(metadata, name)
    try:
        found: Json = json.loads(text)
    except ValueError as error:
        raise ValueError(f"`{name}` of its metadata is no JSON ({error})") from None
    return found


def take_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make the tensors of a file the network's, which may lie on the meta device.

    Raises:
        ValueError: one is missing, one too many, or one has another shape.
    """
    expected = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    found = {name: tuple(x.shape) for name, x in tensors.items()}
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name[:80]} is none of its tensors" for name in found if name not in expected]
    wrong += [
        f"{name} is {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if wrong:
        others = f" ({counted(len(wrong), 'tensor')} in all do not fit)" if len(wrong) > 1 else ""
        raise ValueError(f"{wrong[0]}{others}")
    network.load_state_dict(tensors, assign=True)
