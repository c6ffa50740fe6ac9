"""Programs that `torch.export.save` wrote, as targets."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils import _pytree as pytree

from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.data.batches import PIECE
from maxtunnel.support.files import FormatError, check_file, one_line


class OneInput(nn.Module):
    """A program of one tensor, however it is handed over: in a list, or by name.

    Args:
        program: from `ExportedProgram.module()`.
        call: how it was called when it was exported.
    """

    def __init__(self, program: nn.Module, call: pytree.TreeSpec) -> None:
        super().__init__()
        self.program, self._call = program, call

    def forward(self, images: Tensor) -> Any:
        """What the program returns."""
        args, kwargs = pytree.tree_unflatten([images], self._call)
        return self.program(*args, **kwargs)


def read_exported(path: Path, preprocess: Preprocess) -> Target:
    """The program in a .pt2 file.

    Raises:
        FormatError: it cannot be read.
        ValueError: it does not take one batch of images.
    """
    check_file(path, "what torch.export.save wrote")
    try:
        program = torch.export.load(path)
    except Exception as error:
        raise FormatError(f"{path} cannot be read as a torch.export file ({one_line(error)})") from error
    image = _only_input(path, program)
    model: nn.Module = program.module()
    call = program.call_spec.in_spec
    if call is not None and call != pytree.tree_structure(((0,), {})):
        model = OneInput(model, call)
    return Target(model, path.stem, _sized(path, preprocess, image), _batch(program, image))


def _only_input(path: Path, program: ExportedProgram) -> Node:
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if len(inputs) != 1:
        names = ", ".join(node.name for node in inputs) or "none"
        raise ValueError(
            f"{path} takes {len(inputs)} inputs ({names}), an audit gives images alone: export a model of "
            "one input, with the others fixed inside"
        )
    value = inputs[0].meta["val"]
    if not isinstance(value, Tensor) or value.ndim != 4:
        raise ValueError(f"{path} takes {_shape(value)}: export a model of images (n, 3, h, w)")
    return inputs[0]


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _batch(program: ExportedProgram, image: Node) -> int | None:
    """How many images to give at a time; None for any number."""
    size = image.meta["val"].shape[0]
    if isinstance(size, int):
        return size
    bounds = program.range_constraints.get(size.node.expr)
    if bounds is None or not size.node.expr.is_symbol:
        # A multiple of another size: the number that it was exported with is one of those allowed.
        return int(size.node.hint)
    if bounds.lower <= 1 and bounds.upper >= PIECE:
        return None
    return int(min(bounds.upper, max(bounds.lower, PIECE)))


def _sized(path: Path, preprocess: Preprocess, image: Node) -> Preprocess:
    """`preprocess`, refusing images of another size than the program was exported for."""

    def change(images: Tensor) -> Tensor:
        x = preprocess(images)
        expected = image.meta["val"].shape[1:]
        wrong = [(a, b) for a, b in zip(x.shape[1:], expected, strict=True) if isinstance(b, int) and a != b]
        if wrong:
            channels, height, width = expected
            raise ValueError(
                f"{path} was exported for images of {channels} channels and {width}x{height} pixels, "
                "width x height: give that `size`"
            )
        return x

    return change
