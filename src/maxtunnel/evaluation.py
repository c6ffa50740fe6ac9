"""How close a reconstruction comes: RMSE as the paper counts it, PSNR, SSIM, bits, and intervals."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from maxtunnel.codec import is_fast, stored_bits
from maxtunnel.dataset import MappedPixels, read_photographs
from maxtunnel.files import replacing
from maxtunnel.images import Resize, to_float
from maxtunnel.network import TunnelNetwork
from maxtunnel.progress import OnProgress, counter, silent
from maxtunnel.switches import SwitchCode
from maxtunnel.zoo import load, read_mean

Interval = tuple[float, float]
_WINDOW = 11  # pixels a side, of SSIM


@dataclass(frozen=True)
class Evaluation:
    """What a network reached on a set of photographs.

    Attributes:
        rmse: sqrt of the mean squared error over all images, channels and pixels, values in [0, 1], the
            output not clipped (Table II).
        rmse_ci95: bootstrap interval over images, 2,000 draws from seed 0; so are the others.
        psnr: mean over images of the peak signal-to-noise ratio in dB of the clipped output, at most 100.
        ssim: mean over images of the structural similarity of the clipped output (11x11 Gaussian window,
            sigma 1.5, as in Wang et al. 2004).
        bits_per_pixel: per pixel and colour channel: `nominal` counts 2 bits a switch, `entropy` the
            zero-order entropy of each channel over all images looked at, `stored` each image's own switch
            file. The last two are means over `bits_images` images, and None where they were not measured.
        stored_ci95: of the stored bits.
        bits_images: images on which entropy and stored bits were measured, drawn with seed 0.
        per_image: one value an image of rmse, psnr and ssim, in the order of the photographs.
    """

    model: str
    architecture: str
    images: int
    rmse: float
    rmse_ci95: Interval
    psnr: float
    psnr_ci95: Interval
    ssim: float
    ssim_ci95: Interval
    bits_per_pixel: dict[str, float | None]
    stored_ci95: Interval | None
    bits_images: int
    resize: str
    size: int
    per_image: dict[str, list[float]]

    def save(self, path: str | Path, **more: Any) -> None:
        """Write JSON: the fields of this class and whatever else is given."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(self) | more, indent=2) + "\n")


