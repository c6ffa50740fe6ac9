"""Figure 2: encoder and decoder as Table I has them; only switches cross from one to the other."""

import math
from typing import TYPE_CHECKING

from maxtunnel.models.architecture import Architecture
from maxtunnel.paper.canvas import BLUE, INK, RED, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_IMAGE, _CONV, _POOL, _BIAS, _UNPOOL, _DECONV = (
    "#dddddd",
    "#9ecae1",
    "#4292c6",
    "#fdd49e",
    "#ef6548",
    "#fdbb84",
)


def schematic(architecture: Architecture, size: int = 128) -> "Figure":
    """Draw an architecture's layers, and the way of its switches, for images of `size` x `size` pixels.

    They are padded, as by the network, to a size that can be halved in every block.
    """
    from matplotlib.figure import Figure

    size, _ = architecture.padded_size((size, size))
    with style():
        boxes = sum(architecture.layers) + len(architecture.widths)
        figure = Figure(figsize=(3.0 + 2.3 * boxes / 3, 3.9))
        drawing = _Schematic(figure.subplots(), size, architecture)
        pools = drawing.encoder()
        drawing.gap()
        drawing.decoder(pools)
        drawing.finish(
            f"{architecture}: the decoder gets the switches and a learned constant, and nothing else"
        )
        figure.tight_layout()
    return figure


class _Schematic:
    """Puts boxes from left to right: as high as the plane, as wide as the logarithm of the filters."""

    def __init__(self, axis: "Axes", size: int, architecture: Architecture) -> None:
        self._axis, self._size, self._x = axis, size, 0.0
        self._widths = architecture.widths
        self._encoder, self._decoder = architecture.encoder_channels(), architecture.decoder_channels()

    def encoder(self) -> list[float]:
        """Draw the image and the encoder; where the middles of its poolings are, finest first."""
        self._box("image", 3, self._size, _IMAGE)
        pools = []
        for block, width in enumerate(self._widths):
            for index, (_, filters) in enumerate(self._encoder[block], 1):
                self._box(f"conv{block + 1}_{index}", filters, self._size >> block, _CONV)
            pools.append(self._box(f"pool{block + 1}", width, self._size >> block + 1, _POOL))
        return pools

    def gap(self) -> None:
        """Draw where no feature passes."""
        self._axis.plot([self._x + 0.2] * 2, [-0.8, 0.5], color=RED, ls="--", lw=1.2)
        self._axis.text(
            self._x + 0.2, -0.86, "no feature\npasses", color=RED, ha="center", va="top", fontsize=7.5
        )
        self._x += 0.5

    def decoder(self, pools: list[float]) -> None:
        """Draw the decoder, and the way of the switches from each pooling to its unpooling."""
        blocks = len(self._widths)
        self._box("bias code", self._widths[-1], self._size >> blocks, _BIAS)
        for block, channels in zip(range(blocks, 0, -1), self._decoder, strict=True):
            side = self._size >> block - 1
            unpool = self._box(f"unpool{block}", self._widths[block - 1], side, _UNPOOL)
            self._switches(pools[block - 1], unpool, block)
            for index, (_, filters) in enumerate(channels, 1):
                last = (block, index) == (1, len(channels))
                name = f"deconv{block}_{index}" + (", image" if last else "")
                self._box(name, filters, side, _IMAGE if last else _DECONV)

    def finish(self, title: str) -> None:
        """Fit the axis to what was drawn."""
        self._axis.set_xlim(-0.1, self._x)
        self._axis.set_ylim(-1.75, 1.3 + 0.28 * len(self._widths))
        self._axis.axis("off")
        self._axis.set_title(title, fontsize=10)

    def _box(self, name: str, filters: int, side: int, colour: str) -> float:
        """Draw a layer; where its middle is."""
        from matplotlib.patches import Rectangle

        height, width = self._height(side), 0.16 + 0.045 * math.log2(filters)
        self._axis.add_patch(
            Rectangle((self._x, -height / 2), width, height, facecolor=colour, edgecolor=INK, lw=0.6)
        )
        middle = self._x + width / 2
        self._axis.text(middle, -height / 2 - 0.08, name, rotation=90, ha="center", va="top", fontsize=7)
        self._axis.text(middle, 0, f"{filters}·{side}²", rotation=90, ha="center", va="center", fontsize=6.5)
        self._x += width + 0.1
        return middle

    def _switches(self, pool: float, unpool: float, level: int) -> None:
        """Draw the way of a level's switches, above everything."""
        top = 1.2 + 0.26 * (len(self._widths) - level)
        start, end = self._height(self._size >> level) / 2, self._height(self._size >> level - 1) / 2
        self._axis.plot([pool, pool, unpool], [start, top, top], color=BLUE, lw=1.4)
        self._axis.annotate(
            "",
            xy=(unpool, end),
            xytext=(unpool, top),
            arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 1.4},
        )
        self._axis.text(
            (pool + unpool) / 2, top + 0.03, f"switches {level}", color=BLUE, ha="center", fontsize=7.5
        )

    def _height(self, side: int) -> float:
        # Half the side is drawn at 0.72 of the height, or deep planes would vanish.
        return 2.0 * 0.72 ** round(math.log2(self._size / side))
