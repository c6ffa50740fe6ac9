"""The decoders of switches as ONNX graphs: the mirrored one, of any levels, and the strong one.

Each follows `layers` of its class in `maxtunnel.models`. Where a decoder's sizes are known, as of one that an
audit trained on a captured model, the graph is for images of that size; that of a network takes any size.
"""

import math
from collections.abc import Sequence
from itertools import islice
from typing import cast

import numpy as np
from torch import Tensor, nn

from maxtunnel.export import layers
from maxtunnel.export.graph import Graph
from maxtunnel.models.layers import Conv3x3
from maxtunnel.models.mirrored import Level, MirroredDecoder
from maxtunnel.models.strong import Entry, StrongDecoder
from maxtunnel.switches.window import Pair

Decoder = MirroredDecoder | StrongDecoder


def decode(graph: Graph, decoder: Decoder, codes: Sequence[str]) -> str:
    """The image, on the network's inner scale, from codes in the order of the code."""
    if isinstance(decoder, StrongDecoder):
        return _Strong(graph, decoder).decode(codes)
    return _mirrored(graph, decoder, codes)


def _mirrored(graph: Graph, decoder: MirroredDecoder, codes: Sequence[str]) -> str:
    # A constant is the same at every size.
    x, size = _everywhere(graph, decoder.bias_code), decoder.levels[0].pooled
    convs = iter(cast("list[Conv3x3]", list(decoder.convs)))
    for (first, *others), count in zip(decoder.blocks, decoder.counts, strict=True):
        if size is not None and first.pooled is not None:
            x = layers.resized(graph, x, size, first.pooled)
        planes = [_unpooled(graph, first, x, codes)]
        for level in others:
            marks = _everywhere(graph, decoder.marks[str(level.number)])
            planes.append(_unpooled(graph, level, marks, codes))
        size = _largest([first, *others])
        x = _joined(graph, planes, [first, *others], size)
        for conv in islice(convs, count):
            x = layers.convolve(graph, x, conv)
    if to_image := list(convs):
        assert size is not None
        assert decoder.image_size is not None
        x = layers.resized(graph, x, size, decoder.image_size)
        for conv in to_image:
            x = layers.convolve(graph, x, conv)
    return x


def _everywhere(graph: Graph, constant: Tensor) -> str:
    """A value a channel, which is broadcast to the plane."""
    return graph.constant(constant.detach().cpu().numpy().reshape(1, -1, 1, 1))


def _unpooled(graph: Graph, level: Level, x: str, codes: Sequence[str]) -> str:
    window = level.window
    if window.overlaps:
        share = math.sqrt(math.prod(window.stride) / math.prod(window.kernel))
        x = graph.add("Mul", x, graph.constant(np.array(share, np.float32)))
    return layers.unpool(graph, x, codes[level.number - 1], window, level.pooled, level.size, level.channels)


def _largest(levels: Sequence[Level]) -> Pair | None:
    """(height, width) of the joined planes; None for any."""
    sizes = [level.size for level in levels if level.size is not None]
    return (max(size[0] for size in sizes), max(size[1] for size in sizes)) if sizes else None


def _joined(graph: Graph, planes: Sequence[str], levels: Sequence[Level], size: Pair | None) -> str:
    if len(planes) == 1:
        return planes[0]
    assert size is not None
    alike = [
        layers.resized(graph, plane, cast("Pair", level.size), size)
        for plane, level in zip(planes, levels, strict=True)
    ]
    return graph.add("Concat", *alike, axis=1)


