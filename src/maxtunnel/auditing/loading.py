"""Models that can be audited, by the names that a person gives them."""

import importlib
import importlib.util
import sys
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxtunnel.auditing.exported import read_exported
from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import meant
from maxtunnel.support.files import FormatError, check_file, one_line, with_kind
from maxtunnel.switches.guard import Settings, keeping_state
from maxtunnel.zoo.foreign import refuse_missing
from maxtunnel.zoo.names import SHIPPED, load, shipped

_SCRIPTS = (".pt", ".pth", ".ts")
_EXPECTED = "package.module:callable, file.py:callable, a .pt2 or .pt file"
IMAGENET = "0.485,0.456,0.406/0.229,0.224,0.225"


def load_target(text: str, preprocess: str | None = None) -> Target:
    """The model that `text` names.

    A person's file may change what is global to the process: that is in force while its own code runs, in
    `build()` and in every forward pass, and nowhere else.

    Args:
        text: `package.module:callable` or `file.py:callable` that returns an nn.Module, a file that
            `torch.export.save` (.pt2) or `torch.jit.save` (.pt) wrote, or what `load` takes.
        preprocess: `MEAN/STD` (three numbers each, by commas), `imagenet`, or a `...:callable`.

    Raises:
        ValueError: it cannot be imported or read, or it is no model.
    """
    settings: Settings = {}
    change = read_preprocess(preprocess, settings)
    path = Path(text)
    if ":" not in text and text not in shipped():
        refuse_missing(path, f"{_EXPECTED}, or {SHIPPED}")
    if path.suffix == ".pt2":
        return read_exported(path, change)
    if path.suffix in _SCRIPTS and path.is_file():
        return Target(_scripted(path), path.stem, change, settings=settings)
    if text in shipped() or (path.exists() and path.suffix != ".py"):
        if preprocess is not None:
            raise ValueError(
                f"{text} is a network of ours and preprocesses by itself: leave `preprocess` out"
            )
        return Target(ShippedEncoder(load(text)), path.stem)
    found = find(text, settings)
    model = found if isinstance(found, nn.Module) else _call(text, found, settings)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{text} gave a {type(model).__name__}: expected a torch.nn.Module")
    _leave_inference_mode(model)
    return Target(model, path.name, change, settings=settings)


def find(reference: str, settings: Settings | None = None) -> Any:
    """The object that `package.module:name` or `file.py:name` names.

    Args:
        reference: where it is.
        settings: notes what the file changed in the process, which is then as it was.

    Raises:
        ValueError: there is none, or the module cannot be imported.
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(
            f"{reference!r} names nothing: give package.module:callable or file.py:callable; as a model also "
            f"a .pt2 or .pt file, or {SHIPPED}"
        )
    if place.endswith(".py"):
        check_file(place, "a file of Python, such as mymodel.py")
    try:
        with keeping_state(settings):
            module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    # A person's file may fail in any way while it is imported, and a script may exit.
    except (Exception, SystemExit) as error:
        raise ValueError(f"{place} cannot be imported ({with_kind(error)})") from error
    try:
        return getattr(module, name)
    except AttributeError:
        known = [known for known in vars(module) if not known.startswith("_")]
        raise ValueError(f"{place} holds no {name!r}{meant(name, known)}") from None


def read_preprocess(text: str | None, settings: Settings | None = None) -> Preprocess:
    """The function on photographs that `text` describes; see `load_target` and, for `settings`, `find`."""
    if text is None:
        return lambda images: images
    if ":" in text:
        return find(text, settings)
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


def _scripted(path: Path) -> nn.Module:
    """What `torch.jit.save` wrote. A file of `torch.save` runs any code when it is read, so it is refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            scripted = any("/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile:
        scripted = False
    if not scripted:
        raise FormatError(
            f"{path} is no TorchScript file: give file.py:callable that builds the model and loads its "
            "weights, or what torch.export.save or torch.jit.save writes"
        )
    try:
        with warnings.catch_warnings():
            # PyTorch calls TorchScript deprecated; those who are given such a file cannot help it.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(path, map_location="cpu")
    except RuntimeError as error:
        raise FormatError(f"{path} cannot be read as a TorchScript file ({one_line(error)})") from error


def _call(text: str, found: Any, settings: Settings) -> Any:
    if not callable(found):
        return found
    try:
        with keeping_state(settings):
            return found()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{text}() fails ({with_kind(error)})") from error


def _leave_inference_mode(model: nn.Module) -> None:
    """Weights that were made in inference mode can never be written to again: ordinary ones replace them."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None and tensor.is_inference():
                copy = tensor.clone()
                is_weight = isinstance(tensor, nn.Parameter)
                new = nn.Parameter(copy, tensor.requires_grad) if is_weight else copy
                setattr(module, name, made.setdefault(id(tensor), new))


def _import_file(path: Path) -> ModuleType:
    # This name hides no other module: the file may have the name of a package that it imports.
    name = f"target {path.resolve()}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # It may import files beside it, and an untrained copy of its model needs the module of its classes.
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path().resolve()))
    return importlib.import_module(name)
