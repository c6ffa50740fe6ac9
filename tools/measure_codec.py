"""What switches cost: the tables and the plot of docs/codec.md.

python tools/measure_codec.py STORE 8-8-8 16-16-16 24-48-96 --plot docs/images/codec.png
"""

import argparse
import io
import lzma
import math
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image, ImageDraw
from scipy.special import gammaln
from torch import Tensor

from maxtunnel.codec import dumps, read_header, stored_bits
from maxtunnel.data import read_photographs
from maxtunnel.data.images import to_float
from maxtunnel.evaluation.intervals import bootstrap
from maxtunnel.evaluation.metrics import rmse
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.report.sheet import FAINT, INK, PAPER, font
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.zoo.names import load


def neighbours_bits(codes: np.ndarray) -> float:
    """Bits of (c, h, w) codes by adaptive counts of what follows each pair of left and upper neighbours.

    Of each channel for itself, starting from 1/2 a code (Krichevsky and Trofimov); the sum depends on the
    final counts alone.
    """
    left = np.pad(codes, ((0, 0), (0, 0), (1, 0)))[:, :, :-1].astype(np.int64)
    upper = np.pad(codes, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    channel = np.arange(len(codes))[:, None, None]
    counts = np.bincount((((channel * 4 + left) * 4 + upper) * 4 + codes).ravel(), minlength=len(codes) * 64)
    counts = counts.reshape(-1, 4)
    logs = gammaln(2) - gammaln(counts.sum(1) + 2) + (gammaln(counts + 0.5) - gammaln(0.5)).sum(1)
    return float(-logs.sum() / math.log(2))


def costs(code: SwitchCode, network: TunnelNetwork, pixels: Tensor) -> dict[str, float]:
    """Bits of one image in every way."""
    arrays = [level.codes[0].contiguous().numpy() for level in code.levels]
    raw = b"".join(array.tobytes() for array in arrays)
    packed = dumps(code, network, "packed")[read_header(dumps(code, network, "packed")).length :]
    zstd = pa.Codec("zstd", compression_level=19)
    return {
        "zero-order entropy, tables given": code.entropy_bits,
        "left and upper neighbours, adaptive": sum(map(neighbours_bits, arrays)),
        "zlib -9": 8 * min(len(zlib.compress(data, 9)) for data in (raw, packed)),
        "lzma": 8 * min(len(lzma.compress(data, preset=9)) for data in (raw, packed)),
        "zstd -19": 8 * min(len(zstd.compress(data, asbytes=True)) for data in (raw, packed)),
        "`packed` file": float(stored_bits(code, network, "packed")),
        "`entropy` file, no prior": float(stored_bits(code)),
        "**`entropy` file**": float(stored_bits(code, network)),
        "lossless WebP of the image": 8 * len(picture_bytes(pixels, format="WEBP", lossless=True, method=6)),
    }


def picture_bytes(pixels: Tensor, **how: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(stream, **how)
    return stream.getvalue()


def table(name: str, photographs: Tensor) -> tuple[float, float]:
    """Print the table of a network; its nominal and stored bits per pixel and channel."""
    network = load(name)
    code = network.encode(to_float(photographs))
    rows = [costs(code[i], network, photographs[i]) for i in range(len(code))]
    values = 3 * math.prod(code.image_size)
    print(
        f"\n### {name}\n\n| bits per pixel and channel | mean | 95 % interval | of nominal |\n"
        "|---|---|---|---|"
    )
    print(f"| nominal | {code.nominal_bits_per_pixel:.4g} | | 100 % |")
    for row in rows[0]:
        bits = torch.tensor([costs_[row] for costs_ in rows], dtype=torch.float64)
        low, high = (end / values for end in bootstrap(bits))
        share = float(bits.mean()) / code.nominal_bits
        print(f"| {row} | {float(bits.mean()) / values:.3f} | {low:.3f}–{high:.3f} | {share:.1%} |")
    data = dumps(code, network)
    print(
        f"| one `entropy` file of all {len(code)} | {8 * len(data) / len(code) / values:.3f} | | "
        f"{8 * len(data) / len(code) / code.nominal_bits:.1%} |"
    )
    parts = read_header(data).parts
    levels = ", ".join(f"{8 * part.length / part.codes / len(code):.3f}" for part in parts)
    print(f"\nBits a switch in levels 1, 2, ... of that file: {levels}.")
    images = to_float(photographs)
    for kept in ([3, 2, 1], [3, 2], [3]):
        print(f"RMSE from levels {kept}: {rmse(network.decode(code, kept), images):.4f}")
    mean = network.mean_at(code.image_size).expand_as(images)
    print(f"RMSE of the network's mean image: {rmse(mean, images):.4f}")
    stored = float(torch.tensor([row["**`entropy` file**"] for row in rows]).mean()) / values
    return code.nominal_bits_per_pixel, stored


def curve(photographs: Tensor, format: str) -> list[tuple[float, float]]:
    """(bits per pixel and channel, RMSE) of an image codec at many qualities."""
    points = []
    for quality in (5, 10, 20, 35, 50, 70, 80, 90, 95):
        data = [picture_bytes(image, format=format, quality=quality) for image in photographs]
        back = np.stack([np.asarray(Image.open(io.BytesIO(d)).convert("RGB")) for d in data])
        error = rmse(to_float(torch.from_numpy(back).permute(0, 3, 1, 2)), to_float(photographs))
        points.append((8 * sum(map(len, data)) / photographs.numel(), error))
    return points


def plot(path: Path, networks: dict[str, tuple[float, float, float]], photographs: Tensor) -> None:
    """RMSE against bits: networks at their nominal and their stored bits, JPEG and WebP as curves."""
    width, height, left, bottom = 900, 560, 90, 70
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)

    def at(bits: float, error: float) -> tuple[float, float]:
        x = left + (math.log2(bits) - math.log2(0.125)) / math.log2(8 / 0.125) * (width - left - 30)
        return x, height - bottom - error / 0.16 * (height - bottom - 30)

    for bits in (0.125, 0.25, 0.5, 1, 2, 4, 8):
        draw.line([at(bits, 0), at(bits, 0.16)], "#e4e4e4")
        draw.text((at(bits, 0)[0], height - bottom + 8), f"{bits:g}", FAINT, font(16), anchor="mt")
    for error in (0, 0.04, 0.08, 0.12, 0.16):
        draw.line([at(0.125, error), at(8, error)], "#e4e4e4")
        draw.text((left - 10, at(1, error)[1]), f"{error:g}", FAINT, font(16), anchor="rm")
    draw.text((left, height - 12), "bits per pixel and colour channel", INK, font(18), anchor="ls")
    draw.text((left - 60, 22), "RMSE", INK, font(18), anchor="ls")
    for format, colour in (("JPEG", "#b3541e"), ("WEBP", "#2a6f97")):
        points = curve(photographs, format)
        print(f"\n{format}: " + ", ".join(f"{bits:.3f} bits {error:.4f}" for bits, error in points))
        draw.line([at(*point) for point in points if point[0] >= 0.125], colour, 3)
        draw.text(
            (at(*points[0])[0] + 6, at(*points[0])[1] - 12), format.replace("WEBP", "WebP"), colour, font(18)
        )
    for name, (nominal, stored, error) in networks.items():
        (x, y), (x2, _) = at(stored, error), at(nominal, error)
        draw.line([(x, y), (x2, y)], FAINT, 2)
        draw.ellipse([x - 7, y - 7, x + 7, y + 7], INK)
        draw.ellipse([x2 - 7, y - 7, x2 + 7, y + 7], PAPER, INK, 2)
        draw.text((x - 6, y - 14), name, INK, font(18), anchor="ls")
    picture.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    pixels = read_photographs(arguments.data, 128).pixels
    drawn = np.sort(np.random.default_rng(0).permutation(len(pixels))[: arguments.images])
    photographs = torch.stack([pixels[int(i) : int(i) + 1][0] for i in drawn])
    points = {}
    for name in arguments.models:
        nominal, stored = table(name, photographs)
        error = rmse(load(name).reconstruct(to_float(photographs)), to_float(photographs))
        points[name] = nominal, stored, error
    if arguments.plot is not None:
        plot(arguments.plot, points, photographs)


if __name__ == "__main__":
    main()
