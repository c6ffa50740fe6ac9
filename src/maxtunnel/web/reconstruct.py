"""The first tab: a photograph, or a switch file, and what a decoder makes of the switches alone."""

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
from maxtunnel.report.html import Html, element, facts, figure
from maxtunnel.report.pictures import heat, picture, png
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.web import markup
from maxtunnel.web.inputs import Limits, number
from maxtunnel.web.nearness import mean_rmse
from maxtunnel.web.networks import network
from maxtunnel.web.uploads import Upload, read_photograph, read_switches

_BYTES = "application/octet-stream"
MOST_ERROR = 0.5  # white in the error map; mean over the colour channels
EXPLANATION = """
**What you see.** The encoder passes the photograph through convolutions and max pooling. In every 2×2
window it notes only *where* the largest value was: a **switch**, two bits. The values are thrown away. The
decoder puts a learned constant at those places and paints the picture from that.

**The numbers.** RMSE is the root of the mean squared error with pixels from 0 to 1 (lower is better); that of
the mean image, which knows nothing of the photograph, stands beside it. PSNR and SSIM are higher for better
pictures. Bits are per pixel and colour channel: *nominal* counts two a switch, *stored* is the file that you
can download, coded without loss.
"""


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A photograph and what came back from its switches.

    Attributes:
        original: the photograph at the size that was computed on.
        picture: the reconstruction, clipped and rounded.
        error: mean absolute error over the colour channels, not clipped, of each pixel.
        rmse: of the unclipped output, values in [0, 1].
        mean_rmse: of the network's mean image, for comparison.
        psnr, ssim: of the clipped output, as in `evaluate`.
        nominal_bits, stored_bits: per pixel and colour channel.
        file: the switch file (.mxt).
    """

    original: UInt8[Tensor, "3 h w"]
    picture: UInt8[Tensor, "3 h w"]
    error: Float[Tensor, "h w"]
    rmse: float
    mean_rmse: float
    psnr: float
    ssim: float
    nominal_bits: float
    stored_bits: float
    file: bytes


@torch.no_grad()
def rebuild(network: TunnelNetwork, pixels: UInt8[Tensor, "3 h w"]) -> Rebuilt:
    """Encode a photograph to switches, decode these, and measure."""
    code = encode(network, pixels)
    image, output = to_float(pixels), torch.empty(pixels.shape)
    for rows, columns, part in decode_pieces(network, code):
        output[:, rows, columns] = part
    mse, psnr, ssim = measure(output[None], image[None])[:, 0].tolist()
    file = switch_file(code, network)
    return Rebuilt(
        original=pixels,
        picture=to_uint8(output),
        error=(output - image).abs().mean(0),
        rmse=math.sqrt(mse),
        mean_rmse=mean_rmse(network, image[None]),
        psnr=psnr,
        ssim=ssim,
        nominal_bits=code.nominal_bits_per_pixel,
        stored_bits=8 * len(file) / pixels.numel(),
        file=file,
    )


def switch_file(code: SwitchCode, network: TunnelNetwork) -> bytes:
    """The switches as a file; packed where there is no compiler: entropy coding would take seconds."""
    return dumps(code, network, "entropy" if is_fast() else "packed")


def show_rebuilt(rebuilt: Rebuilt, model: str, name: str) -> Html:
    """The slider, the error map, the numbers and the downloads."""
    height, width = rebuilt.original.shape[-2:]
    slider = figure(
        markup.compare(rebuilt.original, rebuilt.picture, "original", "reconstruction"),
        f"{name}, {width}×{height}, through {model}. Drag the line, or use the arrow keys.",
    )
    errors = figure(
        picture(heat(rebuilt.error, MOST_ERROR), "error map", "mt-soft"),
        f"Error of each pixel, mean over the colours: black is 0, white {MOST_ERROR:g} or more.",
    )
    stem = f"{Path(name).stem}-{model}"
    return element(
        "div",
        markup.row([slider, errors]),
        facts(_numbers(rebuilt)),
        markup.links(
            markup.download(png(rebuilt.picture), "image/png", f"{stem}.png", "Download the reconstruction"),
            markup.download(rebuilt.file, _BYTES, f"{stem}.mxt", "Download the switches (.mxt)"),
        ),
        class_="mt-result",
    )


def _numbers(rebuilt: Rebuilt) -> list[tuple[str, str, str]]:
    height, width = rebuilt.original.shape[-2:]
    share = rebuilt.stored_bits / rebuilt.nominal_bits
    return [
        ("RMSE", f"{rebuilt.rmse:.4f}", f"mean image {rebuilt.mean_rmse:.4f}"),
        ("PSNR", f"{rebuilt.psnr:.2f} dB", "higher is better"),
        ("SSIM", "–" if math.isnan(rebuilt.ssim) else f"{rebuilt.ssim:.3f}", "1 is perfect"),
        ("Bits, nominal", f"{rebuilt.nominal_bits:.4g}", "per pixel and channel"),
        ("Bits, stored", f"{rebuilt.stored_bits:.3f}", f"{share:.0%} of nominal"),
        ("Switch file", markup.size_of(rebuilt.file), f"for {width}×{height} pixels"),
    ]


def answer_photograph(upload: Upload | None, model: object, side: object, limits: Limits) -> Html:
    """The result for a photograph as HTML, or what is wrong with it."""
    if upload is None:
        return markup.hint("Drop a photograph, paste one, use the camera, or take a sample.")
    try:
        longest = int(number(side, 1, limits.max_side, "the longest side"))
        pixels = read_photograph(upload, limits, longest)
        return show_rebuilt(rebuild(network(model), pixels), str(model), upload.name)
    except (ValueError, MemoryError) as error:
        return markup.notice(error)


def answer_switches(upload: Upload, limits: Limits) -> Html:
    """The picture in a switch file as HTML, or what is wrong with the file."""
    try:
        model, code = read_switches(upload, limits)
        pixels = decode(network(model), code)
    except (ValueError, MemoryError) as error:
        return markup.notice(error)
    height, width = code.image_size
    bits = 8 * len(upload.data) / pixels.numel()
    shown = figure(
        picture(pixels, f"picture rebuilt from {upload.name}", "mt-decoded"),
        f"{upload.name}: {width}×{height} pixels, rebuilt by {model} from {markup.size_of(upload.data)} of "
        f"switches ({bits:.3f} bits per pixel and channel; {code.nominal_bits_per_pixel:.4g} nominal).",
    )
    link = markup.download(png(pixels), "image/png", f"{upload.stem}.png", "Download the reconstruction")
    return element("div", shown, markup.links(link), class_="mt-result")
