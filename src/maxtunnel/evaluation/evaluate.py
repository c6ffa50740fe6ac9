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
from maxtunnel.zoo.names import load, read_mean


@torch.no_grad()
def evaluate(
    network: TunnelNetwork,
    photographs: Pixels,
    *,
    model: str = "",
    resize: str = "bilinear",
    batch: int = 32,
    bits_images: int = 200,
    on_progress: OnProgress = silent,
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
        resize=resize,
        size=size[0],
        per_image=PerImage(
            rmse=[round(value, 6) for value in mse.sqrt().tolist()],
            psnr=[round(value, 3) for value in psnr.tolist()],
            ssim=[round(value, 5) for value in ssim.tolist()],
        ),
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
        on_progress=on_progress,
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