class _Strong:
    """A strong decoder on its way into a graph.

    Args:
        graph: takes it in.
        decoder: is exported.
    """

    def __init__(self, graph: Graph, decoder: StrongDecoder) -> None:
        self.graph, self.decoder = graph, decoder
        self.sizes = None if decoder.image_size is None else decoder.sizes(decoder.image_size)

    def decode(self, codes: Sequence[str]) -> str:
        """As `StrongDecoder.layers`."""
        graph, decoder, kept = self.graph, self.decoder, list[str]()
        first = decoder.scales - len(decoder.down) + 1
        for scale, down in enumerate(decoder.down, first):
            parts = [self._halved(kept[-1], scale, len(kept) - 1)] if kept else []
            parts += [self._entered(entry, codes) for entry in decoder.entering(scale)]
            kept.append(self._blocks(_sum(graph, parts), down))
        x = kept.pop()
        for scale in range(decoder.scales, 0, -1):
            if scale < decoder.scales:
                x = self._doubled(x, decoder.doublings[scale - 1], scale)
                x = graph.add("Add", x, kept.pop()) if kept else x
            x = self._blocks(x, decoder.up[scale - 1])
        y = graph.add("DepthToSpace", layers.convolve(graph, x, decoder.head), blocksize=2, mode="CRD")
        return y if self.sizes is None else self._cropped(y, self.sizes[0], cast("Pair", decoder.image_size))

    def _halved(self, x: str, scale: int, number: int) -> str:
        if self.sizes is not None:
            x = layers.even(self.graph, x, self.sizes[scale - 2])
        return layers.convolve_apart(self.graph, x, cast("nn.Conv2d", self.decoder.halvings[number]))

    def _doubled(self, x: str, layer: nn.Module, scale: int) -> str:
        apart = layers.convolve_apart(self.graph, x, cast("nn.Conv2d", layer))
        x = self.graph.add("DepthToSpace", apart, blocksize=2, mode="CRD")
        return x if self.sizes is None else self._cropped(x, self.sizes[scale], self.sizes[scale - 1])

    def _cropped(self, x: str, half: Pair, size: Pair) -> str:
        """The part of `x`, twice as large as `half`, that is of this size."""
        return layers.cropped(self.graph, x, (2 * half[0], 2 * half[1]), size)

    def _entered(self, entry: Entry, codes: Sequence[str]) -> str:
        """The planes of a level after their 1x1 layer, at the size of its scale."""
        graph, level, size = self.graph, entry.level, entry.level.pooled
        where, layer = codes[level.number - 1], cast("nn.Conv2d", self.decoder.entries[str(level.number)])
        if entry.one_each:
            x, cells = layers.planes_of(graph, where, level.window.cells), level.window.cells
        else:
            share = graph.constant(np.array(entry.share, np.float32))
            x = layers.unpool(graph, share, where, level.window, level.pooled, level.size, level.channels)
            cells, size = 1, level.size
        for _ in range(entry.folds):
            size = cast("Pair", size)
            x = graph.add("SpaceToDepth", layers.even(graph, x, size), blocksize=2)
            size = -(-size[0] // 2), -(-size[1] // 2)
        weight = _reversed(layer.weight, (level.channels, cells, *[4] * entry.folds))
        x = layers.convolve_apart(graph, x, layer, weight)
        if self.sizes is None or size is None:
            return x
        return layers.grown(graph, x, size, self.sizes[entry.scale - 1])

    def _blocks(self, x: str, blocks: nn.Module) -> str:
        for block in cast("list[nn.Module]", list(cast("nn.Sequential", blocks))):
            first, second = cast("tuple[Conv3x3, Conv3x3]", (block.first, block.second))
            inner = layers.convolve(self.graph, layers.convolve(self.graph, x, first), second)
            x = self.graph.add("Add", x, inner)
        return x


def _reversed(weight: Tensor, parts: Sequence[int]) -> Tensor:
    """A layer's weights for planes that come in the reverse order.

    What the decoder's planes are made of, as `parts` says (channel, cell, then each fold), a graph puts
    together the other way round.
    """
    apart = weight.detach().view(len(weight), *parts)
    order = [0, *range(apart.ndim - 1, 0, -1)]
    return apart.permute(order).reshape(weight.shape)


def _sum(graph: Graph, parts: Sequence[str]) -> str:
    total, *others = parts
    for part in others:
        total = graph.add("Add", total, part)
    return total
