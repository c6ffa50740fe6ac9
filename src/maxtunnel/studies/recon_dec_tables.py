"""The tables of `study recon-dec` for a terminal, CSV and LaTeX."""

from statistics import fmean

from maxtunnel.studies.recon_dec import ReconDecStudy
from maxtunnel.studies.recon_dec_conclusions import (
    Share,
    against_classes,
    depths,
    explained,
    kinds,
    known_against_fixed,
    less,
    rmse,
    top1,
)
from maxtunnel.studies.recon_dec_config import GIVEN, READERS
from maxtunnel.studies.seeds import Estimate, estimate
from maxtunnel.support.tables import Cell, Column, Table

WORDS = {True: "less", False: "more", None: "not told apart"}


def tabulate(study: ReconDecStudy) -> list[Table]:
    """Reconstructions, what each depth carries, and networks; of these tables those that are not empty."""
    found = (_reconstructions(study), _carried(study), _networks(study), _modes(study))
    return [table for table in found if table.rows]


def _reconstructions(study: ReconDecStudy) -> Table:
    columns = (
        Column("run", "from", text=True),
        Column("rmse", "RMSE", ".4f"),
        Column("rmse", "95 % interval", ".4f", interval=True),
        Column("psnr", "PSNR", ".2f"),
        Column("ssim", "SSIM", ".3f"),
        Column("explained", "explained", ".1%"),
        Column("coarse", "without detail", ".1%"),
        Column("rmse_other_switches", "another's switches", ".4f"),
        Column("rmse_other_features", "another's features", ".4f"),
    )
    rows: list[tuple[Cell, ...]] = []
    for row in study.depths:
        error = rmse(row.mse)
        swapped = (row.swapped.get(name) for name in ("switches", "features"))
        rows.append(
            (
                f"pool {row.level}, {GIVEN[row.given]}, {row.reader}", error.value, error.interval,
                fmean(row.psnr), None if row.ssim is None else fmean(row.ssim),
                explained(row.mse, study.of_mean["mse"]).value,
                explained(row.coarse, study.of_mean["coarse"]).value,
                *(None if errors is None else rmse(errors).value for errors in swapped),
            )
        )  # fmt: skip
    mean = rmse(study.of_mean["mse"])
    title = (
        f"Photographs rebuilt from {study.encoder or 'an encoder'}, {study.settings.encoder}\n"
        f"mean photograph: RMSE {mean.value:.4f}, PSNR {fmean(study.of_mean['psnr']):.2f}"
    )
    return Table(title, columns, tuple(rows))


def _carried(study: ReconDecStudy) -> Table:
    columns = (
        Column("depth", "depth, reader", text=True),
        *(
            column
            for given in GIVEN
            for column in (
                Column(given, f"by {given}", ".1%"),
                Column(given, "95 % interval", ".1%", interval=True),
            )
        ),
        Column("switches_share", "switches' share", ".0%"),
        Column("switches_share", "95 % interval", ".0%", interval=True),
        Column("answer", "Zhang et al.'s sentence", text=True),
    )
    rows: list[tuple[Cell, ...]] = []
    for reader in READERS:
        for each in depths(study, reader):
            shares = [part for given in GIVEN for part in _pair(each.explained[given])]
            rows.append((f"pool {each.level}, {reader}", *shares, *_pair(each.switches), each.answer))
    return Table(
        "Share of the variance that is explained, and the switches' part of it", columns, tuple(rows)
    )


def _pair(share: Share | None) -> tuple[Cell, Cell]:
    return (None, None) if share is None else (share.value, share.interval)


_DIFFERENCE = (
    Column("difference", "95 % interval", "+.2%", interval=True),
    Column("detectable", "could be seen", ".2%"),
    Column("errs", "errs", text=True),
)


def _networks(study: ReconDecStudy) -> Table:
    columns = (
        Column("network", "network", text=True),
        Column("seeds", "seeds"),
        Column("top1", "top-1", ".2%"),
        Column("top1", "95 % interval", ".2%", interval=True),
        Column("difference", "error less that of classes", "+.2%"),
        *_DIFFERENCE,
        Column("rmse_own", "own decoder's RMSE", ".4f"),
    )
    differences = against_classes(study)
    rows: list[tuple[Cell, ...]] = []
    for kind, found in kinds(study).items():
        right = top1(found)
        own = [row.own for row in found if row.own is not None]
        difference = differences.get(kind)
        beside = (None, None, None, "") if difference is None else _told(difference)
        rows.append(
            (kind, right.count, right.mean, right.interval, *beside, estimate(own).mean if own else None)
        )
    title = f"Networks {study.settings.network} on {study.classes} classes"
    return Table(title, columns, tuple(rows))


def _modes(study: ReconDecStudy) -> Table:
    columns = (
        Column("mode", "mode", text=True),
        Column("difference", "error with known switches less that with fixed ones", "+.2%"),
        *_DIFFERENCE,
    )
    rows = [(mode, *_told(each)) for mode, each in known_against_fixed(study).items()]
    return Table("Decoders of known switches against those of fixed ones", columns, tuple(rows))


def _told(difference: Estimate) -> tuple[Cell, ...]:
    return difference.mean, difference.interval, difference.detectable, WORDS[less(difference)]
