"""The paper's figures of photographs, from our networks: 1 and 3 reconstructions, 4 the decoder's layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.batches import Pixels
from maxtunnel.data.images import to_float
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.canvas import RED, picture, style
from maxtunnel.paper.colours import gradient
from maxtunnel.paper.networks import LabelledNetwork

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def choose(photographs: Pixels, count: int, seed: int) -> UInt8[Tensor, "n 3 s s"]:
    """Photographs drawn by seed, never by hand; fewer where there are not so many."""
    order = torch.randperm(len(photographs), generator=torch.Generator().manual_seed(seed))
    return photographs[order[:count]]


def reconstructions(labelled: LabelledNetwork, photographs: UInt8[Tensor, "n 3 s s"]) -> "Figure":
    """Figure 1: originals above what one network rebuilds from their switches."""
    images = to_float(photographs)
    rows = [("original", images), _rebuilt_row(labelled, images)]
    return _grid(rows, f"Rebuilt from max-pooling switches alone by {labelled.label}")


def gallery(networks: Sequence[LabelledNetwork], photographs: UInt8[Tensor, "n 3 s s"]) -> "Figure":
    """Figure 3: the same images through every network, one row each, with a close-up at the right."""
    images = to_float(photographs)
    top, left, side = busiest(images[-1])
    rows = [("original", images), *(_rebuilt_row(labelled, images) for labelled in networks)]
    figure = _grid(
        [(label, torch.cat([shown, _close_up(shown[-1:], top, left, side)])) for label, shown in rows],
        "The same photographs from the switches of every network",
    )
    _frame_close_up(figure, len(images), images.shape[-1], (top, left, side))
    return figure


def layers(labelled: LabelledNetwork, photograph: UInt8[Tensor, "3 s s"], seed: int) -> "Figure":
    """Figure 4: one random channel of each layer of the paper's decoder, from the bias code to the image.

    Raises:
        ValueError: the network has a strong decoder, which has neither a bias code nor these layers.
    """
    from matplotlib.figure import Figure

    if labelled.decoder == "strong":
        raise ValueError(
            f"{labelled.name} has a strong decoder: Figure 4 shows the layers of the paper's, "
            "so take a network with that"
        )
    image = to_float(photograph)[None]
    planes = _one_channel_each(labelled.network, image, torch.Generator().manual_seed(seed))
    rebuilt = labelled.network.reconstruct(image)
    with style():
        columns = (len(planes) + 3) // 2
        figure = Figure(figsize=(1.55 * columns, 4.1))
        axes = list(figure.subplots(2, columns, squeeze=False).flat)
        cells = iter(axes)
        for name, plane in planes:
            _show_plane(next(cells), name, plane)
        for name, shown in (("reconstruction", rebuilt), ("original", image)):
            axis = next(cells)
            axis.imshow(picture(shown[0]))
            _title(axis, name, shown[0, 0])
        for axis in axes:
            axis.set(xticks=[], yticks=[])
        title = (
            f"From the bias code to the image: one random channel of each layer of the paper's decoder, "
            f"{labelled.label}"
        )
        figure.suptitle(title, fontsize=10)
        figure.tight_layout()
    return figure


def busiest(image: Float[Tensor, "3 h w"]) -> tuple[int, int, int]:
    """Top, left and side of the square, a third of the image's, with the strongest edges."""
    edges = gradient(image.mean(0, keepdim=True))
    side = max(1, min(edges.shape[-2:]) // 3)
    strength = torch.nn.functional.avg_pool2d(edges, side, stride=1)[0]
    top, left = divmod(int(strength.argmax()), strength.shape[-1])
    return top + 1, left + 1, side


def _rebuilt_row(
    labelled: LabelledNetwork, images: Float[Tensor, "n 3 h w"]
) -> tuple[str, Float[Tensor, "n 3 h w"]]:
    """What a network rebuilds, with its label, bits and error."""
    rebuilt = labelled.network.reconstruct(images)
    bits = labelled.network.architecture.bits_per_pixel((images.shape[-2], images.shape[-1]))
    error = float((rebuilt - images).square().mean().sqrt())
    lines = (
        labelled.label,
        labelled.kind,
        f"{bits:.4g} bits/pixel/channel",
        f"RMSE of these {len(images)}: {error:.3f}",
    )
    return "\n".join(lines), rebuilt


def _close_up(images: Float[Tensor, "1 3 h w"], top: int, left: int, side: int) -> Float[Tensor, "1 3 h w"]:
    cut = images[..., top : top + side, left : left + side]
    return torch.nn.functional.interpolate(cut, images.shape[-2:])


def _frame_close_up(figure: "Figure", images: int, side: int, square: tuple[int, int, int]) -> None:
    """Frame the square in the last photograph of every row, and the close-up beside it."""
    from matplotlib.patches import Rectangle

    top, left, length = square
    for row in range(len(figure.axes) // (images + 1)):
        last, close = figure.axes[row * (images + 1) + images - 1], figure.axes[row * (images + 1) + images]
        last.add_patch(Rectangle((left, top), length, length, fill=False, edgecolor=RED, lw=1))
        close.add_patch(Rectangle((0, 0), side - 1, side - 1, fill=False, edgecolor=RED, lw=1.6))
    figure.axes[images].set_title("close-up", fontsize=8, color=RED)


def _one_channel_each(
    network: TunnelNetwork, image: Float[Tensor, "1 3 h w"], generator: torch.Generator
) -> list[tuple[str, Float[Tensor, "_ _"]]]:
    """Name and a random channel of every decoder layer's output."""
    return [
        (name, x[0, int(torch.randint(x.shape[1], (), generator=generator))].detach().float())
        for name, x in network.activations(network.encode(image))
    ]


def _show_plane(axis: "Axes", name: str, plane: Float[Tensor, "h w"]) -> None:
    constant = float(plane.min()) == float(plane.max())
    # A constant would otherwise be drawn black.
    lowest, highest = (-1.0, float(plane.max())) if constant else (None, None)
    axis.imshow(plane.numpy(), cmap="gray", vmin=lowest, vmax=highest)
    _title(axis, name, plane)


def _title(axis: "Axes", name: str, plane: Float[Tensor, "h w"]) -> None:
    axis.set_title(f"{name}\n{plane.shape[1]}×{plane.shape[0]}", fontsize=8)


def _grid(rows: Sequence[tuple[str, Float[Tensor, "n 3 h w"]]], title: str) -> "Figure":
    """Rows of pictures with their labels at the left."""
    from matplotlib.figure import Figure

    with style():
        # Every cell one inch, and at the left as much as the longest line of words takes, at 0.065 a letter.
        longest = max(len(line) for label, _ in rows for line in label.split("\n"))
        words = max(1.5, 0.15 + 0.065 * longest)
        width, height = len(rows[0][1]) + words, len(rows) + 0.55
        figure = Figure(figsize=(width, height))
        for number, (label, images) in enumerate(rows):
            for column, image in enumerate(images):
                left, bottom = (words + column) / width, 1 - (1.36 + number) / height
                axis = figure.add_axes((left, bottom, 0.96 / width, 0.96 / height))
                axis.imshow(picture(image), interpolation="nearest")
                axis.axis("off")
                if column == 0:
                    axis.text(
                        -0.06, 0.5, label, transform=axis.transAxes, ha="right", va="center", fontsize=7.5
                    )
        figure.text(0.5, 1 - 0.12 / height, title, ha="center", va="top", fontsize=10)
    return figure
