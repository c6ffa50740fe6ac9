"""Time and memory of whole photographs, which are rebuilt piece by piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from maxtunnel.benchmark.turns import take_turns
from maxtunnel.data.images import to_float
from maxtunnel.data.photographs import demo_photographs
from maxtunnel.models.architecture import Architecture
from maxtunnel.models.tiling import reconstruct
from maxtunnel.models.tunnel import TunnelNetwork


@dataclass(frozen=True)
class Large:
    """One photograph rebuilt in a process of its own.

    Attributes:
        model: architecture.
        megapixels: of the photograph, 4:3.
        seconds: that it took, once a small one had been rebuilt.
        image: bytes of the photograph, 3 a pixel.
        peak: bytes beyond what the process held with the photograph loaded, the reconstruction included.
    """

    model: str
    megapixels: float
    seconds: float
    image: int
    peak: int | None


def time_large(models: Sequence[str], megapixels: Sequence[float] = (1, 12, 48)) -> list[Large]:
    """Rebuild photographs of so many million pixels with each model."""
    results = []
    for model in models:
        for size in megapixels:
            (measured,) = take_turns([(model, size, "ours")], _build, 0)
            height, width = _sides(size)
            results.append(Large(model, size, measured.first, 3 * height * width, measured.peak))
    return results


def _build(model: str, megapixels: float, way: str) -> Callable[[], object]:
    del way
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photograph = next(iter(demo_photographs().values()))
    network = TunnelNetwork(Architecture.parse(model), to_float(photograph)).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # A small one first: kernels are loaded then, and what a process needs for any size is no growth.
    reconstruct(network, photograph)
    height, width = _sides(megapixels)
    large = F.interpolate(photograph[None], (height, width), mode="bilinear")[0]
    return lambda: reconstruct(network, large)


def _sides(megapixels: float) -> tuple[int, int]:
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    return height, round(megapixels * 1e6 / height)
