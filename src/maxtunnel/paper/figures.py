"""The paper's four figures, from our networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.batches import Pixels
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.colours import gradient
from maxtunnel.paper.table import Row
from maxtunnel.support.files import replacing

INK, FAINT, RED, BLUE = "#1a1a1a", "#666666", "#c0392b", "#2166ac"
_STYLE = {"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "pdf.fonttype": 42}


@dataclass(frozen=True, eq=False)
class Named:
    """A network, and the line that stands beside its pictures."""

    name: str
    network: TunnelNetwork

    @property
    def caption(self) -> str:
        """Name and encoder."""
        encoder = "pretrained" if self.name.endswith("-pretrained") else "random"
        return f"{self.network.architecture}\n{encoder} encoder"


def choose(photographs: Pixels, count: int, seed: int) -> UInt8[Tensor, "n 3 s s"]:
    """Photographs drawn by seed, never by hand; fewer where there are not so many."""
    order = torch.randperm(len(photographs), generator=torch.Generator().manual_seed(seed))
    return photographs[order[:count]]


def reconstructions(named: Named, photographs: UInt8[Tensor, "n 3 s s"]) -> Any:
    """Figure 1: originals above what one network rebuilds from their switches."""
    images = to_float(photographs)
    rebuilt = named.network.reconstruct(images)
    bits = named.network.architecture.bits_per_pixel((images.shape[-2], images.shape[-1]))
    rows = [
        ("original", images),
        (f"{named.caption}\n{bits:.4g} bits/pixel/channel\n{_errors(rebuilt, images)}", rebuilt),
    ]
    return _grid(rows, f"Rebuilt from max-pooling switches alone by {named.name}")


def gallery(networks: Sequence[Named], photographs: UInt8[Tensor, "n 3 s s"]) -> Any:
    """Figure 3: the same images through every network, one row each, with a close-up at the right."""
    images = to_float(photographs)
    top, left, side = busiest(images[-1])
    rows = [("original", images)]
    for named in networks:
        rebuilt = named.network.reconstruct(images)
        bits = named.network.architecture.bits_per_pixel((images.shape[-2], images.shape[-1]))
        rows.append((f"{named.caption}\n{bits:.4g} bits/pixel/channel\n{_errors(rebuilt, images)}", rebuilt))
    figure = _grid(
        [(label, torch.cat([shown, _close(shown[-1:], top, left, side)])) for label, shown in rows],
        "The same photographs from the switches of every network",
    )
    _frame_close_up(figure, len(images), images.shape[-1], (top, left, side))
    return figure


def layers(named: Named, photograph: UInt8[Tensor, "3 s s"], seed: int) -> Any:
    """Figure 4: one random channel of each decoder layer, from the bias code to the image."""
    network, generator = named.network, torch.Generator().manual_seed(seed)
    image = to_float(photograph)[None]
    shown = _one_channel_each(network, image, generator)
    rebuilt = network.reconstruct(image)
    plt = _pyplot()
    with plt.rc_context(_STYLE):
        columns = (len(shown) + 3) // 2
        figure, axes = plt.subplots(2, columns, figsize=(1.55 * columns, 4.1), squeeze=False)
        cells = iter(axes.flat)
        for (name, plane), axis in zip(shown, cells, strict=False):
            flat = float(plane.max()) == float(plane.min())
            # A constant would otherwise be drawn black.
            axis.imshow(
                plane.numpy(), cmap="gray", **({"vmin": -1, "vmax": float(plane.max())} if flat else {})
            )
            axis.set_title(f"{name}\n{plane.shape[1]}×{plane.shape[0]}", fontsize=8)
        for name, picture in (("reconstruction", rebuilt), ("original", image)):
            axis = next(cells)
            axis.imshow(_picture(picture[0]))
            axis.set_title(f"{name}\n{picture.shape[-1]}×{picture.shape[-2]}", fontsize=8)
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
        title = f"From the bias code to the image: one random channel of each decoder layer of {named.name}"
        figure.suptitle(title, fontsize=10)
        figure.tight_layout()
    return figure


def schematic(architecture: Architecture, size: int = 128) -> Any:
    """Figure 2: encoder and decoder as Table I has them; only switches cross from one to the other."""
    plt = _pyplot()
    blocks = len(architecture.widths)
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(3.0 + 2.3 * blocks, 3.9))
        place = _Place(axis, size, architecture)
        place.box("image", 3, size, "#dddddd")
        sides = []
        for block, width in enumerate(architecture.widths):
            for index in (1, 2):
                place.box(f"conv{block + 1}_{index}", width, size >> block, "#9ecae1")
            sides.append(
                (place.box(f"pool{block + 1}", width, size >> block + 1, "#4292c6"), size >> block + 1)
            )
        place.gap()
        place.box("bias code", architecture.widths[-1], size >> blocks, "#fdd49e")
        channels = [out for _, out in architecture.decoder_channels()]
        for step, block in enumerate(range(blocks, 0, -1)):
            end = place.box(f"unpool{block}", architecture.widths[block - 1], size >> block - 1, "#ef6548")
            place.switches(*sides[block - 1], end, size >> block - 1, block)
            for index in (0, 1):
                last = block == 1 and index == 1
                name = f"deconv{block}_{index + 1}" + (", image" if last else "")
                colour = "#dddddd" if last else "#fdbb84"
                place.box(name, channels[2 * step + index], size >> block - 1, colour)
        place.finish(
            f"{architecture}: the decoder gets the switches and a learned constant, and nothing else"
        )
    return figure


class _Place:
    """Puts boxes from left to right: as high as the plane, as wide as the logarithm of the filters."""

    def __init__(self, axis: Any, size: int, architecture: Architecture) -> None:
        self._axis, self._size, self._x = axis, size, 0.0
        self._blocks = len(architecture.widths)

    def _height(self, side: int) -> float:
        # Half the side is drawn at 0.72 of the height, or deep planes would vanish.
        return 2.0 * 0.72 ** round(torch.tensor(self._size / side).log2().item())

    def box(self, name: str, filters: int, side: int, colour: str) -> float:
        """Draw a layer; where its middle is."""
        height, width = self._height(side), 0.16 + 0.045 * float(torch.tensor(float(filters)).log2())
        self._axis.add_patch(
            _pyplot().Rectangle(
                (self._x, -height / 2), width, height, facecolor=colour, edgecolor=INK, lw=0.6
            )
        )
        middle = self._x + width / 2
        self._axis.text(middle, -height / 2 - 0.08, name, rotation=90, ha="center", va="top", fontsize=7)
        self._axis.text(middle, 0, f"{filters}·{side}²", rotation=90, ha="center", va="center", fontsize=6.5)
        self._x += width + 0.1
        return middle

    def gap(self) -> None:
        """Where no feature passes."""
        self._axis.plot([self._x + 0.2] * 2, [-0.8, 0.5], color=RED, ls="--", lw=1.2)
        self._axis.text(
            self._x + 0.2, -0.86, "no feature\npasses", color=RED, ha="center", va="top", fontsize=7.5
        )
        self._x += 0.5

    def switches(self, start: float, from_side: int, end: float, to_side: int, level: int) -> None:
        """The way of a level's switches, above everything."""

        top = 1.2 + 0.26 * (self._blocks - level)
        path = [
            (start, self._height(from_side) / 2),
            (start, top),
            (end, top),
            (end, self._height(to_side) / 2),
        ]
        self._axis.plot(*zip(*path[:3], strict=True), color=BLUE, lw=1.4)
        self._axis.annotate(
            "", xy=path[3], xytext=path[2], arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 1.4}
        )
        self._axis.text(
            (start + end) / 2, top + 0.03, f"switches {level}", color=BLUE, ha="center", fontsize=7.5
        )

    def finish(self, title: str) -> None:
        self._axis.set_xlim(-0.1, self._x)
        self._axis.set_ylim(-1.75, 1.3 + 0.28 * self._blocks)
        self._axis.axis("off")
        self._axis.set_title(title, fontsize=10)
        self._axis.figure.tight_layout()


