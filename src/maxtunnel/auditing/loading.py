"""Models that can be audited, by the names that a person gives them."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx import Node

from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError, one_line
from maxtunnel.zoo.names import load, shipped

IMAGENET = "0.485,0.456,0.406/0.229,0.224,0.225"


def load_target(text: str, preprocess: str | None = None) -> Target:
    """The model that `text` names.

    Args:
        text: `package.module:callable` or `file.py:callable` that returns an nn.Module, a file that
            `torch.export.save` wrote (.pt2), or what `load` takes.
        preprocess: `MEAN/STD` (three numbers each, by commas), `imagenet`, or a `...:callable`.

    Raises:
        ValueError: it cannot be imported or read, or it is no model.
    """
    change = read_preprocess(preprocess)
    if text.endswith(".pt2"):
        return _exported(Path(text), change)
    if text in shipped() or (Path(text).exists() and not text.endswith(".py")):
        if preprocess is not None:
            raise ValueError(
                f"{text} is a network of ours and preprocesses by itself: leave `preprocess` out"
            )
        return Target(ShippedEncoder(load(text)), Path(text).stem)
    found = find(text)
    model = found if isinstance(found, nn.Module) else _call(text, found)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{text} gave a {type(model).__name__}: expected a torch.nn.Module")
    return Target(model, Path(text).name, change)


def find(reference: str) -> Any:
    """The object that `package.module:name` or `file.py:name` names.

    Raises:
        ValueError: there is none, or the module cannot be imported.
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(
            f"{reference!r} names nothing: give package.module:callable or file.py:callable; as a model also "
            f"a .pt2 file or one of {', '.join(shipped())}"
        )
    try:
        module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    except FileNotFoundError as error:
        raise ValueError(f"{place}: {error.strerror or error}") from None
    # A person's file may fail in any way while it is imported, and a script may exit.
    except (Exception, SystemExit) as error:
        raise ValueError(f"{place} cannot be imported ({type(error).__name__}: {one_line(error)})") from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise ValueError(f"{place} holds no {name!r}") from None


def read_preprocess(text: str | None) -> Preprocess:
    """The function on photographs that `text` describes; see `load_target`."""
    if text is None:
        return lambda images: images
    if ":" in text:
        return find(text)
    text = IMAGENET if text == "imagenet" else text
    try:
        mean, std = (
            torch.tensor([float(v) for v in part.split(",")]).view(3, 1, 1) for part in text.split("/")
        )
    except (ValueError, RuntimeError):
        raise ValueError(
            f"`preprocess` is {text!r}: expected MEAN/STD as {IMAGENET}, or imagenet, or file.py:callable"
        ) from None
    if not bool((std > 0).all()):
        raise ValueError(f"`preprocess` is {text!r}: a standard deviation must be above 0")
    return lambda images: (images - mean.to(images.device)) / std.to(images.device)


class ShippedEncoder(nn.Module):
    """The encoder of a network of ours, from photographs in [0, 1] to the deepest features.

    The encoder's own pooling computes no indices that could be captured, so PyTorch's takes its place.
    """

    def __init__(self, network: TunnelNetwork) -> None:
        super().__init__()
        self.network, self.pool = network, nn.MaxPool2d(2)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c oh ow"]:
        """As `Encoder.forward`, without the codes."""
        x = self.network.normalise(images)
        return self.network.encoder.blocks(x, lambda _, x: (self.pool(x), x))[0]


def _exported(path: Path, preprocess: Preprocess) -> Target:
    if not path.exists():
        raise FormatError(f"{path}: there is no such file")
    try:
        program = torch.export.load(path)
    except Exception as error:
        raise FormatError(f"{path} cannot be read as a torch.export file ({one_line(error)})") from error
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    batch = inputs[0].meta["val"].shape[0] if inputs else None
    return Target(
        program.module(),
        path.stem,
        _sized(path, preprocess, inputs),
        batch if isinstance(batch, int) else None,
    )


def _sized(path: Path, preprocess: Preprocess, inputs: list[Node]) -> Preprocess:
    """`preprocess`, refusing images of another size than the program was exported for."""

    def change(images: Tensor) -> Tensor:
        x = preprocess(images)
        expected = inputs[0].meta["val"].shape[1:]
        wrong = [(a, b) for a, b in zip(x.shape[1:], expected, strict=True) if isinstance(b, int) and a != b]
        if wrong:
            sizes = "x".join(map(str, expected))
            raise ValueError(f"{path} was exported for images of {sizes}: give that `size`")
        return x

    return change


def _call(text: str, found: Any) -> Any:
    if not callable(found):
        return found
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{text}() fails ({type(error).__name__}: {one_line(error)})") from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file")
    # This name hides no other module: the file may have the name of a package that it imports.
    name = f"target {path.resolve()}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # It may import files beside it, and an untrained copy of its model needs the module of its classes.
    sys.modules[name] = module
    with _on_path(path.parent):
        spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    with _on_path(Path()):
        return importlib.import_module(name)


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
