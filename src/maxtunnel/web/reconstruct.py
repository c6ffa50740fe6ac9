"""The first tab: a photograph, or a switch file, and what both decoders make of the switches alone."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maxtunnel.codec import dumps, is_fast
from maxtunnel.data.images import to_float, to_uint8
from maxtunnel.evaluation.metrics import measure
from maxtunnel.models.tiling import decode, decode_pieces, encode
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.paper.readings import DECODERS
from maxtunnel.report.html import Html, element, facts, figure, joined
from maxtunnel.report.pictures import heat, picture, png
from maxtunnel.support.choices import DecoderKind
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.web import markup
from maxtunnel.web.bounds import readers_of, side_for
from maxtunnel.web.inputs import Limits, number
from maxtunnel.web.nearness import mean_rmse
from maxtunnel.web.networks import network as find_network
from maxtunnel.web.networks import reader
from maxtunnel.web.uploads import Upload, read_photograph, read_switches

_BYTES = "application/octet-stream"
MOST_ERROR = 0.5  # white in the error map; mean over the colour channels
EXPLANATION = """
**What you see.** The encoder passes the photograph through convolutions and max pooling. In every 2×2
window it notes only *where* the largest value was: a **switch**, two bits. The values are thrown away. Two
decoders then paint the picture from the same switches. The paper's puts a learned constant at those places
and reads each level once, from the deepest to the finest. The strong one, which ships for some encoders,
reads all levels before it draws anything. What the paper's decoder fails to paint may be in the switches.

