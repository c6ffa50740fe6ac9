"""What is measured on each held-out photograph, summed up with intervals: rows, and shares between rows."""

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor

from maxtunnel.evaluation.intervals import Interval, bootstrap, ratio_of_means

LITTLE = 0.02  # of the variance: below it nothing recognisable was rebuilt


@dataclass(frozen=True)
class Row:
    """How close one way to rebuild the held-out photographs comes to them.

    Attributes:
        name: of the row.
        decoder: the name of its training; empty where there is no decoder.
        rmse, psnr, ssim: as `evaluate` measures them, with 95 % bootstrap intervals over photographs.
        explained: 1 - MSE / MSE of the mean image, the share of the pixels' variance that came through.
    """

    name: str
    decoder: str
    rmse: float
    rmse_ci95: Interval
    psnr: float
    psnr_ci95: Interval
    ssim: float
    ssim_ci95: Interval
    explained: float
    explained_ci95: Interval


@dataclass(frozen=True)
class Shares:
    """How much of the explained variance the features (what) and the switches (where) account for.

    These are the Shapley values of MSE(neither) - MSE(both): the gain by each of the two, averaged over
    adding it first and adding it second.
    """

    what: float
    where: float
    where_ci95: Interval


def row_of(name: str, decoder: str, values: Float64[Tensor, "3 n"], mean: Float64[Tensor, "3 n"]) -> Row:
    """A row from what `evaluation.metrics.measure` gives.

    Args:
        name: of the row.
        decoder: the name of its training.
        values: MSE, PSNR and SSIM of each photograph.
        mean: the same of the mean image.
    """
    mse, psnr, ssim = values
    ratio, interval = ratio_of_means(mse, mean[0])
    return Row(
        name, decoder, float(mse.mean().sqrt()), bootstrap(mse, lambda mean: mean.sqrt()),
        float(psnr.mean()), bootstrap(psnr), float(ssim.mean()), bootstrap(ssim),
        1 - ratio, (1 - interval[1], 1 - interval[0]),
    )  # fmt: skip


def shares(
    neither: Float64[Tensor, " n"],
    what: Float64[Tensor, " n"],
    where: Float64[Tensor, " n"],
    both: Float64[Tensor, " n"],
) -> Shares | None:
    """The shares from the squared error of each photograph; None where both together explain under 2 %."""
    if 1 - both.mean() / neither.mean() < LITTLE:
        return None
    by_where = ((neither - where) + (what - both)) / 2
    share, interval = ratio_of_means(by_where, neither - both)
    return Shares(1 - share, share, interval)
