"""The tables of `study transplant` for a terminal, CSV and LaTeX."""

from collections.abc import Iterator

from maxtunnel.studies.transplant import TransplantStudy
from maxtunnel.studies.transplant_conclusions import (
    Came,
    Kept,
    Moved,
    arithmetic,
    came,
    moved,
    perfect,
    words,
)
from maxtunnel.studies.transplant_config import KINDS, Kind
from maxtunnel.studies.transplant_data import Common
from maxtunnel.studies.transplant_edits import FILLS, OWN, PIXELS, REBUILT, TRUE, UNEDITED
from maxtunnel.studies.transplant_reading import HALF, level_sets, name_of
from maxtunnel.support.tables import Cell, Column, Table

COMMONS: tuple[Common, ...] = ("folder", "light", "nothing", "flip")
_EDITS = {
    UNEDITED: "no edit",
    REBUILT: "the new light, rebuilt",
    OWN: "features edited",
    TRUE: "features of the new light",
}


def tabulate(study: TransplantStudy) -> list[Table]:
    """Pairs, edits, and when editing is safe; those not empty."""
    found = (_networks(study), _pairs(study), _edits(study), _safe(study))
    return [table for table in found if table.rows]


def all_came(study: TransplantStudy) -> Iterator[tuple[Common, str, str, Came]]:
    """What pairs became: what is in common, what was drawn by its name and in words, and the numbers."""
    for common in COMMONS:
        for levels in level_sets(study.settings.levels):
            one = came(study, "switches", common, name_of(levels))
            if one is not None and levels:
                yield common, name_of(levels), f"{words(study, common)}: {name_of(levels)}", one
        for kind in KINDS:
            one = came(study, kind, common, HALF)
            if one is not None:
                yield common, HALF, f"{words(study, common)}: features half way, {KINDS[kind]}", one


def all_moved(study: TransplantStudy) -> Iterator[tuple[Kind, str, str, Moved]]:
    """What edits made: by which networks, their name and words, and the numbers."""
    for kind in KINDS:
        for name, title in _EDITS.items():
            one = moved(study, kind, name)
            if one is not None:
                yield kind, name, f"{KINDS[kind]}: {title}", one
    for kind in KINDS:
        one = moved(study, kind, PIXELS)
        if one is not None:
            yield kind, PIXELS, "pixels edited, no network", one
            return  # it is the same for every network


def all_kept(study: TransplantStudy) -> Iterator[tuple[str, Kept]]:
    """What arrives of an edit, in words of what stands on the levels whose switches are not kept."""
    for kept in perfect(study):
        yield "features of another image of the folder, and its switches", kept
    for fill, title in FILLS.items():
        for kept in arithmetic(study, fill):
            yield f"light by arithmetic, {title}", kept


def told(safe: bool | None) -> str:
    """Whether editing is safe, in a word or two."""
    return {True: "yes", False: "no", None: "not told"}[safe]


def _networks(study: TransplantStudy) -> Table:
    columns = (
        Column("network", "network", text=True), Column("rmse", "RMSE rebuilt", ".4f"),
        Column("training", "training (s)", ",.0f"), Column("seconds", "all (s)", ",.0f"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (f"{KINDS[row.kind]}, seed {row.seed}", row.own, *row.seconds) for row in study.rows
    ]
    return Table("Networks", columns, tuple(rows))


def _pairs(study: TransplantStudy) -> Table:
    columns = (
        Column("switches", "switches of ... on levels", text=True),
        Column("way", "of the way", ".0%"),
        Column("way", "95 % interval", ".0%", interval=True),
        Column("aside", "aside", ".0%"),
        Column("rmse_what", "RMSE to the features'", ".3f"),
        Column("rmse_where", "to the switches'", ".3f"),
        Column("nearer", "nearer to that", ".0%"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            title, one.way.mean, one.way.interval, one.aside.mean, one.to_what.mean, one.to_where.mean,
            one.nearer.mean,
        )
        for _, _, title, one in all_came(study)
    ]  # fmt: skip
    return Table(f"Features of one image, switches of another: {study.pairs} pairs", columns, (*rows,))


def _edits(study: TransplantStudy) -> Table:
    columns = (
        Column("edit", "edit", text=True),
        Column("way", "of the way", ".0%"),
        Column("way", "95 % interval", ".0%", interval=True),
        Column("aside", "aside", ".0%"),
        Column("rmse", "RMSE", ".3f"),
        Column("rmse", "95 % interval", ".3f", interval=True),
        Column("sharpness", "sharpness", ".0%"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            title, one.way.mean, one.way.interval, one.aside.mean, one.rmse.mean, one.rmse.interval,
            one.sharpness.mean,
        )
        for _, _, title, one in all_moved(study)
    ]  # fmt: skip
    return Table(f"Light that is moved, over {study.people} people", columns, tuple(rows))


def _safe(study: TransplantStudy) -> Table:
    columns = (
        Column("edit", "edit", text=True),
        Column("kept", "switches kept on", text=True),
        Column("share", "of all", ".0%"),
        Column("way", "arrives", ".0%"),
        Column("way", "95 % interval", ".0%", interval=True),
        Column("nearer", "nearer by", "+.3f"),
        Column("nearer", "95 % interval", "+.3f", interval=True),
        Column("safe", "safe", text=True),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            title, kept.levels, kept.share, kept.way.mean, kept.way.interval, kept.nearer.mean,
            kept.nearer.interval, told(kept.safe),
        )
        for title, kept in all_kept(study)
    ]  # fmt: skip
    return Table("When editing in feature space is safe", columns, tuple(rows))