@torch.no_grad()
def evaluate(
    network: TunnelNetwork,
    photographs: UInt8[Tensor, "n 3 h w"] | MappedPixels,
    *,
    model: str = "",
    resize: str = "bilinear",
    batch: int = 32,
    bits_images: int = 200,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Reconstruct photographs from their switches and measure how close that comes.

    Args:
        network: runs in float32 where it lies.
        photographs: all of one size.
        model: a name for the result.
        resize: how the photographs came to their size; only noted.
        batch: images at a time.
        bits_images: measure entropy and stored bits on at most so many images; 0, or a machine without a C++
            compiler, where coding is slow, leaves them out.
        on_progress: told the images done and their total.

    Raises:
        ValueError: there are no photographs.
    """
    if len(photographs) == 0:
        raise ValueError("there are no photographs to evaluate on")
    measured = []
    sample = set(_sample(len(photographs), bits_images if is_fast() else 0))
    coded: list[SwitchCode] = []
    for start in range(0, len(photographs), batch):
        images = to_float(photographs[start : start + batch]).to(network.device)
        code = network.encode(images)
        measured.append(measure(network.decode(code), images))
        coded += [code[i].to("cpu") for i in range(len(code)) if start + i in sample]
        on_progress(min(start + batch, len(photographs)), len(photographs))
    mse, psnr, ssim = torch.cat(measured, dim=1).cpu()
    size = photographs.shape[-2], photographs.shape[-1]
    entropy, stored, stored_ci95 = _measure_bits(coded, network, 3 * math.prod(size))
    return Evaluation(
        model=model,
        architecture=str(network.architecture),
        images=len(photographs),
        rmse=math.sqrt(mse.mean()),
        rmse_ci95=bootstrap(mse, lambda mean: mean.sqrt()),
        psnr=float(psnr.mean()),
        psnr_ci95=bootstrap(psnr),
        ssim=float(ssim.mean()),
        ssim_ci95=bootstrap(ssim),
        bits_per_pixel={
            "nominal": network.architecture.bits_per_pixel(size),
            "entropy": entropy,
            "stored": stored,
        },
        stored_ci95=stored_ci95,
        bits_images=len(coded),
        resize=resize,
        size=size[0],
        per_image={
            "rmse": [round(value, 6) for value in mse.sqrt().tolist()],
            "psnr": [round(value, 3) for value in psnr.tolist()],
            "ssim": [round(value, 5) for value in ssim.tolist()],
        },
    )


def evaluate_folder(
    model: str,
    data: Path,
    size: int = 128,
    resize: Resize = "bilinear",
    mean: Path | None = None,
    limit: int | None = None,
    json_file: Path | None = None,
    bits_images: int = 200,
    on_progress: OnProgress = silent,
) -> tuple[Evaluation, tuple[tuple[Path, str], ...]]:
    """`evaluate` a model by name on a folder of photographs.

    Args:
        model: what `load` takes.
        data: the folder or store.
        size, resize: the photographs are warped to a square of `size` pixels.
        mean: for a `.caffemodel`, where its mean image comes from.
        limit: take only so many photographs, evenly spread.
        json_file: where to write the result.
        bits_images: as for `evaluate`.
        on_progress: told what is done, how far and out of how much.

    Returns:
        The result, and the files that could not be read with the reason.
    """
    network = load(model, None if mean is None else read_mean(mean, size, resize, on_progress))
    photographs = read_photographs(data, size, resize, limit, on_progress)
    result = evaluate(
        network,
        photographs.pixels,
        model=Path(model).name,
        resize=resize,
        bits_images=bits_images,
        on_progress=counter(on_progress, "evaluate"),
    )
    if json_file is not None:
        result.save(
            json_file,
            data=str(data),
            mean=None if mean is None else str(mean),
            paths=list(photographs.paths),
            skipped=[reason for _, reason in photographs.skipped],
            torch=torch.__version__,
        )
    return result, photographs.skipped


def measure(outputs: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, "3 n"]:
    """Mean squared error (not clipped), PSNR in dB and SSIM (both clipped) of each image."""
    clipped = outputs.clamp(0, 1)
    mse = (outputs - images).double().square().mean(dim=(1, 2, 3))
    error = (clipped - images).double().square().mean(dim=(1, 2, 3))
    psnr = -10 * error.clamp(min=1e-10).log10()
    return torch.stack([mse, psnr, _ssim(clipped, images)])


def rmse(outputs: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]) -> float:
    """Root mean squared error over all images, channels and pixels."""
    return math.sqrt((outputs - images).double().square().mean())


def bootstrap(
    values: Float64[Tensor, " n"],
    statistic: Callable[[Tensor], Tensor] = lambda mean: mean,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """95 % interval of `statistic` of the mean of `values`, by drawing images with replacement."""
    generator = torch.Generator().manual_seed(seed)
    # A block of draws at a time: memory stays at a few megabytes for any number of images.
    block = max(1, 2_000_000 // len(values))
    means = [
        values[torch.randint(len(values), (min(block, draws - i), len(values)), generator=generator)].mean(1)
        for i in range(0, draws, block)
    ]
    low, high = torch.quantile(statistic(torch.cat(means)), torch.tensor([0.025, 0.975]).double())
    return float(low), float(high)


def _sample(count: int, size: int) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(count, generator=generator)[:size].tolist()


def _measure_bits(
    codes: list[SwitchCode], network: TunnelNetwork, values: int
) -> tuple[float | None, float | None, Interval | None]:
    """Zero-order entropy, stored bits and their interval, per value of an image."""
    if not codes:
        return None, None, None
    stored = torch.cat([stored_bits(code, network) for code in codes]) / values
    entropy = SwitchCode.concatenate(codes).entropy_bits / values
    return entropy, float(stored.mean()), bootstrap(stored)


def _ssim(outputs: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
    """SSIM over the windows that lie whole in the image, as in Wang et al.; NaN where none fits."""
    height, width = images.shape[-2:]
    if min(height, width) < _WINDOW:
        return torch.full((len(images),), math.nan, dtype=torch.float64, device=images.device)
    down, right = _gaussian(height, images.device), _gaussian(width, images.device).mT
    # The window is separable, so a mean over windows is two products with banded matrices: 4 times
    # quicker on a CPU than torchmetrics' 11x11 convolution, and equal to it to 1e-6.
    x, y, xx, yy, xy = (down @ z @ right for z in (outputs, images, outputs**2, images**2, outputs * images))
    spread = (xx - x**2).clamp(min=0) + (yy - y**2).clamp(min=0)
    likeness = (2 * x * y + 0.01**2) * (2 * (xy - x * y) + 0.03**2)
    return (likeness / ((x**2 + y**2 + 0.01**2) * (spread + 0.03**2))).double().mean(dim=(1, 2, 3))


@lru_cache(maxsize=8)
def _gaussian(length: int, device: torch.device) -> Float[Tensor, "windows length"]:
    """Row i weighs the pixels of the window that starts at pixel i of a line."""
    offset = torch.arange(length, device=device) - torch.arange(length - _WINDOW + 1, device=device)[:, None]
    weights = torch.exp(-0.5 * ((offset - _WINDOW // 2) / 1.5) ** 2)
    weights = weights * ((offset >= 0) & (offset < _WINDOW))
    return weights / weights.sum(1, keepdim=True)
