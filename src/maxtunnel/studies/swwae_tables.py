"""The tables of `study swwae` for a terminal, CSV and LaTeX."""

from maxtunnel.studies.swwae import SwwaeStudy
from maxtunnel.studies.swwae_conclusions import comparisons, describe, kinds
from maxtunnel.studies.swwae_reading import GIVEN
from maxtunnel.support.tables import Cell, Column, Table


def tabulate(study: SwwaeStudy) -> list[Table]:
    """Errors and reconstructions of every kind of network, and the differences between kinds."""
    return [_networks(study), _differences(study)]


def _networks(study: SwwaeStudy) -> Table:
    columns = (
        Column("network", "network", text=True),
        Column("labels", "labels", ","),
        Column("seeds", "seeds"),
        Column("error", "error", ".2%"),
        Column("error", "95 % interval", ".2%", interval=True),
        *(Column(f"rmse_{given.replace(' ', '_').replace(chr(39), '')}", given, ".4f") for given in GIVEN),
        Column("rmse_own", "own decoder", ".4f"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            kind.name,
            labels,
            kind.error.count,
            kind.error.mean,
            kind.error.interval,
            *(kind.rebuilt[given] for given in GIVEN),
            kind.own,
        )
        for labels in study.grid.labels
        for kind in kinds(study, labels)
    ]
    title = (
        f"Error, and RMSE of what a fresh decoder rebuilds from features and switches, from either, and from "
        f"features with another image's switches\nmean image: RMSE {study.mean_rmse:.4f}"
    )
    return Table(title, columns, tuple(rows))


def _differences(study: SwwaeStudy) -> Table:
    columns = (
        Column("first", "network", text=True),
        Column("second", "less", text=True),
        Column("labels", "labels", ","),
        Column("difference", "error", "+.2%"),
        Column("difference", "95 % interval", "+.2%", interval=True),
        Column("detectable", "could be seen", ".2%"),
    )
    rows = tuple(
        (
            describe(each.first, unpooling),
            describe(each.second, unpooling if each.second != "supervised" else None),
            labels,
            each.difference.mean,
            each.difference.interval,
            each.difference.detectable,
        )
        for labels in study.grid.labels
        for unpooling in study.grid.unpoolings
        for each in comparisons(study, labels, unpooling)
    )
    return Table("Differences, paired by seed", columns, rows)
