"""What a network reached on a set of photographs, as a record."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.support.files import replacing
from maxtunnel.support.records import Json, to_json


@dataclass(frozen=True)
class BitsPerPixel:
    """What switches cost, in bits per pixel and colour channel.

    Attributes:
        nominal: 2 bits a switch.
        entropy: zero-order entropy of each channel over all photographs looked at; None if not measured.
        stored: mean size of each photograph's own switch file; None if not measured.
    """

    nominal: float
    entropy: float | None
    stored: float | None


@dataclass(frozen=True)
class PerImage:
    """One value a photograph, in their order."""

    rmse: list[float]
    psnr: list[float]
    ssim: list[float]


@dataclass(frozen=True)
class Evaluation:
    """What a network reached on a set of photographs.

    Attributes:
        model: a label that says where the network came from too, or a name that somebody gave.
        architecture: filters per block.
        images: how many photographs.
        rmse: sqrt of the mean squared error over all images, channels and pixels, values in [0, 1], the
            output not clipped (Table II).
        rmse_ci95: bootstrap interval over images, 2,000 draws from seed 0; so are the others.
        psnr: mean over images of the peak signal-to-noise ratio in dB of the clipped output, at most 100.
        ssim: mean over images of the structural similarity of the clipped output (11x11 Gaussian window,
            sigma 1.5, as in Wang et al. 2004).
        bits_per_pixel: of the switches; entropy and stored bits are measured on `bits_images` images.
        stored_ci95: of the stored bits.
        bits_images: images on which entropy and stored bits were measured, drawn with seed 0.
        bits_missing: why there are no entropy and stored bits; empty where there are.
        resize: how the photographs came to their size.
        size: height of the photographs in pixels.
        per_image: the metrics of each photograph.
        refine: rounds in which the pictures were refined; 0 for what the decoder gave.
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
    bits_per_pixel: BitsPerPixel
    stored_ci95: Interval | None
    bits_images: int
    resize: str
    size: int
    per_image: PerImage
    bits_missing: str = ""
    refine: int = 0

    @property
    def squared_errors(self) -> Float64[Tensor, " n"]:
        """Mean squared error of each photograph."""
        return torch.tensor(self.per_image.rmse, dtype=torch.float64).square()

    def save(self, path: str | Path, **more: Json) -> None:
        """Write JSON: the fields of this class and whatever else is given, null for what there is none of."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(without_nan(to_json(self) | more), indent=2) + "\n")


def without_nan(value: object) -> object:
    """The same with None in the place of every NaN, which JSON does not know: SSIM of tiny photographs."""
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
