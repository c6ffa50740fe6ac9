"""How well a network rebuilds photographs from their switches, measured."""

import math
from pathlib import Path

import torch

from maxtunnel.codec import is_fast, stored_bits
from maxtunnel.data import read_photographs
from maxtunnel.data.batches import Pixels
from maxtunnel.data.images import to_float
from maxtunnel.evaluation.intervals import Interval, bootstrap
from maxtunnel.evaluation.metrics import measure
from maxtunnel.evaluation.records import BitsPerPixel, Evaluation, PerImage
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Resize
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.codes import SwitchCode
from maxtunnel.zoo.labels import label
from maxtunnel.zoo.names import load, read_mean

# Why there are no stored bits on a machine where coding takes seconds a photograph.
NO_COMPILER = "native code is turned off or cannot be compiled here, and without it coding is slow"


def evaluate(
    network: TunnelNetwork | str | Path,
    photographs: Pixels | str | Path,
    *,
    model: str | None = None,
    size: int = 128,
    resize: Resize = "bilinear",
    mean: str | Path | None = None,
    limit: int | None = None,
    batch: int = 32,
    bits_images: int = 200,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Reconstruct photographs from their switches and measure how close that comes.

    Args:
        network: runs in float32 where it lies; or what `maxtunnel.load` takes.
        photographs: uint8 RGB, (n, 3, h, w), all of one size; or a folder or a store of them, of which files
            that cannot be read are skipped with a warning.
        model: a name for the result; by default what is known of where the network came from.
        size, resize: photographs of a folder are warped so to a square of `size` pixels; of pixels, `resize`
            is only noted.
        mean: for a `.caffemodel`, where its mean image comes from.
        limit: of a folder or a store, take only so many photographs, evenly spread.
        batch: images of 128x128 at a time; of larger ones fewer, so that memory is the same.
        bits_images: measure entropy and stored bits on at most so many images; 0, or a machine without a C++
            compiler, where coding is slow, leaves them out.
        on_progress: told the images done and their total.

    Raises:
        FormatError: there is no such model or folder, or it is damaged.
        ValueError: there are no photographs, or `mean` or `limit` is given for what is no name.
    """
    if isinstance(network, TunnelNetwork):
        _refuse("mean", mean, "network")
    else:
        model = label(network) if model is None else model
        network = load(network, None if mean is None else read_mean(Path(mean), size, resize, on_progress))
    if isinstance(photographs, str | Path):
        found = read_photographs(photographs, size, resize, limit, on_progress)
        found.warn_of_skipped()
        photographs = found.pixels
    else:
        _refuse("limit", limit, "photographs")
    if len(photographs) == 0:
        raise ValueError("there are no photographs to evaluate on")
    return _evaluate(network, photographs, model or "", resize, batch, bits_images, on_progress)


@torch.no_grad()
def _evaluate(
    network: TunnelNetwork,
    photographs: Pixels,
    model: str,
    resize: Resize,
    batch: int,
    bits_images: int,
    on_progress: OnProgress,
) -> Evaluation:
    measured = []
    sample = set(_sample(len(photographs), bits_images if is_fast() else 0))
    coded: list[SwitchCode] = []
    batch = max(1, min(batch, batch * 128**2 // math.prod(photographs.shape[-2:])))
    for start in range(0, len(photographs), batch):
        images = to_float(photographs[start : start + batch]).to(network.device)
        code = network.encode(images)
        measured.append(measure(network.decode(code), images))
        coded += [code[i].to("cpu") for i in range(len(code)) if start + i in sample]
        on_progress("evaluate", min(start + batch, len(photographs)), len(photographs), model)
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
        bits_per_pixel=BitsPerPixel(network.architecture.bits_per_pixel(size), entropy, stored),
        stored_ci95=stored_ci95,
        bits_images=len(coded),
        bits_missing="" if coded else NO_COMPILER if bits_images else "not asked for",
        resize=resize,
        size=size[0],
        per_image=PerImage(
            rmse=[round(value, 6) for value in mse.sqrt().tolist()],
            psnr=[round(value, 3) for value in psnr.tolist()],
            ssim=[round(value, 5) for value in ssim.tolist()],
        ),
    )


def _refuse(name: str, value: object, other: str) -> None:
    """ValueError where an argument is given that only names and paths can make use of."""
    if value is not None:
        raise ValueError(f"`{name}` is given, but `{other}` is no name or path that it could be used for")


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
