"""What a person names to a model that can be audited."""

import copy
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.files import FormatError
from maxtunnel.switches.capture import NoSwitches, Record, Swap, record, tensors_in
from maxtunnel.zoo.names import load, shipped

Preprocess = Callable[[Tensor], Tensor]
IMAGENET = "0.485,0.456,0.406/0.229,0.224,0.225"


@dataclass(frozen=True, eq=False)
class Target:
    """A model with what it takes to show it photographs.

    Attributes:
        model: run in eval mode, and left in the mode it was in.
        name: for the report.
        preprocess: photographs, float32 RGB in [0, 1], to what the model takes.
        batch: images at a time, where the model takes only that many (an exported program).
        levels: which poolings an observer sees, numbered from 1 in call order; None for all.
        swap: what pools in the place of the model's pooling.
    """

    model: nn.Module
    name: str
    preprocess: Preprocess = lambda images: images
    batch: int | None = None
    levels: tuple[int, ...] | None = None
    swap: Swap | None = None

    def seen(self, levels: tuple[int, ...] | None, preprocess: Preprocess | None) -> "Target":
        """The same model, of which an observer sees only these levels, numbered from 1."""
        numbers = self.levels if levels is None else tuple(sorted({*levels}))
        return replace(self, levels=numbers, preprocess=preprocess or self.preprocess)

    def record(self, images: Float[Tensor, "n 3 h w"]) -> Record:
        """One forward pass; ValueError, with the model's own words, where that fails."""
        try:
            with evaluating(self.model):
                found = record(self.model, self.preprocess(images), swap=self.swap)
            if self.levels is not None:
                if not self.levels or min(self.levels) < 1 or max(self.levels) > len(found.levels):
                    raise ValueError(
                        f"no such --levels: the poolings, in call order, are 1 to {len(found.levels)}"
                    )
                found.levels = [found.levels[number - 1] for number in self.levels]
            return found
        except ValueError as error:
            kind = NoSwitches if isinstance(error, NoSwitches) else ValueError
            raise kind(f"{self.name}: {error}") from error
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as error:
            shape = "x".join(map(str, images.shape))
            raise ValueError(
                f"{self.name} fails on {shape} photographs ({type(error).__name__}: {_line(error)}): "
                "give a model of one batch of images, and the --size and --preprocess that it was made for"
            ) from error

    def try_out(self, images: Float[Tensor, "n 3 h w"]) -> Record:
        """`record` of as few of the images as will do, refusing NaN among the outputs."""
        found = self.record(images[torch.arange(self.batch or 1) % len(images)])
        for tensor in tensors_in(found.output):
            if tensor.is_floating_point() and bool(tensor.isnan().any()):
                raise ValueError(
                    f"{self.name} returns NaN: look for NaN or infinity in its weights, and at --preprocess"
                )
        return found

    def untrained(self, seed: int) -> "Target":
        """A copy whose weights are drawn anew by each layer's own `reset_parameters`.

        Raises:
            ValueError: the model cannot be copied, or no layer knows how to draw its weights.
        """
        try:
            model = copy.deepcopy(self.model)
        except Exception as error:
            raise ValueError(
                f"{self.name} cannot be copied ({type(error).__name__}: {_line(error)})"
            ) from error
        layers = [module for module in model.modules() if hasattr(module, "reset_parameters")]
        if not layers:
            raise ValueError(f"no layer of {self.name} knows how to draw its weights anew")
        devices = {tensor.device for tensor in model.parameters() if tensor.device.type == "cuda"}
        with torch.random.fork_rng(sorted(device.index or 0 for device in devices)):
            torch.manual_seed(seed)
            for layer in layers:
                layer.reset_parameters()  # type: ignore[operator]
        return replace(self, model=model, name=f"untrained {self.name}")


