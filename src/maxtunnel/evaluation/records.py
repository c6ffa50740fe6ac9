"""What a network reached on a set of photographs, as a record."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from maxtunnel.evaluation.intervals import Interval
from maxtunnel.support.files import replacing
from maxtunnel.support.records import Json


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

    def save(self, path: str | Path, **more: Json) -> None:
        """Write JSON: the fields of this class and whatever else is given."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(self) | more, indent=2) + "\n")
