"""The layers of networks and decoders as basic ONNX operators.

A 2x2 pooling and its unpooling, of planes of any size, need no indices:

    pool     v = MaxPool(x);   code = 0 where the top left cell equals v, else 1 where the top right does, ...
    unpool   a plane a cell: Where(Equal(code, cell), value, 0);   Concat;   DepthToSpace

Any other window is unpooled by a transposed convolution that puts each cell's plane where the cell lies, and
adds up what several windows chose; the plane's size must be known.
"""

import numpy as np
from torch import Tensor, nn

from maxtunnel.export.graph import Graph
from maxtunnel.models.layers import Conv3x3
from maxtunnel.switches.window import Pair, Window

_ZERO = np.float32(0)


def convolve(graph: Graph, x: str, layer: Conv3x3) -> str:
    """A 3x3 layer with its activation."""
    weights = graph.weights(layer.weight), graph.weights(layer.bias)
    y = graph.add("Conv", x, *weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    if layer.slope is None:
        return y
    return graph.add("LeakyRelu", y, alpha=layer.slope) if layer.slope else graph.add("Relu", y)


def convolve_apart(graph: Graph, x: str, layer: nn.Conv2d, weight: Tensor | None = None) -> str:
    """A layer whose kernels lie beside each other; `weight` takes the place of its own."""
    assert layer.bias is not None
    kernel = list(layer.kernel_size)
    weights = graph.weights(layer.weight if weight is None else weight), graph.weights(layer.bias)
    return graph.add("Conv", x, *weights, kernel_shape=kernel, strides=kernel)


def pool(graph: Graph, x: str) -> tuple[str, str]:
    """Values and codes of 2x2 windows; the first maximum, row by row, wins a tie."""
    values = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    codes = _scalar(graph, np.uint8(3))
    for code in (2, 1, 0):
        first, step = graph.constant(divmod(code, 2)), graph.constant([2, 2])
        cells = graph.add("Slice", x, first, graph.constant([1 << 31] * 2), graph.constant([2, 3]), step)
        codes = graph.add("Where", graph.add("Equal", cells, values), _scalar(graph, np.uint8(code)), codes)
    return values, codes


def planes_of(graph: Graph, codes: str, cells: int, value: str | None = None) -> str:
    """For each cell of the window all channels: 1, or `value`, where the code is that cell's, and else 0.

    The planes of the first cell come first.
    """
    value = _scalar(graph, np.float32(1)) if value is None else value
    zero = _scalar(graph, _ZERO)
    found = [
        graph.add("Where", graph.add("Equal", codes, _scalar(graph, np.uint8(cell))), value, zero)
        for cell in range(cells)
    ]
    return graph.add("Concat", *found, axis=1)


def unpool(
    graph: Graph,
    value: str,
    codes: str,
    window: Window,
    pooled: Pair | None,
    size: Pair | None,
    channels: int,
) -> str:
    """Each value where its window's maximum was, in a plane of zeros; sums where several are in one cell.

    Args:
        graph: to add to.
        value: (n, channels, oh, ow), or what is broadcast to that.
        codes: of the same shape.
        window: of the codes.
        pooled, size: (height, width) of the pooled plane, and of that before it; None for any, where the
            window is the paper's.
        channels: how many.
    """
    if window == Window() and (size is None or window.tiles(size)):
        return graph.add("DepthToSpace", planes_of(graph, codes, 4, value), blocksize=2, mode="DCR")
    assert pooled is not None
    assert size is not None
    value = graph.add("Expand", value, graph.add("Shape", codes))
    flat = graph.constant([-1, 1, *pooled])
    apart = planes_of(
        graph, graph.add("Reshape", codes, flat), window.cells, graph.add("Reshape", value, flat)
    )
    found = graph.add(
        "ConvTranspose", apart, graph.constant(_kernels(window)),
        kernel_shape=window.kernel, strides=window.stride, dilations=window.dilation,
    )  # fmt: skip
    covered = [(n - 1) * s + span for n, s, span in zip(pooled, window.stride, window.span, strict=True)]
    (top, left), (height, width) = window.padding, size
    below, right = top + height - covered[0], left + width - covered[1]
    plane = graph.add("Pad", found, graph.constant([0, 0, -top, -left, 0, 0, below, right]))
    return graph.add("Reshape", plane, graph.constant([-1, channels, height, width]))


def resized(graph: Graph, x: str, before: Pair, size: Pair) -> str:
    """As the mirrored decoder resizes: bilinearly where planes grow, else by the mean of areas."""
    if before == size:
        return x
    if all(a <= b for a, b in zip(before, size, strict=True)):
        return graph.add("Resize", x, "", "", _sizes(graph, x, size), mode="linear")
    rows = graph.add("MatMul", graph.constant(_areas(before[0], size[0])), x)
    return graph.add("MatMul", rows, graph.constant(_areas(before[1], size[1]).T.copy()))


def grown(graph: Graph, x: str, before: Pair, size: Pair) -> str:
    """`x` at a size that is no smaller, by repeating cells."""
    for axis, (short, long) in enumerate(zip(before, size, strict=True), 2):
        if short != long:
            cells = np.floor((np.arange(long) + 0.5) * short / long).astype(np.int64)
            x = graph.add("Gather", x, graph.constant(cells), axis=axis)
    return x


def even(graph: Graph, x: str, size: Pair) -> str:
    """`x` with a row and a column of zeros more where its sides are odd."""
    down, right = size[0] % 2, size[1] % 2
    return graph.add("Pad", x, graph.constant([0, 0, 0, 0, 0, 0, down, right])) if down or right else x


def cropped(graph: Graph, x: str, before: Pair, size: Pair) -> str:
    """The top left part of `x`, of this size."""
    if before == size:
        return x
    return graph.add("Slice", x, graph.constant([0, 0]), graph.constant(size), graph.constant([2, 3]))


def _scalar(graph: Graph, value: np.generic) -> str:
    return graph.constant(np.asarray(value))


def _kernels(window: Window) -> np.ndarray:
    """For each cell the kernel that puts a value there."""
    each = np.eye(window.cells, dtype=np.float32)
    return each.reshape(window.cells, 1, *window.kernel)


def _sizes(graph: Graph, x: str, size: Pair) -> str:
    """The shape of `x` at another size, as `Resize` is told it."""
    first = graph.add("Shape", x, start=0, end=2)
    return graph.add("Concat", first, graph.constant(size), axis=0)


def _areas(before: int, after: int) -> np.ndarray:
    """What each cell takes from each one before: the mean of the area that it covers, its ends included."""
    matrix = np.zeros((after, before), np.float32)
    for row in range(after):
        start, stop = row * before // after, -(-(row + 1) * before // after)
        matrix[row, start:stop] = 1 / (stop - start)
    return matrix