class Mark(NamedTuple):
    """A network in the plot of RMSE against bits: `series` is `random`, `paper, pretrained`, and so on."""

    series: str
    row: Row
    rmse: float


def curve(marks: Sequence[Mark]) -> Any:
    """RMSE against bits per pixel; our random networks by name, the others by their signs."""
    looks = {"random": ("o", INK), "pretrained": ("s", BLUE), "paper, random": ("o", "#aaaaaa")}
    looks |= {"paper, pretrained": ("s", "#9ecae1"), "snapshot, random": ("x", RED)}
    looks |= {"snapshot, pretrained": ("+", RED)}
    plt = _pyplot()
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4.2))
        for place, (series, (sign, colour)) in enumerate(looks.items()):
            # A little apart, or equal bits would hide one mark behind another.
            aside = 2 ** (0.07 * (place - 2.5))
            mine = [mark for mark in marks if mark.series == series]
            places = [mark.row.bits_per_pixel * aside for mark in mine]
            if mine:
                whose = series if "," in series else f"ours, {series}"
                axis.plot(places, [mark.rmse for mark in mine], sign, color=colour, label=whose, ms=5)
            if series == "random":
                _name(axis, mine, places)
        axis.set_title("Fewer switches, less of the picture: every network of Table II", fontsize=10)
        axis.set_xscale("log", base=2)
        axis.set_xlim(1.1, 19)
        axis.set_xticks([1.75, 3.5, 7, 14], ["1.75", "3.5", "7", "14"])
        axis.set_xlabel("bits of switches per pixel and colour channel (nominal)")
        axis.set_ylabel("RMSE, pixels in [0, 1]")
        axis.set_ylim(bottom=0.05)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
        figure.tight_layout()
    return figure


