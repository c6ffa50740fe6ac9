"""Which pixels can have a say in a unit, whatever the photograph shows: its receptive field, as a box."""

from collections.abc import Sequence

from torch.autograd.graph import Node

from maxtunnel.switches.window import Pair
from maxtunnel.visualising.outcome import Box
from maxtunnel.visualising.ways import Way, operation

# First and last row, and first and last column, of a plane; they may lie outside of it.
_Span = tuple[int, int, int, int]
# Operations that make each place of that place alone.
_IN_PLACE = {
    "Add", "Alias", "BatchNorm", "Clamp", "ClampMin", "Clone", "Div", "Gelu", "Hardtanh", "LeakyRelu",
    "Mul", "NativeBatchNorm", "Neg", "Relu", "Sigmoid", "Silu", "Sub", "Threshold", "ToCopy",
}  # fmt: skip
# The same, where they go along the channels.
_ALONG = {"Cat", "IndexSelect", "Slice", "Split", "SplitWithSizes"}
_WINDOWS = {"AvgPool2D", "Convolution", "MaxPool2DWithIndices", "Pool"}


def box_of(way: Way, place: Pair) -> Box:
    """The pixels that can have a say in one place of a layer: top, left, bottom and right.

    Args:
        way: from the layer to the photographs.
        place: (row, column) in its map; a layer without maps sees the whole photograph, as does what lies
            behind an operation that mixes places in another way than a window does.
    """
    height, width = way.image.shape[-2:]
    spans: dict[Node, _Span | None] = {}
    first = (place[0], place[0], place[1], place[1]) if way.output.ndim == 4 else None
    for node, edges in way.nodes():
        above = spans.get(node, first)
        below = None if above is None else _below(node, above)
        for edge in edges:
            other = node.next_functions[edge][0]
            assert other is not None
            spans[other] = _joined(spans[other], below) if other in spans else below
    seen = spans[way.leaf]
    if seen is None:
        return 0, 0, height, width
    top, bottom, left, right = seen
    return max(top, 0), max(left, 0), min(bottom + 1, height), min(right + 1, width)


def _below(node: Node, span: _Span) -> _Span | None:
    """What an operation makes these places of; None for all there is."""
    name = operation(node)
    if name in _IN_PLACE or _is_of_channels(node):
        return span
    if name in ("ConstantPadNd", "ReplicationPad2D"):
        left, _, top, _ = _numbers(node, "pad" if name == "ConstantPadNd" else "padding")[:4]
        return span[0] - top, span[1] - top, span[2] - left, span[3] - left
    if name not in _WINDOWS or getattr(node, "_saved_transposed", False):
        return None
    rows, columns = (_window(node, axis) for axis in (0, 1))
    height, width = _plane(node)
    return *_spread(span[0], span[1], height, *rows), *_spread(span[2], span[3], width, *columns)


def _is_of_channels(node: Node) -> bool:
    """Whether an operation chooses, orders or joins channels alone."""
    name = operation(node)
    if name == "Index":
        return all(part is None for part in getattr(node, "_saved_indices")[2:])  # noqa: B009
    if name == "Flip":
        return set(getattr(node, "_saved_dims")) <= {0, 1}  # noqa: B009
    # A dimension that is counted from the end is a very large number.
    return name in _ALONG and getattr(node, "_saved_dim") in (0, 1, 2**64 - 3)  # noqa: B009


def _window(node: Node, axis: int) -> tuple[int, int, int]:
    """Along an axis: how many cells a window spans, its stride, its padding."""
    name = operation(node)
    if name == "Pool":
        numbers: Sequence[int] = getattr(node, "window")  # noqa: B009
        kernel, stride, padding, dilation = (numbers[place + axis] for place in (0, 2, 4, 6))
    else:
        kernel = (
            getattr(node, "_saved_weight").shape[2 + axis]  # noqa: B009
            if name == "Convolution"
            else _numbers(node, "kernel_size")[axis]
        )
        # Average pooling without a stride has its kernel's.
        stride = (_numbers(node, "stride") or _numbers(node, "kernel_size"))[axis]
        padding = _numbers(node, "padding")[axis]
        dilation = 1 if name == "AvgPool2D" else _numbers(node, "dilation")[axis]
    return (kernel - 1) * dilation + 1, stride, padding


def _numbers(node: Node, field: str) -> list[int]:
    return list(getattr(node, f"_saved_{field}"))


def _plane(node: Node) -> Pair:
    """(height, width) of what the windows lie on."""
    name = operation(node)
    if name == "Pool":
        height, width = getattr(node, "size")  # noqa: B009
        return height, width
    given = getattr(node, "_saved_input" if name == "Convolution" else "_saved_self")
    return given.shape[-2], given.shape[-1]


def _spread(first: int, last: int, length: int, cells: int, stride: int, padding: int) -> Pair:
    """From the first cell of the first window to the last of the last; padding has no say."""
    return max(first * stride - padding, 0), min(last * stride - padding + cells, length) - 1


def _joined(a: _Span | None, b: _Span | None) -> _Span | None:
    if a is None or b is None:
        return None
    return min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])
