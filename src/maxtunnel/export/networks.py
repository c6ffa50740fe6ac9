"""A network, or a decoder that was trained on a captured model's switches, as an ONNX file."""

import json
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float
from torch import Tensor

from maxtunnel.export import layers
from maxtunnel.export.decoders import Decoder, decode
from maxtunnel.export.graph import Graph, Shape
from maxtunnel.models.encoder import Encoder
from maxtunnel.models.layers import Conv3x3
from maxtunnel.models.strong import StrongDecoder
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Part
from maxtunnel.switches.window import Pair
from maxtunnel.zoo.names import load, load_decoder


def export_file(
    model: str | Path, target: Path, part: Part = "both", half: bool = False, pieces: bool = False
) -> TunnelNetwork:
    """Write the network that `model` names as an ONNX file, and give it; otherwise as `export_network`.

    Raises:
        FormatError: there is no such network.
        ValueError: `target` does not end in .onnx, or nobody has trained the decoder; or the package onnx is
            not installed.
    """
    if target.suffix != ".onnx":
        raise ValueError(f"`target` is {target}: give a name that ends in .onnx")
    network = load(model) if part == "encoder" else load_decoder(model)
    export_network(network, target, part, half, pieces, Path(model).stem)
    return network


def export_network(
    network: TunnelNetwork,
    target: str | Path,
    part: Part = "both",
    half: bool = False,
    pieces: bool = False,
    name: str = "",
) -> None:
    """Write a network as an ONNX file of basic operators (opset 18), for any number and size of images.

        image (n, 3, h, w) -> [pad, - mean, x scale] -> encoder -> level1, level2, ... (uint8)
        level1, level2, ... -> decoder -> [/ scale, + mean] -> picture (n, 3, H, W)

    Images are float32 RGB in [0, 1] of any size; they are padded to the multiple of 2^blocks inside. What the
    decoder gives is of the padded size (H, W), and not clipped; with `part="both"` it is cropped to (h, w).

    Args:
        network: to write.
        target: the file.
        part: which part of it.
        half: keep the decoder's weights in half precision: half of the file. Those that ship with a strong
            decoder lose nothing.
        pieces: leave out padding, mean and scale, so that a large image can be taken in pieces: `image` and
            `picture` are then (image - mean) x scale.
        name: kept in the file.

    Raises:
        ValueError: the package onnx is not installed.
    """
    graph, levels = Graph(), len(network.architecture.widths)
    ends = _Ends(graph, network, pieces)
    if part == "decoder":
        codes = [
            _code_input(graph, level, width) for level, width in enumerate(network.architecture.widths, 1)
        ]
    else:
        codes = encode(graph, network.encoder, ends.normalised())
        for level, (value, width) in enumerate(zip(codes, network.architecture.widths, strict=True), 1):
            graph.output(f"level{level}", value, _code_shape(level, width), np.uint8)
    if part != "encoder":
        graph.half = half
        output = ends.denormalised(decode(graph, network.decoder, codes), codes[0], crop=part == "both")
        graph.output("picture", output, ("images", 3, "rows", "columns"))
    graph.save(target, _metadata(network, name, part, pieces) | {"levels": str(levels)})


def export_decoder(
    decoder: Decoder,
    target: str | Path,
    mean: Float[Tensor, "3 h w"] | None = None,
    scale: float = 1.0,
    half: bool = False,
    name: str = "",
) -> None:
    """Write a decoder of a captured model's switches: level1, level2, ... (uint8) -> picture (n, 3, h, w).

    Levels are in the order of the code, of any windows. The sizes are those that the decoder was made for.

    Args:
        decoder: made with its levels' sizes, as those of an audit.
        target: the file.
        mean: the decoder was trained to give (image - mean) x scale; None for 0.
        scale: the same.
        half: keep weights in half precision.
        name: kept in the file.

    Raises:
        ValueError: the decoder does not know its sizes; or the package onnx is not installed.
    """
    levels = sorted(decoder.levels, key=lambda level: level.number)
    if decoder.image_size is None or any(level.pooled is None for level in levels):
        raise ValueError("the decoder knows no sizes: export its network (`export_network`)")
    graph = Graph()
    graph.half = half
    codes = [
        graph.input(f"level{level.number}", ("images", level.channels, *cast("Pair", level.pooled)), np.uint8)
        for level in levels
    ]
    x = decode(graph, decoder, codes)
    if scale != 1:
        x = graph.add("Div", x, _number(graph, scale))
    if mean is not None:
        x = graph.add("Add", x, graph.constant(mean[None].cpu().numpy()))
    graph.output("picture", x, ("images", 3, *decoder.image_size))
    kind = "strong" if isinstance(decoder, StrongDecoder) else "mirrored"
    graph.save(target, {"name": name, "part": "decoder", "decoder": kind, "levels": str(len(levels))})


