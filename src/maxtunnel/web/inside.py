"""The third tab: the switches as pictures, the decoder layer by layer, the picture level by level."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.evaluation.metrics import rmse
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.report.html import Html, element, figure, joined
from maxtunnel.report.pictures import dots, picture
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.web import markup, triggers
from maxtunnel.web.bounds import STRONG_SIDE_INSIDE, side_for
from maxtunnel.web.inputs import Limits, number
from maxtunnel.web.nearness import beside_mean, explain, mean_picture, name_levels, nearness
from maxtunnel.web.networks import decoders_of, reader, without_decoder
from maxtunnel.web.networks import network as find_network
from maxtunnel.web.uploads import Upload, read_photograph

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
ABOUT_STRONG_LAYERS = (
    "The same channel number through the parts of the strong decoder; the brightest and the darkest "
    "hundredth of each are cut off. It has no constant: level 1 enters at down1, at half of the picture's "
    "size, level 2 at down2, and so on, until all levels are known at the smallest size. From there the way "
    "goes up again to the picture, with what was found on the way down."
)
ABOUT_LEVELS = (
    "A level that is left out is unpooled by repeating values, for which the decoder was never trained. "
)
ABOUT_STRONG_LEVELS = (
    "Of a level that is left out each cell of a window counts as a quarter of a maximum, for which the "
    "decoder was never trained. "
)
ABOUT_MEAN = "The mean image is what is painted when nothing is known of the photograph."


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


@markup.with_notices
def answer(upload: Upload | None, model: object, decoder: object, channel: object, limits: Limits) -> Html:
    """Everything that the tab shows, as HTML, or what is wrong."""
    if upload is None:
        return markup.hint("Choose a photograph at the top of the page to look inside.")
    net, chosen = find_network(model), str(model)
    trained = bool(decoders_of(chosen))
    if trained:
        net = reader(model, decoder)
    side = SIDE if net.decoder_kind == "mirrored" else STRONG_SIDE_INSIDE
    wanted = int(number(channel, 1, 10_000, "the channel")) - 1
    pixels = read_photograph(upload, limits, side_for(chosen, min(side, limits.max_side)))
    if trained:
        return show(net, pixels, wanted)
    code = net.encode(to_float(pixels)[None])
    told = f"No decoder is shown: {without_decoder(chosen)}."
    return joined(_show_code(net, code, wanted), element("p", told, class_="mt-told"))


def show(network: TunnelNetwork, pixels: UInt8[Tensor, "3 h w"], channel: int) -> Html:
    """Switches, decoder layers and levels of a photograph; `channel` counts from 0 and wraps round."""
    image = to_float(pixels)[None]
    code = network.encode(image)
    return joined(_show_code(network, code, channel), _show_decoder(network, code, image, channel))


def _show_code(network: TunnelNetwork, code: SwitchCode, channel: int) -> Html:
    """The switches, and what they say of photographs in general."""
    return joined(
        element("h3", "Switches, level by level"),
        element("p", ABOUT_SWITCHES),
        _legend(),
        markup.row(
            (_switches(level, place, channel) for place, level in enumerate(code.levels, 1)), "mt-exact"
        ),
        element("h3", "What a switch says"),
        element("p", triggers.ABOUT),
        triggers.show(network, channel),
    )


def _show_decoder(
    network: TunnelNetwork, code: SwitchCode, image: Float[Tensor, "1 3 h w"], channel: int
) -> Html:
    """The decoder's layers, and the picture from several sets of levels."""
    unknown = mean_picture(network, image)
    mean = rmse(unknown, image)
    decoded = from_levels(network, code)
    found = {levels: nearness(output, image) for levels, output in decoded}
    paper = network.decoder_kind == "mirrored"
    return joined(
        element("h3", "The decoder, layer by layer" if paper else "The strong decoder, part by part"),
        element("p", ABOUT_LAYERS if paper else ABOUT_STRONG_LAYERS),
        markup.row((_layer(name, x, channel) for name, x in network.activations(code)), "mt-exact"),
        element("h3", "From rough to fine"),
        element("p", (ABOUT_LEVELS if paper else ABOUT_STRONG_LEVELS) + ABOUT_MEAN),
        markup.row(
            [
                _rebuilt(unknown, "mean image", f"RMSE {mean:.3f}"),
                *(
                    _rebuilt(output, name_levels(levels), beside_mean(found[levels].rmse, mean))
                    for levels, output in decoded
                ),
            ],
            "mt-four",
        ),
        element("p", explain(found, mean), id="levels-told"),
    )


def _legend() -> Html:
    """Each code: its colour, and its cell in the window."""
    items = []
    for code, place in enumerate(PLACES):
        cells = (
            element("i", style=_background(code) if cell == code else None) for cell in range(len(PLACES))
        )
        window = element("span", *cells, class_="mt-window", aria_hidden="true")
        items.append(element("li", window, f"{code}: {place}"))
    return element("ul", *items, class_="mt-legend")


def _switches(level: SwitchLevel, place: int, channel: int) -> Html:
    """One channel of the level that has this place in call order, from 1, and how often each code comes."""
    channels, height, width = level.codes.shape[1:]
    mine = channel % channels
    found = shares(level, mine)
    bars = (
        element("i", style=f"flex:{share:.4f};{_background(code)}", title=f"{code}: {share:.0%}")
        for code, share in enumerate(found)
    )
    bits = level.entropy_bits / level.codes[0].numel()
    caption = joined(
        element("b", f"Level {place}"),
        f", channel {mine + 1} of {channels}, {width}×{height} switches",
        element("span", *bars, class_="mt-bars", aria_hidden="true"),
        f"codes 0 to 3: {', '.join(f'{share:.0%}' for share in found)}; "
        f"over all channels {bits:.2f} of 2 bits a switch",
    )
    return figure(dots(colour(level.codes[0, mine]), f"switches of level {place}", SIDE), caption)


def _layer(name: str, x: Float[Tensor, "1 c h w"], channel: int) -> Html:
    """One channel of a decoder layer's output."""
    mine = channel % x.shape[1]
    plane = x[0, mine]
    caption = joined(
        element("b", name),
        f", {plane.shape[1]}×{plane.shape[0]}",
        element("br"),
        f"channel {mine + 1} of {x.shape[1]}",
    )
    return figure(dots(grey(plane), f"channel of {name}", SIDE), caption)


def _rebuilt(output: Float[Tensor, "1 3 h w"], name: str, told: str) -> Html:
    """What was decoded, or stands in its place, and how near it came."""
    caption = joined(element("b", name), element("br"), told)
    return figure(picture(to_uint8(output[0]), name), caption)


def _background(code: int) -> str:
    return f"background:rgb{COLOURS[code]}"
