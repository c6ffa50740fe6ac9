"""The third tab: the switches as pictures, the decoder layer by layer, the picture level by level."""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.evaluation.metrics import rmse
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.web import markup
from maxtunnel.web.inputs import Limits, Upload, network, number, read_photograph

SIDE = 256  # longest side
# Apart in lightness too, and for those who see colours differently (Okabe and Ito).
COLOURS = ((0, 73, 124), (230, 159, 0), (0, 158, 115), (240, 228, 66))
PLACES = ("top left", "top right", "bottom left", "bottom right")
ABOUT_SWITCHES = (
    "One channel of each level, every switch a coloured dot: the colour says which of the four cells of its "
    "window held the largest value. Where all four are zero after the ReLU, the first one wins: large areas "
    "of one colour. A switch has room for two bits; the less evenly the colours come, the fewer it needs."
)
ABOUT_LAYERS = (
    "The same channel number through the decoder's layers, from the learned constant to the picture, as in "
    "Figure 4 of the paper; the brightest and the darkest hundredth of each are cut off. Unpooling puts "
    "values at the switches' places, the convolutions after it fill the gaps."
)
ABOUT_LEVELS = (
    "A level that is left out is unpooled by repeating values, for which the decoder was never trained. "
    "The deepest levels alone give next to nothing: most of the picture travels through the finest one."
)


def colour(codes: UInt8[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    """Codes of a 2x2 window as colours, a pixel each."""
    return torch.tensor(COLOURS, dtype=torch.uint8)[codes.long()].permute(2, 0, 1)


def shares(level: SwitchLevel, channel: int) -> list[float]:
    """How often each code comes in a channel of the first image."""
    counts = torch.bincount(level.codes[0, channel].flatten().long(), minlength=level.window.cells)
    return (counts / counts.sum()).tolist()


def grey(plane: Float[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    """A layer from black to white, a hundredth of it beyond either end; a constant is mid-grey."""
    ends = torch.quantile(plane.float(), torch.tensor([0.01, 0.99]))
    low, high = ends.tolist() if ends[1] > ends[0] else (float(plane.min()), float(plane.max()))
    scaled = (plane.float() - low) / (high - low) if high > low else torch.full_like(plane.float(), 0.5)
    return to_uint8(scaled.expand(3, *plane.shape))


def from_levels(network: TunnelNetwork, code: SwitchCode) -> list[tuple[tuple[int, ...], Tensor]]:
    """Decoded from the deepest level alone, with the next ones one by one, and from the finest alone."""
    count = len(code.levels)
    sets = [tuple(range(level, count + 1)) for level in range(count, 0, -1)]
    sets += [(1,)] if count > 1 else []
    return [(levels, network.decode(code, levels)) for levels in sets]


def answer(upload: Upload | None, model: Any, channel: Any, limits: Limits) -> str:
    """Everything that the tab shows, as HTML, or what is wrong."""
    if upload is None:
        return markup.hint("Choose a photograph at the top of the page to look inside.")
    try:
        net = network(model)
        wanted = int(number(channel, 1, 10_000, "the channel")) - 1
        return show(net, read_photograph(upload, limits, min(SIDE, limits.side)), wanted)
    except (ValueError, MemoryError) as error:
        return markup.notice(error)


def show(network: TunnelNetwork, pixels: UInt8[Tensor, "3 h w"], channel: int) -> str:
    """Switches, decoder layers and levels of a photograph; `channel` counts from 0 and wraps round."""
    image = to_float(pixels)[None]
    code = network.encode(image)
    return (
        f"<h3>Switches, level by level</h3><p>{ABOUT_SWITCHES}</p>{_legend()}{_switches(code, channel)}"
        f"<h3>The decoder, layer by layer</h3><p>{ABOUT_LAYERS}</p>{_layers(network, code, channel)}"
        f"<h3>From rough to fine</h3><p>{ABOUT_LEVELS}</p>{_levels(network, code, image)}"
    )


def _legend() -> str:
    """Each code: its colour, and its cell in the window."""
    parts = []
    for code, place in enumerate(PLACES):
        cells = "".join(
            f'<i style="background:rgb{COLOURS[code]}"></i>' if cell == code else "<i></i>"
            for cell in range(4)
        )
        parts.append(f'<li><span class="mt-window" aria-hidden="true">{cells}</span>{code}: {place}</li>')
    return f'<ul class="mt-legend">{"".join(parts)}</ul>'


def _switches(code: SwitchCode, channel: int) -> str:
    figures = []
    for number_, level in enumerate(code.levels, 1):
        channels, height, width = level.codes.shape[1:]
        mine = channel % channels
        found = shares(level, mine)
        bars = "".join(
            f'<i style="flex:{share:.4f};background:rgb{COLOURS[code_]}" title="{code_}: {share:.0%}"></i>'
            for code_, share in enumerate(found)
        )
        bits = level.entropy_bits / level.codes[0].numel()
        caption = (
            f"<b>Level {number_}</b>, channel {mine + 1} of {channels}, {width}×{height} switches"
            f'<span class="mt-bars" aria-hidden="true">{bars}</span>'
            f"codes 0 to 3: {', '.join(f'{share:.0%}' for share in found)}; "
            f"over all channels {bits:.2f} of 2 bits a switch"
        )
        drawn = markup.picture(colour(level.codes[0, mine]), f"switches of level {number_}", "mt-pixels")
        figures.append(markup.figure(drawn, caption))
    return markup.row(figures, "mt-three")


def _layers(network: TunnelNetwork, code: SwitchCode, channel: int) -> str:
    figures = []
    for name, x in network.activations(code):
        mine = channel % x.shape[1]
        plane = x[0, mine]
        size = f"channel {mine + 1} of {x.shape[1]}"
        image = markup.picture(grey(plane), f"channel of {name}", "mt-pixels")
        figures.append(markup.figure(image, f"<b>{name}</b>, {plane.shape[1]}×{plane.shape[0]}<br>{size}"))
    return markup.row(figures, "mt-small")


def _levels(network: TunnelNetwork, code: SwitchCode, image: Float[Tensor, "1 3 h w"]) -> str:
    figures = []
    for levels, output in from_levels(network, code):
        named = (
            f"levels {', '.join(map(str, reversed(levels)))}"
            if len(levels) > 1
            else f"level {levels[0]} alone"
        )
        drawn = markup.picture(to_uint8(output[0]), f"decoded from {named}")
        figures.append(markup.figure(drawn, f"<b>{named}</b><br>RMSE {rmse(output, image):.3f}"))
    return markup.row(figures, "mt-four")
