"""The way from a layer back to the photograph: PyTorch's own, with other rules at ReLUs and poolings.

What autograd notes while a model runs is a graph of operations, whoever called them: modules, functions, an
exported program. Each is one of four kinds. A linear one is gone through by its transpose, which autograd
does: a convolution with any stride and groups by its transposed filters without its bias, batch normalisation
by its scale, which is folding it into the filters. At a ReLU and at a max pooling a hook puts another rule in
the place of the derivative. Any other has no transpose, and is refused.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.autograd.graph import Node

from maxtunnel.support.choices import OverlapRule
from maxtunnel.switches.codes import SwitchLevel
from maxtunnel.switches.indices import from_indices
from maxtunnel.switches.operators import window_of
from maxtunnel.switches.window import Pair, Window

Rule = Literal["deconvnet", "guided", "gradient"]
Gradients = tuple[Tensor | None, ...]
Hook = Callable[[Gradients, Gradients], Gradients]

# Linear in the image, whatever else they are given.
_LINEAR = {
    "AccumulateGrad", "Add", "Alias", "AsStrided", "AvgPool2D", "Cat", "Chunk", "Clone", "ConstantPadNd",
    "Contiguous", "CopyBackwards", "Diagonal", "Expand", "Flip", "Im2Col", "Index", "IndexSelect", "Mean",
    "Movedim", "Narrow", "Neg", "Permute", "PixelShuffle", "PixelUnshuffle", "ReflectionPad2D", "Repeat",
    "ReplicationPad2D", "ReshapeAlias", "Roll", "Select", "Slice", "Split", "SplitWithSizes", "Squeeze",
    "Stack", "Sub", "Sum", "Swapdims", "T", "ToCopy", "Transpose", "Unbind", "Unfold", "UnsafeSplit",
    "UnsafeView", "Unsqueeze", "UpsampleBilinear2D", "UpsampleBilinear2DAa", "UpsampleBicubic2D",
    "UpsampleNearest2D", "View", "AdaptiveAvgPool2D",
}  # fmt: skip
# Linear where only one of the two is made of the image: weights, or a factor, are the other.
_PRODUCTS = {"Addmm", "Addmv", "Baddbmm", "Bmm", "Convolution", "Dot", "Linear", "MkldnnConvolution", "Mm",
             "Mul", "Mv"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pooling:
    """A max pooling on the way: its place in the graph, and the switches that it took there."""

    node: Node
    switches: SwitchLevel


class Way:
    """From a layer of a model that has just run to the image that it was given.

    Args:
        output: of the layer, (n, c, h, w) or (n, c), as autograd knows it.
        image: what the model was given, a leaf of the graph.

    Attributes:
        leaf: what the image is in the graph.
        poolings: those on the way, in the order in which they ran; each from 1 is a level.

    Raises:
        ValueError: the layer does not depend on the image as far as autograd sees.
    """

    def __init__(self, output: Tensor, image: Float[Tensor, "n c h w"]) -> None:
        self.output, self.image = output, image
        self.leaf = torch.autograd.graph.get_gradient_edge(image).node
        self._edges = _edges_to(output, self.leaf)
        if not self._edges:
            raise ValueError(
                "between the image and the layer the derivative is cut (no_grad, detach, another library): "
                "give a model, and a `preprocess`, of PyTorch's operations alone"
            )
        self.poolings = tuple(
            Pooling(node, switches)
            for node in sorted(self._edges, key=lambda node: node._sequence_nr())
            if (switches := _switches_of(node)) is not None
        )

    def check(self) -> None:
        """Raise ValueError where an operation on the way is no linear one, no ReLU and no 2-d max pooling."""
        pools = {pooling.node for pooling in self.poolings}
        wrong = sorted(
            {
                operation(node)
                for node, edges in self._edges.items()
                if node not in pools and not _is_rectifier(node) and not _is_linear(node, edges)
            }
        )
        if wrong:
            raise ValueError(
                f"there is no way back through {', '.join(wrong)}: what is no linear operation, ReLU or 2-d "
                "max pooling has no transpose; give a layer before it, or the `method` gradient or occlusion"
            )

    def back(
        self,
        start: Tensor,
        rule: Rule,
        overlap: OverlapRule = "last",
        codes: Sequence[UInt8[Tensor, "n _ _ _"]] | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """What `start`, in the place of the layer's output, becomes at the image.

        Args:
            start: of the shape of the output.
            rule: what happens at a ReLU: `deconvnet` rectifies what comes back, `gradient` lets it through
                where the ReLU did, `guided` does both.
            overlap: what a cell gets that several windows of a pooling chose (see `placed`).
            codes: switches in the place of the poolings' own, one for each.
        """
        own = [pooling.switches.codes for pooling in self.poolings]
        hooks: list[tuple[Node, Hook]] = [
            (pooling.node, partial(_unpooled, pooling.switches, where, overlap))
            for pooling, where in zip(self.poolings, own if codes is None else codes, strict=True)
        ]
        if rule != "gradient":
            change = _rectified if rule == "deconvnet" else _rectified_twice
            hooks += [(node, change) for node in self._edges if _is_rectifier(node)]
        return self._run(start, hooks)

    def nodes(self) -> list[tuple[Node, list[int]]]:
        """Every operation on the way, last first, with the numbers of its arguments made of the image."""
        order = sorted(self._edges, key=lambda node: node._sequence_nr(), reverse=True)
        return [(node, self._edges[node]) for node in order]

    def _run(self, start: Tensor, hooks: Sequence[tuple[Node, Hook]]) -> Tensor:
        with ExitStack() as stack:
            for node, hook in hooks:
                stack.callback(node.register_hook(hook).remove)
            (found,) = torch.autograd.grad(
                self.output, self.image, start.to(self.output), retain_graph=True, materialize_grads=True
            )
        return found.detach()


def _edges_to(output: Tensor, leaf: Node) -> dict[Node, list[int]]:
    """Every operation between a layer and the image, and which of its arguments are made of the image."""
    if output.grad_fn is None:
        return {}
    found: dict[Node, list[int]] = {}
    # Each is taken up twice: when it is met, and when all that it was made of is known.
    open_nodes: list[tuple[Node, bool]] = [(output.grad_fn, False)]
    seen: set[Node] = set()
    while open_nodes:
        node, is_known = open_nodes.pop()
        before = [other for other, _ in node.next_functions]
        if is_known:
            edges = [
                n for n, other in enumerate(before) if other is not None and (other is leaf or other in found)
            ]
            if edges:
                found[node] = edges
        elif node not in seen:
            seen.add(node)
            open_nodes.append((node, True))
            open_nodes += [(other, False) for other in before if other is not None and other not in seen]
    return found


def operation(node: Node) -> str:
    """The operation that a node of the graph is the derivative of, such as `Relu`."""
    return re.sub(r"Backward\d*$", "", node.name().split("::")[-1]).strip("_")


def _is_rectifier(node: Node) -> bool:
    name = operation(node)
    return (
        name == "Relu"
        or (name == "Threshold" and getattr(node, "_saved_threshold", None) == 0)
        or (name in ("ClampMin", "Clamp") and getattr(node, "_saved_min", None) == 0)
        or (name == "Hardtanh" and getattr(node, "_saved_min_val", None) == 0)
    )  # fmt: skip


def _is_linear(node: Node, edges: Sequence[int]) -> bool:
    name = operation(node)
    if name == "NativeBatchNorm":
        # With the statistics of the batch it is no linear operation.
        return not getattr(node, "_saved_training", True) and edges == [0]
    if name == "Div":
        return edges == [0]
    return name in _LINEAR or (name in _PRODUCTS and len(edges) == 1)


def _switches_of(node: Node) -> SwitchLevel | None:
    """The switches of a 2-d max pooling; None of another operation."""
    name = operation(node)
    if name == "MaxPool2DWithIndices":
        fields = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        kernel, stride, padding, dilation, ceil_mode = (getattr(node, f"_saved_{field}") for field in fields)
        window = Window(tuple(kernel), tuple(stride or kernel), tuple(padding), tuple(dilation), ceil_mode)
        indices, plane = getattr(node, "_saved_result1"), getattr(node, "_saved_self")  # noqa: B009
        size = plane.shape[-2], plane.shape[-1]
        return SwitchLevel(from_indices(indices, window, size), window, size)
    if name == "Pool" and hasattr(node, "window"):
        (codes,) = getattr(node, "saved_tensors")  # noqa: B009
        size = getattr(node, "size")  # noqa: B009
        return SwitchLevel(codes, window_of(node.window), (size[0], size[1]))
    return None


def placed(
    values: Float[Tensor, "n c oh ow"],
    codes: UInt8[Tensor, "n c oh ow"],
    window: Window,
    size: Pair,
    overlap: OverlapRule,
) -> Float[Tensor, "n c h w"]:
    """As `unpool`, of the few values that are not 0: only these have a say in a cell that several chose.

    Where all but one activation are 0, the 0 of a window beside it would else overwrite it.
    """
    at = values.nonzero()
    image, channel, row, column = at.unbind(1)
    given, code = values[image, channel, row, column], codes[image, channel, row, column].long()
    row = row * window.stride[0] - window.padding[0] + code // window.kernel[1] * window.dilation[0]
    column = column * window.stride[1] - window.padding[1] + code % window.kernel[1] * window.dilation[1]
    cells = ((image * values.shape[1] + channel) * size[0] + row) * size[1] + column
    if overlap == "last" and window.overlaps:
        # They stand row by row, so of those with the same cell the last is also the last to be placed.
        ordered, order = cells.sort(stable=True)
        last = torch.ones_like(ordered, dtype=torch.bool)
        last[:-1] = ordered[1:] != ordered[:-1]
        cells, given = ordered[last], given[order][last]
    plane = values.new_zeros(values.shape[0] * values.shape[1] * size[0] * size[1])
    return plane.index_put_((cells,), given, accumulate=True).view(*values.shape[:2], *size)


def _unpooled(
    switches: SwitchLevel, codes: Tensor, overlap: OverlapRule, inward: Gradients, outward: Gradients
) -> Gradients:
    return placed(_known(outward[0]), codes, switches.window, switches.size, overlap), *inward[1:]


def _rectified(inward: Gradients, outward: Gradients) -> Gradients:
    return _known(outward[0]).clamp(min=0), *inward[1:]


def _rectified_twice(inward: Gradients, outward: Gradients) -> Gradients:
    return _known(inward[0]).clamp(min=0), *inward[1:]


def _known(gradient: Tensor | None) -> Tensor:
    """Only what cannot be differentiated, such as codes, has none."""
    assert gradient is not None
    return gradient
