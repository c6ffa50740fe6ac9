"""Models that unpool by indices, such as SegNet, made so that they can be exported to ONNX.

PyTorch has no ONNX form of `max_unpool2d` (its issues 25088, 43367 and 85388). While a model runs inside
`Exportable`, each unpooling is done by basic operators instead. A window's index says in which of its cells
the maximum was:

    a plane a cell: Where(indices == that cell's place in the plane, values, 0);   interleaved to one plane

which exporters trace as they trace anything else. Values and gradients are those of `max_unpool2d`.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from maxtunnel.export.graph import NO_ONNX, OPSET
from maxtunnel.support.files import replacing
from maxtunnel.switches.window import Pair, Window

# While PyTorch traces, lengths are symbols.
Size = Sequence[int | torch.SymInt]


class Exportable(nn.Module):
    """A model, of which every `max_unpool2d` is done by basic operators.

    It gives what the model gives, and `torch.onnx.export` and `torch.export.export` take it. Of the model
    itself nothing is changed.

    Args:
        model: unpools by `nn.MaxUnpool2d`, or by the function.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, *inputs: Tensor) -> Any:
        """What the model returns."""
        with _Unpooling():
            return self.model(*inputs)


def export_model(
    model: nn.Module, target: str | Path, images: Float[Tensor, "n c h w"], name: str = ""
) -> None:
    """Write a model that unpools as an ONNX file (opset 18), for any number and size of images.

    Args:
        model: takes `images` as its one argument, and is in the mode in which it shall be written.
        target: the file; its input is called `image`.
        images: an example, of two images or more.
        name: kept in the file.

    Raises:
        ValueError: the model unpools overlapping windows; or onnx and onnxscript are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError:
        raise ValueError(NO_ONNX) from None
    dimension = torch.export.Dim
    axes = {0: dimension.DYNAMIC, 2: dimension.DYNAMIC, 3: dimension.DYNAMIC}
    with replacing(target) as temporary, warnings.catch_warnings():
        # What PyTorch says of its own parts.
        warnings.simplefilter("ignore", FutureWarning)
        torch.onnx.export(
            Exportable(model), (images,), temporary, input_names=["image"], opset_version=OPSET, dynamo=True,
            dynamic_shapes=((axes,),), external_data=False, verbose=False,
        )  # fmt: skip
        written = onnx.load(temporary)
        onnx.helper.set_model_props(written, {"name": name, "part": "model"})
        onnx.checker.check_model(written, full_check=True)
        onnx.save(written, temporary)


class _Unpooling(TorchFunctionMode):
    """Does `max_unpool2d` by basic operators."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.max_unpool2d:
            return unpool_by_indices(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def unpool_by_indices(
    input: Float[Tensor, "n c oh ow"],
    indices: Int64[Tensor, "n c oh ow"],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Size | None = None,
) -> Float[Tensor, "n c h w"]:
    """What `torch.nn.functional.max_unpool2d` gives, by basic operators; arguments as there.

    An index that is in no cell of its window puts its value nowhere.

    Raises:
        ValueError: windows overlap, so that several could put their values into one cell.
    """
    window = Window(_pair(kernel_size), _pair(kernel_size if stride is None else stride), _pair(padding))
    if window.overlaps:
        raise ValueError(
            f"the model unpools by a {window}: windows overlap, and which of their values stays in a cell is "
            "left open by PyTorch; unpool by windows that lie apart"
        )
    pooled = input.shape[-2:]
    size = _smallest(pooled, window) if output_size is None else tuple(output_size)[-2:]
    height, width = cast("Pair", size)
    down, right = (
        torch.arange(n, device=input.device) * step - border
        for n, step, border in zip(pooled, window.stride, window.padding, strict=True)
    )
    planes = [
        torch.where(indices.eq((down[:, None] + i) * width + (right + j)), input, 0.0)
        if i < window.kernel[0] and j < window.kernel[1]
        else torch.zeros_like(input)
        for i in range(window.stride[0])
        for j in range(window.stride[1])
    ]
    return _fitted(_interleaved(planes, window.stride), window.padding, (height, width))


def _interleaved(planes: Sequence[Tensor], stride: Pair) -> Tensor:
    """Planes of the cells of all windows, put together to one plane."""
    n, c, oh, ow = planes[0].shape
    cells = torch.stack(list(planes), 2).view(n, c, *stride, oh, ow)
    return cells.permute(0, 1, 4, 2, 5, 3).reshape(n, c, oh * stride[0], ow * stride[1])


def _smallest(pooled: Size, window: Window) -> Size:
    """(height, width) of the smallest plane that pools to `pooled`."""
    return [
        (count - 1) * step + kernel - 2 * border
        for count, step, kernel, border in zip(
            pooled, window.stride, window.kernel, window.padding, strict=True
        )
    ]


def _fitted(plane: Tensor, padding: Pair, size: Size) -> Tensor:
    """`plane` without the padding before it, cut or filled with zeros to a size."""
    plane = plane[..., padding[0] :, padding[1] :]
    below, beside = (wanted - there for wanted, there in zip(size, plane.shape[-2:], strict=True))
    return F.pad(plane, cast("list[int]", [0, beside, 0, below]))


def _pair(value: int | Sequence[int]) -> Pair:
    """A number for both axes, or a number each."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])
