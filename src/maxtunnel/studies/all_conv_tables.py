"""The tables of `study all-conv` for a terminal, CSV and LaTeX."""

from statistics import fmean

from maxtunnel.studies.all_conv import AllConvStudy
from maxtunnel.studies.all_conv_conclusions import (
    PUBLISHED,
    differences,
    errors_of,
    kinds,
    places,
    share_of,
    title_of,
)
from maxtunnel.studies.all_conv_config import GIVEN
from maxtunnel.studies.all_conv_run import ReadingRow
from maxtunnel.studies.recon_dec_conclusions import rmse
from maxtunnel.support.tables import Cell, Column, Table

WORDS = {True: "less", False: "more", None: "not told apart"}


def tabulate(study: AllConvStudy) -> list[Table]:
    """Networks, differences between them, readings, and what these come to; those that are not empty."""
    found = (_networks(study), _differences(study), _readings(study), _places(study))
    return [table for table in found if table.rows]


def groups(study: AllConvStudy) -> list[tuple[str, tuple[ReadingRow, ...]]]:
    """The readers of each kind with what they read, in words, in the order of the study."""
    found: dict[str, list[ReadingRow]] = {}
    for row in sorted(study.readings, key=lambda row: (row.base, not row.trained, row.place)):
        state = "" if row.trained else "untrained "
        name = f"{state}{title_of(row.base, row.variant)}, place {row.place}, {GIVEN[row.given]}"
        found.setdefault(name, []).append(row)
    return [(name, tuple(rows)) for name, rows in found.items()]


def _networks(study: AllConvStudy) -> Table:
    columns = (
        Column("network", "network", text=True),
        Column("weights", "weights", ","),
        Column("multiplications", "multiplications, M", ",.1f"),
        Column("seeds", "seeds"),
        Column("error", "error", ".2%"),
        Column("error", "95 % interval", ".2%", interval=True),
        Column("published", "published", ".2%"),
        Column("accuracy", "right while training", ".1%"),
        Column("seconds", "seconds", ",.0f"),
    )
    rows: list[tuple[Cell, ...]] = []
    for kind in kinds(study):
        first = kind.rows[0]
        published = PUBLISHED.get((kind.base, kind.variant, study.settings.augment))
        rows.append(
            (
                kind.name, first.weights, first.multiplications / 1e6, kind.error.count, kind.error.mean,
                kind.error.interval, None if published is None else published.error,
                fmean(row.accuracy for row in kind.rows), fmean(row.seconds for row in kind.rows),
            )
        )  # fmt: skip
    settings = study.settings
    title = (
        f"CIFAR-10, {settings.steps:,} steps of {settings.batch} images each "
        f"({settings.steps * settings.batch / study.trained:.1f} passes), {settings.width} filters in block 1"
    )
    return Table(title, columns, tuple(rows))


def _differences(study: AllConvStudy) -> Table:
    columns = (
        Column("first", "network", text=True),
        Column("second", "less", text=True),
        Column("difference", "error", "+.2%"),
        Column("difference", "95 % interval", "+.2%", interval=True),
        Column("detectable", "could be seen", ".2%"),
        Column("errs", "errs", text=True),
    )
    rows = tuple(
        (
            title_of(each.base, each.first), title_of(each.base, each.second), each.error.mean,
            each.error.interval, each.error.detectable, WORDS[each.less],
        )
        for each in differences(study)
    )  # fmt: skip
    return Table("Differences, paired by seed", columns, rows)


def _readings(study: AllConvStudy) -> Table:
    columns = (
        Column("reading", "read", text=True),
        Column("seeds", "seeds"),
        Column("bits", "bits", ",.0f"),
        Column("rmse", "RMSE", ".4f"),
        Column("rmse", "95 % interval", ".4f", interval=True),
        Column("explained", "explained", ".1%"),
        Column("explained", "95 % interval", ".1%", interval=True),
        Column("rmse_other", "of another image", ".4f"),
        Column("rmse_other_features", "another's features", ".4f"),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, found in groups(study):
        error, share = rmse(errors_of(found).tolist()), share_of(study, found)
        swapped = (
            rmse(errors_of(found, key).tolist()).value if key in found[0].swapped else None
            for key in ("all", "features")
        )
        rows.append(
            (
                name,
                len(found),
                found[0].bits,
                error.value,
                error.interval,
                share.value,
                share.interval,
                *swapped,
            )
        )
    mean = rmse(study.of_mean)
    return Table(
        f"What a strong reader rebuilds of images that it has not seen\nmean image: RMSE {mean.value:.4f}",
        columns, tuple(rows),
    )  # fmt: skip


def _places(study: AllConvStudy) -> Table:
    columns = (
        Column("place", "behind", text=True),
        Column("switches", "switches of ConvPool", ".1%"),
        Column("features", "its features", ".1%"),
        Column("both", "both", ".1%"),
        Column("strided", "features of All-CNN", ".1%"),
        Column("more", "switches less All-CNN", "+.1%", interval=True),
        Column("moved", "All-CNN less features", "+.1%", interval=True),
        Column("answer", "All-CNN is", text=True),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            f"place {each.place} of {each.base}", each.pooled["switches"].value,
            each.pooled["features"].value, each.pooled["both"].value, each.strided.value,
            each.more.interval, each.moved.interval, each.answer,
        )
        for each in places(study)
    ]  # fmt: skip
    return Table("Share of the variance that is explained", columns, tuple(rows))