def _name(axis: Any, marks: Sequence[Mark], places: Sequence[float]) -> None:
    """Names at the left of marks; of two with equal bits the upper one's above, the lower one's below."""
    for mark, place in zip(marks, places, strict=True):
        above = mark.rmse == max(m.rmse for m in marks if m.row.bits_per_pixel == mark.row.bits_per_pixel)
        axis.annotate(
            mark.row.name, (place, mark.rmse), (-6, 1 if above else -1), textcoords="offset points",
            fontsize=7, ha="right", va="bottom" if above else "top",
        )  # fmt: skip


def save(figure: Any, stem: Path) -> tuple[Path, Path]:
    """Write `stem`.png and `stem`.pdf."""
    paths = stem.with_suffix(".png"), stem.with_suffix(".pdf")
    for path in paths:
        # No date and no machine in the file: the same figure is the same bytes.
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=160, bbox_inches="tight", metadata=metadata)
    _pyplot().close(figure)
    return paths


def busiest(image: Float[Tensor, "3 h w"]) -> tuple[int, int, int]:
    """Top, left and side of the square, a third of the image's, with the strongest edges."""
    edges = gradient(image.mean(0, keepdim=True))
    side = max(1, min(edges.shape[-2:]) // 3)
    strength = torch.nn.functional.avg_pool2d(edges, side, stride=1)[0]
    top, left = divmod(int(strength.argmax()), strength.shape[-1])
    return top + 1, left + 1, side


def _close(images: Float[Tensor, "1 3 h w"], top: int, left: int, side: int) -> Float[Tensor, "1 3 h w"]:
    cut = images[..., top : top + side, left : left + side]
    return torch.nn.functional.interpolate(cut, images.shape[-2:])


def _frame_close_up(figure: Any, images: int, side: int, square: tuple[int, int, int]) -> None:
    top, left, length = square
    rectangle = _pyplot().Rectangle
    for row in range(len(figure.axes) // (images + 1)):
        where, close = figure.axes[row * (images + 1) + images - 1], figure.axes[row * (images + 1) + images]
        where.add_patch(rectangle((left, top), length, length, fill=False, edgecolor=RED, lw=1))
        close.add_patch(rectangle((0, 0), side - 1, side - 1, fill=False, edgecolor=RED, lw=1.6))
    figure.axes[images].set_title("close-up", fontsize=8, color=RED)


def _one_channel_each(
    network: TunnelNetwork, image: Float[Tensor, "1 3 h w"], generator: torch.Generator
) -> list[tuple[str, Float[Tensor, "_ _"]]]:
    """Name and a random channel of every decoder layer's output."""
    return [
        (name, x[0, int(torch.randint(x.shape[1], (), generator=generator))].float())
        for name, x in network.activations(network.encode(image))
    ]


def _grid(rows: Sequence[tuple[str, Float[Tensor, "n 3 h w"]]], title: str) -> Any:
    plt = _pyplot()
    columns = len(rows[0][1])
    with plt.rc_context(_STYLE):
        # Every cell one inch, and an inch and a half for the words at the left.
        width, height = columns + 1.5, len(rows) + 0.55
        figure = plt.figure(figsize=(width, height))
        for number, (label, images) in enumerate(rows):
            for column, image in enumerate(images):
                left, bottom = (1.5 + column) / width, 1 - (1.36 + number) / height
                axis = figure.add_axes((left, bottom, 0.96 / width, 0.96 / height))
                axis.imshow(_picture(image), interpolation="nearest")
                axis.axis("off")
                if column == 0:
                    axis.text(
                        -0.06, 0.5, label, transform=axis.transAxes, ha="right", va="center", fontsize=7.5
                    )
        figure.text(0.5, 1 - 0.12 / height, title, ha="center", va="top", fontsize=10)
    return figure


def _picture(image: Float[Tensor, "3 h w"]) -> Any:
    return to_uint8(image).permute(1, 2, 0).cpu().numpy()


def _errors(rebuilt: Tensor, images: Tensor) -> str:
    return f"RMSE of these {len(images)}: {float((rebuilt - images).square().mean().sqrt()):.3f}"


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
