"""The tables of `study segmentation` for a terminal, CSV and LaTeX."""

from maxtunnel.studies.dense_conditions import CONDITIONS, Condition
from maxtunnel.studies.seeds import Value
from maxtunnel.studies.segmentation_conclusions import (
    KNOWN,
    MEASURES,
    Conclusions,
)
from maxtunnel.studies.segmentation_data import TITLES
from maxtunnel.support.tables import Cell, Column, Table

USUAL = "each place’s usual class, no image"
WORDS = {True: "better", False: "worse", None: "not told apart"}


def tabulate(found: Conclusions) -> list[Table]:
    """What each condition reaches, what known switches gain, and the classes; those that are not empty."""
    tables = (_conditions(found), _gains(found), _classes(found))
    return [table for table in tables if table.rows]


def there(found: Conclusions) -> list[Condition]:
    """The conditions that there is a network for."""
    return [condition for condition in CONDITIONS if found.numbers.has(condition)]


def _conditions(found: Conclusions) -> Table:
    columns = (
        Column("condition", "condition", text=True),
        Column("trained", "", text=True),
        Column("seeds", "seeds"),
        *(
            column
            for name, words in MEASURES.items()
            for column in (
                Column(name, words, ".1%"),
                Column(name, "95 % interval", ".1%", interval=True),
            )
        ),
    )
    rows: list[tuple[Cell, ...]] = [
        (condition.name, "trained so" if condition.so else "read so", *_reached(found, condition))
        for condition in there(found)
    ]
    if rows:
        rows.append((USUAL, "", *_reached(found, None)))
    study = found.study
    title = (
        f"{TITLES[study.settings.set]}: {study.settings.network} of {study.settings.width} filters, "
        f"{study.settings.steps:,} steps, on {study.measured:,} images\n"
        f"intervals are over images; near borders: at most {study.settings.band} pixels from another class"
    )
    return Table(title, columns, tuple(rows))


def _reached(found: Conclusions, condition: Condition | None) -> list[Cell]:
    values = [found.numbers.value(condition, measure) for measure in MEASURES]
    seeds = None if condition is None else values[0].seeds.count
    return [seeds, *(cell for value in values for cell in (value.mean, value.images))]


def _gains(found: Conclusions) -> Table:
    columns = (
        Column("condition", "known switches against", text=True),
        Column("mean_iou", "mean IoU", "+.1%"),
        Column("mean_iou", "over images", "+.1%", interval=True),
        Column("mean_iou_seeds", "over seeds", "+.1%", interval=True),
        Column("near_borders", "near borders", "+.1%"),
        Column("near_borders", "over images", "+.1%", interval=True),
        Column("told", "", text=True),
        Column("share", "of the way", ".0%"),
        Column("share", "95 % interval", ".0%", interval=True),
    )
    rows: list[tuple[Cell, ...]] = []
    for condition in there(found):
        if condition == KNOWN or not found.numbers.has(KNOWN):
            continue
        iou, near = (
            found.numbers.difference(KNOWN, condition, measure) for measure in ("mean_iou", "near_borders")
        )
        share = found.numbers.share(condition)
        rows.append(
            (
                condition.name, iou.mean, iou.images, iou.seeds.interval, near.mean, near.images,
                WORDS[iou.more], *_pair(share),
            )
        )  # fmt: skip
    title = "What known switches gain, and how far each condition comes from the usual classes to them"
    return Table(title, columns, tuple(rows))


def _pair(value: Value | None) -> tuple[Cell, Cell]:
    return (None, None) if value is None else (value.mean, value.span)


def _classes(found: Conclusions) -> Table:
    shown = [condition for condition in there(found) if condition.so]
    columns = (
        Column("class", "IoU of", text=True),
        *(Column(condition.key, condition.name, ".1%") for condition in shown),
        Column("usual", USUAL, ".1%"),
    )
    values = [found.numbers.class_iou(condition) for condition in (*shown, None)]
    rows = tuple(
        (name, *(None if value != value else value for value in each))
        for name, *each in zip(found.study.class_names, *values, strict=True)
    )
    return Table("Class by class, mean over seeds", columns, rows if shown else ())