**The numbers.** RMSE is the root of the mean squared error with pixels from 0 to 1 (lower is better); that of
the mean image, which knows nothing of the photograph, stands beside it. PSNR and SSIM are higher for better
pictures. Bits are per pixel and colour channel: *nominal* counts two a switch, *stored* is the file that you
can download, coded without loss.
"""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a decoder made of the switches.

    Attributes:
        decoder: its kind.
        picture: the reconstruction, clipped and rounded.
        error: mean absolute error over the colour channels, not clipped, of each pixel.
        rmse: of the unclipped output, values in [0, 1].
        psnr, ssim: of the clipped output, as in `evaluate`.
    """

    decoder: DecoderKind
    picture: UInt8[Tensor, "3 h w"]
    error: Float[Tensor, "h w"]
    rmse: float
    psnr: float
    ssim: float


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A photograph and what came back from its switches.

    Attributes:
        original: the photograph at the size that was computed on.
        readings: what each decoder made of the switches, the paper's first; none where none was trained.
        mean_rmse: of the network's mean image, for comparison.
        nominal_bits, stored_bits: per pixel and colour channel.
        file: the switch file (.mxt).
    """

    original: UInt8[Tensor, "3 h w"]
    readings: tuple[Reading, ...]
    mean_rmse: float
    nominal_bits: float
    stored_bits: float
    file: bytes


def rebuild(
    network: TunnelNetwork, pixels: UInt8[Tensor, "3 h w"], strong: TunnelNetwork | None = None
) -> Rebuilt:
    """Encode a photograph to switches, decode these, and measure.

    Args:
        network: encodes, and decodes unless its decoder is untrained.
        pixels: the photograph.
        strong: a network with the same encoder that decodes the same switches too.
    """
    code = encode(network, pixels)
    file = switch_file(code, network)
    readers = [] if network.untrained else [network]
    if strong is not None:
        readers.append(strong)
    return Rebuilt(
        original=pixels,
        readings=tuple(read(each, code, pixels) for each in readers),
        mean_rmse=mean_rmse(network, to_float(pixels)[None]),
        nominal_bits=code.nominal_bits_per_pixel,
        stored_bits=8 * len(file) / pixels.numel(),
        file=file,
    )


@torch.no_grad()
def read(network: TunnelNetwork, code: SwitchCode, pixels: UInt8[Tensor, "3 h w"]) -> Reading:
    """Decode the switches of a photograph, and measure how near that comes to it."""
    image, output = to_float(pixels), torch.empty(pixels.shape)
    for rows, columns, part in decode_pieces(network, code):
        output[:, rows, columns] = part
    mse, psnr, ssim = measure(output[None], image[None])[:, 0].tolist()
    return Reading(
        decoder=network.decoder_kind,
        picture=to_uint8(output),
        error=(output - image).abs().mean(0),
        rmse=math.sqrt(mse),
        psnr=psnr,
        ssim=ssim,
    )


def switch_file(code: SwitchCode, network: TunnelNetwork) -> bytes:
    """The switches as a file; packed where there is no compiler: entropy coding would take seconds."""
    return dumps(code, network, "entropy" if is_fast() else "packed")


def show_rebuilt(rebuilt: Rebuilt, model: str, name: str, missing: str | None = None) -> Html:
    """For each decoder a slider and an error map; the numbers and the downloads.

    Args:
        rebuilt: what came back.
        model: the network that was chosen.
        name: of the photograph.
        missing: why there is not the reading of both decoders.
    """
    height, width = rebuilt.original.shape[-2:]
    sliders = [_slider(rebuilt.original, reading) for reading in rebuilt.readings]
    errors = [_error_map(reading) for reading in rebuilt.readings]
    # A decoder's pictures stand under each other, or beside each other if there is one decoder.
    rows = [sliders, errors] if len(sliders) > 1 else [sliders + errors]
    told = f"{name}, {width}×{height}, through {model}."
    told += " Drag a line, or use the arrow keys." if sliders else " Its switches can be downloaded."
    stem = f"{Path(name).stem}-{model}"
    return element(
        "div",
        *(markup.row(figures) for figures in rows),
        element("p", told, class_="mt-told"),
        "" if missing is None else element("p", f"{missing[0].upper()}{missing[1:]}.", class_="mt-told"),
        facts(_numbers(rebuilt)),
        markup.links(
            *(
                _link(reading.picture, _stem(stem, reading.decoder), reading.decoder)
                for reading in rebuilt.readings
            ),
            markup.download(rebuilt.file, _BYTES, f"{stem}.mxt", "Download the switches (.mxt)"),
        ),
        class_="mt-result",
    )


def _slider(original: UInt8[Tensor, "3 h w"], reading: Reading) -> Html:
    by = DECODERS[reading.decoder]
    caption = joined("Read by ", element("b", by), f": RMSE {reading.rmse:.4f}.")
    return figure(markup.compare(original, reading.picture, "original", by), caption)


def _error_map(reading: Reading) -> Html:
    return figure(
        picture(heat(reading.error, MOST_ERROR), "error map", "mt-soft"),
        f"Error of {DECODERS[reading.decoder]} at each pixel, mean over the colours: black is 0, white "
        f"{MOST_ERROR:g} or more.",
    )


def _stem(stem: str, decoder: DecoderKind) -> str:
    """The name of a picture, by the network that made it."""
    return stem if decoder == "mirrored" else f"{stem}-{decoder}"


def _link(pixels: UInt8[Tensor, "3 h w"], stem: str, decoder: DecoderKind) -> Html:
    text = f"Download the picture of {DECODERS[decoder]}"
    return markup.download(png(pixels), "image/png", f"{stem}.png", text)


def _numbers(rebuilt: Rebuilt) -> list[tuple[str, str, str]]:
    height, width = rebuilt.original.shape[-2:]
    share = rebuilt.stored_bits / rebuilt.nominal_bits
    numbers = []
    for reading in rebuilt.readings:
        by = DECODERS[reading.decoder].removeprefix("the ")
        ssim = "–" if math.isnan(reading.ssim) else f"{reading.ssim:.3f}"
        numbers += [
            (f"RMSE, {by}", f"{reading.rmse:.4f}", f"mean image {rebuilt.mean_rmse:.4f}"),
            (f"PSNR, {by}", f"{reading.psnr:.2f} dB", "higher is better"),
            (f"SSIM, {by}", ssim, "1 is perfect"),
        ]
    return [
        *numbers,
        ("Bits, nominal", f"{rebuilt.nominal_bits:.4g}", "per pixel and channel"),
        ("Bits, stored", f"{rebuilt.stored_bits:.3f}", f"{share:.0%} of nominal"),
        ("Switch file", markup.size_of(rebuilt.file), f"for {width}×{height} pixels"),
    ]


@markup.with_notices
def answer_photograph(upload: Upload | None, model: object, side: object, limits: Limits) -> Html:
    """The result for a photograph as HTML, or what is wrong with it."""
    if upload is None:
        return markup.hint("Drop a photograph, paste one, use the camera, or take a sample.")
    longest = int(number(side, 1, limits.max_side, "the longest side"))
    find_network(model)
    bound = side_for(str(model), limits.max_side)
    shown = show_photograph(model, read_photograph(upload, limits, min(longest, bound)), upload.name)
    if longest <= bound:
        return shown
    told = f"This page computes on up to {bound} pixels a side with {model}: larger ones take maxtunnel."
    return joined(shown, element("p", told, class_="mt-told"))


def show_photograph(model: object, pixels: UInt8[Tensor, "3 h w"], name: str) -> Html:
    """The result for a photograph as HTML, read by every decoder that the page gives its switches to."""
    net, chosen = find_network(model), str(model)
    kinds, missing = readers_of(chosen, (pixels.shape[-2], pixels.shape[-1]))
    strong = reader(model, "strong") if "strong" in kinds and net.decoder_kind != "strong" else None
    return show_rebuilt(rebuild(net, pixels, strong), chosen, name, missing)


@markup.with_notices
def answer_switches(upload: Upload, limits: Limits) -> Html:
    """The pictures in a switch file as HTML, or what is wrong with the file."""
    model, code = read_switches(upload, limits)
    kinds, _ = readers_of(model, code.image_size)
    pictures = {kind: decode(reader(model, kind), code) for kind in kinds}
    height, width = code.image_size
    bits = 8 * len(upload.data) / (3 * height * width)
    figures = (
        figure(
            picture(pixels, f"picture rebuilt from {upload.name}", "mt-decoded"),
            joined("Read by ", element("b", DECODERS[kind]), "."),
        )
        for kind, pixels in pictures.items()
    )
    told = (
        f"{upload.name}: {width}×{height} pixels, rebuilt by {model} from {markup.size_of(upload.data)} of "
        f"switches ({bits:.3f} bits per pixel and channel; {code.nominal_bits_per_pixel:.4g} nominal)."
    )
    links = (_link(pixels, _stem(upload.stem, kind), kind) for kind, pixels in pictures.items())
    return element(
        "div", markup.row(figures), element("p", told, class_="mt-told"), markup.links(*links),
        class_="mt-result",
    )  # fmt: skip