def encode(graph: Graph, encoder: Encoder, x: str) -> list[str]:
    """The codes of every level, finest first."""
    convs, codes = iter(cast("list[Conv3x3]", list(encoder.convs))), []
    for count in encoder.counts:
        for conv in islice(convs, count):
            x = layers.convolve(graph, x, conv)
        x, where = layers.pool(graph, x)
        codes.append(where)
    return codes


class _Ends:
    """What stands before a network's encoder and behind its decoder.

    Args:
        graph: takes it in.
        network: gives mean, scale and the multiple that sides are padded to.
        pieces: whether there is nothing of it.
    """

    def __init__(self, graph: Graph, network: TunnelNetwork, pieces: bool) -> None:
        self.graph, self.network, self.pieces = graph, network, pieces
        self._image, self._mean = "", ""

    def normalised(self) -> str:
        """What the encoder sees."""
        graph = self.graph
        self._image = graph.input("image", ("images", 3, "height", "width"))
        if self.pieces:
            return self._image
        size = graph.add("Shape", self._image, start=2)
        multiple = graph.constant([self.network.architecture.multiple])
        more = graph.add("Mod", graph.add("Neg", size), multiple)
        pads = graph.add("Concat", graph.constant([0] * 6), more, axis=0)
        padded = graph.add("Pad", self._image, pads, mode="edge")
        self._mean = self._mean_at(graph.add("Shape", padded, start=2))
        return graph.add("Mul", graph.add("Sub", padded, self._mean), _number(graph, self.network.scale))

    def denormalised(self, output: str, finest: str, crop: bool) -> str:
        """The picture from what the decoder gives; `finest` are the codes of level 1."""
        if self.pieces:
            return output
        graph = self.graph
        if not self._mean:
            size = graph.add("Mul", graph.add("Shape", finest, start=2), graph.constant([2]))
            self._mean = self._mean_at(size)
        picture = graph.add("Add", graph.add("Div", output, _number(graph, self.network.scale)), self._mean)
        if not crop:
            return picture
        size = graph.add("Shape", self._image, start=2)
        return graph.add("Slice", picture, graph.constant([0, 0]), size, graph.constant([2, 3]))

    def _mean_at(self, size: str) -> str:
        """The mean image, (1, 3, h, w), resized bilinearly."""
        shape = self.graph.add("Concat", self.graph.constant([1, 3]), size, axis=0)
        mean = self.graph.constant(self.network.mean[None].cpu().numpy())
        return self.graph.add("Resize", mean, "", "", shape, mode="linear")


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.array(value, np.float32))


def _code_shape(level: int, width: int) -> Shape:
    return ("images", width, f"rows{level}", f"columns{level}")


def _code_input(graph: Graph, level: int, width: int) -> str:
    return graph.input(f"level{level}", _code_shape(level, width), np.uint8)


def _metadata(network: TunnelNetwork, name: str, part: Part, pieces: bool) -> dict[str, str]:
    return {
        "name": name,
        "part": part,
        "pieces": str(pieces).lower(),
        "architecture": str(network.architecture),
        "decoder": network.decoder_kind,
        "scale": repr(network.scale),
        "multiple": str(network.architecture.multiple),
        "identity": network.identity().hex(),
        "provenance": json.dumps(network.provenance.to_json(), sort_keys=True),
    }
