"""In the third tab: what the switches of a channel say, of photographs in general."""

import math
from functools import lru_cache

import torch
from torch.nn import functional as F

from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.evaluation.triggers import Triggers, find_triggers, paint
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.report.html import Html, element, figure, joined
from maxtunnel.report.pictures import dots, strip
from maxtunnel.web import markup

ABOUT = (
    "Around every window in which one cell held the largest value, the mean of the package's photographs, "
    "less the mean around all windows: what may be known of the picture from that switch alone. Mid-grey "
    "says nothing. Where all four cells are zero the first one wins, so its patch also shows what the "
    "channel is blind to."
)
_SIDE = 60  # pixels of the page for a patch, at most: four fit a telephone
_MOST_BYTES = (
    2**25
)  # of the patches of a level; the shipped networks' take up to 9 MB, VGG16's 400 at level 5


def show(network: TunnelNetwork, channel: int) -> Html:
    """The patches of one channel of each level; `channel` counts from 0 and wraps round.

    Levels whose patches would take much memory are named, and left out.
    """
    sizes = {level: _bytes(network, level) for level in range(1, len(network.architecture.widths) + 1)}
    shown = [level for level, size in sizes.items() if size <= _MOST_BYTES]
    row = markup.row((_level(_found(network, level), channel) for level in shown), "mt-exact")
    left = [f"level {level} ({size / 10**6:.0f} MB)" for level, size in sizes.items() if level not in shown]
    told = f"Left out, as the patches of all channels take too much memory here: {', '.join(left)}."
    return joined(row, element("p", told, class_="mt-told")) if left else row


def _bytes(network: TunnelNetwork, level: int) -> int:
    """Of the patches of a level: of each channel and cell RGB in float32, four windows wide."""
    return network.architecture.widths[level - 1] * 4 * 3 * (4 * 2**level) ** 2 * 4


@lru_cache(maxsize=128)
def _found(network: TunnelNetwork, level: int) -> Triggers:
    """Of a network on this page, of which there are a few."""
    return find_triggers(network, to_float(torch.stack([*demo_photographs().values()])), level)


def _level(found: Triggers, channel: int) -> Html:
    mine = channel % len(found.patches)
    patches = paint(found, mine)
    side = patches.shape[-1]
    # Small patches get whole pixels of the page for each of theirs, large ones are averaged.
    small = side <= _SIDE
    shown = _SIDE // side * side if small else _SIDE
    pictures = strip(to_uint8(F.interpolate(patches, shown, mode="nearest" if small else "area")))
    colour = float(found.colourfulness[mine])
    told = "" if math.isnan(colour) else f", {colour:.0%} of their energy in colour"
    caption = joined(
        element("b", f"Level {found.level}"), f", channel {mine + 1}, {side}×{side} pixels a patch{told}"
    )
    name = f"what the four switches of level {found.level} say"
    return figure(dots(pictures, name, pictures.shape[-1]), caption)
