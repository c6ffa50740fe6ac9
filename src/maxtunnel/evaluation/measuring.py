"""Every network on every photograph: the work shared out, and its rows brought together, in their order."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from maxtunnel.codec import is_fast
from maxtunnel.data.manifest import hash_of
from maxtunnel.evaluation.intervals import bootstrap
from maxtunnel.evaluation.kept import RowWriter, open_rows
from maxtunnel.evaluation.records import BitsPerPixel, Evaluation, PerImage
from maxtunnel.evaluation.rows import Album, Handful, HandfulRow, Meter, Reached, Skipped, cut_handfuls
from maxtunnel.models.checkpoint import hash_tensors
from maxtunnel.models.tunnel import TunnelNetwork
from maxtunnel.support.choices import Resize
from maxtunnel.support.files import FormatError
from maxtunnel.support.parts import Parts, Spread, complete, here
from maxtunnel.support.progress import OnProgress, silent
from maxtunnel.switches.codes import entropy_of

BATCH = 32  # images of 128x128 at a time
BITS_IMAGES = 200  # that have their stored bits measured, at most
# Why there are no stored bits on a machine where coding takes seconds a photograph.
NO_COMPILER = "native code is turned off or cannot be compiled here, and without it coding is slow"
_BATCHES = 8  # that a part of the work holds, where it is shared out or kept


@dataclass(frozen=True)
class Measured:
    """Where each photograph that was measured came from, and why others could not be read."""

    names: tuple[str, ...]
    skipped: Skipped


def measure_all(
    networks: Sequence[TunnelNetwork],
    models: Sequence[str],
    album: Album,
    size: int,
    resize: Resize,
    batch: int = BATCH,
    bits_images: int = BITS_IMAGES,
    device: str | None = None,
    rows: str | Path | None = None,
    spread: Spread = here,
    refine: int = 0,
    on_progress: OnProgress = silent,
) -> tuple[list[Evaluation], Measured]:
    """Measure several networks on the same photographs, each of which is read once.

    Args:
        networks, models: what is measured, and what to call it.
        album: the photographs.
        size, resize, batch, bits_images: as for `evaluate`. What is coded is drawn among all photographs;
            those of them that cannot be read are left out.
        device: where the networks run; None for where they lie.
        rows: a folder, on disk or at an address, that keeps what was reached on each photograph, as Parquet
            files; a call that was stopped goes on with them.
        spread: does the work.
        refine: rounds in which every picture is refined before it is measured (`models.refine`).
        on_progress: told, as phase `evaluate`, the photographs done and their total.

    Raises:
        FormatError: not one of the photographs can be read.
        ValueError: there are none, or `rows` holds something else.
    """
    if len(album) == 0:
        raise ValueError("there are no photographs to evaluate on")
    batch = at_a_time(batch, album.area or size * size)
    workers = (os.cpu_count() or 1) if spread is here else 1
    meter = Meter(tuple(networks), size, resize, batch, device, workers, refine)
    missing = NO_COMPILER if bits_images else "not asked for"
    bits_images = bits_images if is_fast() else 0
    together = batch if spread is here and rows is None else _BATCHES * batch
    handfuls = cut_handfuls(album, _sample(len(album), bits_images), together)
    found = _measure(meter, models, handfuls, album, bits_images, rows, spread, on_progress)
    skipped = tuple((Path(place), reason) for row in found for place, reason in row.skipped)
    if not any(row.names for row in found):
        raise FormatError(f"no file of {len(album)} could be read as an image; the first: {skipped[0][1]}")
    measured = Measured(tuple(name for row in found for name in row.names), (*album.reports, *skipped))
    results = [
        _reduce(found, number, network, model, meter, missing)
        for number, (network, model) in enumerate(zip(networks, models, strict=True))
    ]
    return results, measured


def at_a_time(batch: int, area: int) -> int:
    """How many images of so many pixels take the memory of `batch` ones of 128x128, `batch` at most."""
    return max(1, min(batch, batch * 128**2 // area))


def _measure(
    meter: Meter,
    models: Sequence[str],
    handfuls: Parts[Handful],
    album: Album,
    bits_images: int,
    rows: str | Path | None,
    spread: Spread,
    on_progress: OnProgress,
) -> list[HandfulRow]:
    """The row of every handful, in their order."""
    there: dict[int, HandfulRow] = {}
    work: Meter | RowWriter = meter
    if rows is not None:
        folder, there = open_rows(rows, _fingerprint(meter, models, album, bits_images), len(models))
        work = RowWriter(meter, folder, tuple(models))
    done = sum(len(row.names) + len(row.skipped) for row in there.values())
    for row in complete(there, work, handfuls, spread):
        done += len(row.names) + len(row.skipped)
        on_progress("evaluate", done, len(album), "")
    return [there[number] for number in handfuls.numbers]


def _fingerprint(meter: Meter, models: Sequence[str], album: Album, bits_images: int) -> str:
    """Of all that decides the rows."""
    networks = [f"{hash_tensors(network.state_dict())} {network.scale}" for network in meter.networks]
    settings = [meter.size, meter.resize, meter.batch, meter.device, meter.refine, bits_images, len(album)]
    return hash_of([*networks, *models, *settings, album.fingerprint])


def _reduce(
    rows: Sequence[HandfulRow], number: int, network: TunnelNetwork, model: str, meter: Meter, missing: str
) -> Evaluation:
    """What one network reached on all photographs."""
    reached = [row.reached[number] for row in rows]
    mse, psnr, ssim = torch.cat([one.metrics for one in reached], dim=1)
    size = next(row.size for row in rows if row.names)
    values = 3 * math.prod(size)
    stored = torch.cat([one.stored for one in reached]) / values
    entropy = _entropy(reached, len(stored), values)
    return Evaluation(
        model=model,
        architecture=str(network.architecture),
        images=len(mse),
        rmse=math.sqrt(mse.mean()),
        rmse_ci95=bootstrap(mse, lambda mean: mean.sqrt()),
        psnr=float(psnr.mean()),
        psnr_ci95=bootstrap(psnr),
        ssim=float(ssim.mean()),
        ssim_ci95=bootstrap(ssim),
        bits_per_pixel=BitsPerPixel(
            network.architecture.bits_per_pixel(size),
            entropy,
            float(stored.mean()) if len(stored) else None,
        ),
        stored_ci95=bootstrap(stored) if len(stored) else None,
        bits_images=len(stored),
        bits_missing="" if len(stored) else missing,
        refine=meter.refine,
        resize=meter.resize,
        size=size[0],
        per_image=PerImage(
            rmse=[round(value, 6) for value in mse.sqrt().tolist()],
            psnr=[round(value, 3) for value in psnr.tolist()],
            ssim=[round(value, 5) for value in ssim.tolist()],
        ),
    )


def _entropy(reached: Sequence[Reached], images: int, values: int) -> float | None:
    """Zero-order entropy of the switches that were counted, in bits per value of an image."""
    if not images:
        return None
    levels = zip(*(one.counts for one in reached if one.counts), strict=True)
    return sum(entropy_of(torch.stack(level).sum(0)) / images for level in levels) / values


def _sample(count: int, size: int) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(count, generator=generator)[:size].tolist()