class ShippedEncoder(nn.Module):
    """The encoder of a network of ours, as any model: photographs in [0, 1] in, deepest features out."""

    def __init__(self, network: TunnelNetwork) -> None:
        super().__init__()
        self.network = network
        self.pools = nn.ModuleList(nn.MaxPool2d(2) for _ in network.architecture.widths)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c oh ow"]:
        """As `network.Encoder`, pooled by PyTorch."""
        x = self.network.normalise(images)
        return self.network.encoder.blocks(x, lambda block, x: (self.pools[block](x), x))[0]


def load_target(text: str, preprocess: str | None = None) -> Target:
    """The model that `text` names.

    Args:
        text: `package.module:callable` or `file.py:callable` that returns an nn.Module, a file that
            `torch.export.save` wrote (.pt2), or what `load` takes.
        preprocess: `MEAN/STD` (three numbers each, by commas), `imagenet`, or a `...:callable`.

    Raises:
        ValueError: it cannot be imported or read, or gives something else than a model.
    """
    change = read_preprocess(preprocess)
    if text.endswith(".pt2"):
        return _exported(Path(text), change)
    if text in shipped() or (Path(text).exists() and not text.endswith(".py")):
        if preprocess is not None:
            raise ValueError(
                f"{text} is a network of ours and preprocesses by itself: leave --preprocess out"
            )
        return Target(ShippedEncoder(load(text)), Path(text).stem)
    found = find(text)
    model = found if isinstance(found, nn.Module) else _call(text, found)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{text} gave a {type(model).__name__}: expected a torch.nn.Module")
    return Target(model, Path(text).name, change)


def find(reference: str) -> Any:
    """What `package.module:name` or `file.py:name` names; ValueError in one line where that fails."""
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
    # A person's file may fail in any way while it is imported, and a script may end the program.
    except (Exception, SystemExit) as error:
        raise ValueError(f"{place} cannot be imported ({type(error).__name__}: {_line(error)})") from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise ValueError(f"{place} holds no {name!r}") from None


def read_preprocess(text: str | None) -> Preprocess:
    """What `--preprocess` says, as a function on photographs."""
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
            f"--preprocess {text!r}: expected MEAN/STD as {IMAGENET}, or imagenet, or file.py:callable"
        ) from None
    if not bool((std > 0).all()):
        raise ValueError(f"--preprocess {text!r}: a standard deviation must be above 0")
    return lambda images: (images - mean.to(images.device)) / std.to(images.device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for a while; an exported program refuses `model.eval()`."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


def _exported(path: Path, preprocess: Preprocess) -> Target:
    if not path.exists():
        raise FormatError(f"{path}: there is no such file")
    try:
        program = torch.export.load(path)
    except Exception as error:
        raise FormatError(f"{path} cannot be read as a torch.export file ({_line(error)})") from error
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    batch = inputs[0].meta["val"].shape[0] if inputs else None
    return Target(
        program.module(),
        path.stem,
        _sized(path, preprocess, inputs),
        batch if isinstance(batch, int) else None,
    )


def _sized(path: Path, preprocess: Preprocess, inputs: list[Any]) -> Preprocess:
    """`preprocess`, refusing images of another size than the program was exported for."""

    def change(images: Tensor) -> Tensor:
        x = preprocess(images)
        expected = inputs[0].meta["val"].shape[1:]
        wrong = [(a, b) for a, b in zip(x.shape[1:], expected, strict=True) if isinstance(b, int) and a != b]
        if wrong:
            sizes = "x".join(map(str, expected))
            raise ValueError(f"{path} was exported for images of {sizes}: give that --size")
        return x

    return change


def _call(text: str, found: Any) -> Any:
    if not callable(found):
        return found
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{text}() fails ({type(error).__name__}: {_line(error)})") from error


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file")
    # A name that hides no other module: the file may be called like a package that it imports.
    name = f"target {path.resolve()}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its neighbours are to be found, and its classes to be copied.
    sys.modules[name] = module
    with _on_path(path.parent):
        spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> Any:
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


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
